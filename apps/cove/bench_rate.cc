#include "bench_rate.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "base/json.h"

namespace cove::app {
namespace {

constexpr int64_t kRequestsMin = 30;  // of a trial: fewer say nothing of the slowest hundredth
constexpr double kRateMin = 0.05;
constexpr double kRateMax = 100'000;
constexpr int kTrialsMax = 40;

std::string problem_of(const LoadReport& report, const RateSearch& search) {
  if (report.failed > 0) {
    return fmt::format("{} of {} requests failed", report.failed, report.failed + report.completed);
  }
  if (report.ttft_ms.p99 > search.ttft_max_ms) return fmt::format("p99 TTFT {:.1f} ms", report.ttft_ms.p99);
  if (report.tpot_ms.p99 > search.tpot_max_ms) return fmt::format("p99 TPOT {:.1f} ms", report.tpot_ms.p99);
  return "";
}

Status check(const RateSearch& search) {
  if (!(search.load.rate >= kRateMin && search.load.rate <= kRateMax)) {
    return invalid_argument(
        fmt::format("--rate, the first one tried, is {} to {} requests a second", kRateMin, kRateMax));
  }
  if (!(search.trial_s > 0 && search.trial_s <= 3600)) return invalid_argument("--trial-s is above 0, at most 3600");
  if (!(search.ttft_max_ms > 0 && search.tpot_max_ms > 0))
    return invalid_argument("--ttft-max-ms and --tpot-max-ms must be above 0");
  return {};
}

// Where the truth lies, as far as the trials tell.
struct Bracket {
  std::optional<double> kept;
  std::optional<double> broken;

  // The rate to try next; nullopt when there is nothing left to find out.
  std::optional<double> next(double precision) const {
    if (!broken) return *kept * 2 <= kRateMax ? std::optional(*kept * 2) : std::nullopt;
    if (!kept) return *broken / 2 >= kRateMin ? std::optional(*broken / 2) : std::nullopt;
    if (*broken <= *kept * (1 + precision)) return std::nullopt;
    return std::sqrt(*kept * *broken);
  }
};

json::object to_json(const RateTrial& trial) {
  // The load generator's own report, with what the search makes of it.
  json::object out{{"rate", trial.rate}, {"kept", trial.problem.empty()}, {"problem", trial.problem}};
  const auto report = parse_json(report_json(trial.report));
  out["report"] = report ? *report : json::value(nullptr);
  return out;
}

}  // namespace

Result<RateReport> find_rate(const RateSearch& search, const RunLoad& run, const OnTrial& on_trial) {
  TRY(check(search));
  RateReport report;
  Bracket bracket;
  for (std::optional<double> rate = search.load.rate; rate && report.trials.size() < kTrialsMax;
       rate = bracket.next(search.precision)) {
    LoadOptions load = search.load;
    load.rate = *rate;
    load.requests = std::max(kRequestsMin, std::lround(*rate * search.trial_s));
    load.seed = search.load.seed + report.trials.size();  // other prompts: what is cached shall not answer
    TRY_ASSIGN(LoadReport measured, run(load));
    RateTrial trial{.rate = *rate, .problem = problem_of(measured, search), .report = std::move(measured)};
    (trial.problem.empty() ? bracket.kept : bracket.broken) = *rate;
    on_trial(trial);
    report.trials.push_back(std::move(trial));
  }
  report.rate = bracket.kept.value_or(0);
  return report;
}

std::string report_text(const RateSearch& search, const RateReport& report) {
  std::string text = fmt::format("  {:>9} {:>9} {:>10} {:>10} {:>10} {:>10} {:>9}\n", "rate /s", "requests", "TTFT p50",
                                 "TTFT p99", "TPOT p50", "TPOT p99", "tok/s");
  for (const RateTrial& trial : report.trials) {
    const LoadReport& r = trial.report;
    const double tokens = r.seconds > 0 ? static_cast<double>(r.completion_tokens) / r.seconds : 0;
    text += fmt::format("  {:>9.2f} {:>9} {:>10.1f} {:>10.1f} {:>10.2f} {:>10.2f} {:>9.0f}  {}\n", trial.rate,
                        r.completed + r.failed, r.ttft_ms.p50, r.ttft_ms.p99, r.tpot_ms.p50, r.tpot_ms.p99, tokens,
                        trial.problem.empty() ? "kept" : trial.problem);
  }
  const std::string limits = fmt::format("p99 TTFT within {} ms and p99 TPOT within {} ms, Poisson arrivals for {} s",
                                         search.ttft_max_ms, search.tpot_max_ms, search.trial_s);
  if (report.rate > 0) return text + fmt::format("highest rate kept: {:.2f} requests/s ({})\n", report.rate, limits);
  return text + fmt::format("no rate tried was kept ({})\n", limits);
}

std::string report_json(const RateSearch& search, const RateReport& report) {
  json::array trials;
  for (const RateTrial& trial : report.trials) trials.push_back(to_json(trial));
  return json::serialize(json::object{{"rate", report.rate},
                                      {"ttft_max_ms", search.ttft_max_ms},
                                      {"tpot_max_ms", search.tpot_max_ms},
                                      {"trial_s", search.trial_s},
                                      {"trials", std::move(trials)}});
}

}  // namespace cove::app

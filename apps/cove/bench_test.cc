// cove bench: its reports, and what it says of a machine's ceilings.
#include <algorithm>
#include <set>
#include <vector>

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "base/json.h"
#include "bench_model.h"
#include "bench_rate.h"
#include "bench_url.h"
#include "command_testing.h"
#include "commands.h"

namespace cove::app {
namespace {

BenchCeilings gpu_ceilings() {
  BenchCeilings ceilings{.device = BenchCeilings::Device::kGpu, .rates = {.threads = 0, .isa = "cuda"}};
  ceilings.rates.read_gbs.all_threads = 4300;
  ceilings.rates.bf16_gflops.all_threads = 764'000;
  ceilings.rates.int8_gops.all_threads = 1'390'000;
  ceilings.fp8_gflops = 1'395'000;
  return ceilings;
}

TEST(Bench, eight_bit_weights_are_measured_against_eight_bit_products_where_the_gpu_has_them) {
  const BenchCeilings hopper = gpu_ceilings();
  EXPECT_EQ(arithmetic_of("fp8", hopper), "fp8");
  EXPECT_EQ(arithmetic_of("int8", hopper), "int8");
  for (const char* format : {"bf16", "w4a16", "q8_0", "q4_0"}) EXPECT_EQ(arithmetic_of(format, hopper), "bf16");
  BenchCeilings older = hopper;
  older.fp8_gflops = older.rates.int8_gops.all_threads = 0;
  for (const char* format : {"fp8", "int8", "bf16"}) EXPECT_EQ(arithmetic_of(format, older), "bf16");
}

TEST(Bench, a_processor_multiplies_block_formats_in_int8_and_bf16_where_it_can) {
  BenchCeilings cpu;
  EXPECT_EQ(arithmetic_of("q8_0", cpu), "int8");
  EXPECT_EQ(arithmetic_of("bf16", cpu), "f32");
  cpu.rates.bf16_gflops.all_threads = 500;
  EXPECT_EQ(arithmetic_of("bf16", cpu), "bf16");
  EXPECT_EQ(arithmetic_of("f32", cpu), "f32");
}

TEST(Bench, the_caches_format_is_checked_and_told) {
  ModelBenchOptions options;
  options.shape = "R1-Distill-Qwen-1.5B";
  options.kv_format = "q8";
  const auto refused = run_model_bench(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("--kv-format"), std::string::npos) << refused.error().message;
  ModelBenchReport report;
  report.kv_format = "fp8";
  EXPECT_NE(report_text(report).find("cache in fp8"), std::string::npos) << report_text(report);
}

TEST(Bench, a_gpus_report_names_the_ceilings_it_has) {
  ModelBenchReport report;
  report.arithmetic = "fp8";
  report.before = report.after = gpu_ceilings();
  report.rows.push_back({.phase = "prefill", .tokens = 4096, .gops = 1'000'000, .compute_share = 0.7168});
  const std::string text = report_text(report);
  EXPECT_NE(text.find("764.0 bf16 TFLOP/s"), std::string::npos) << text;
  EXPECT_NE(text.find("1395.0 fp8 TFLOP/s"), std::string::npos) << text;
  EXPECT_NE(text.find("1390.0 int8 TOP/s"), std::string::npos) << text;
  EXPECT_NE(text.find("of fp8 ceiling"), std::string::npos) << text;
  EXPECT_NE(text.find("72%"), std::string::npos) << text;
  report.before.fp8_gflops = report.after.fp8_gflops = 0;
  report.before.rates.int8_gops = report.after.rates.int8_gops = {};
  const std::string older = report_text(report);
  EXPECT_EQ(older.find("fp8 TFLOP/s"), std::string::npos) << older;
  EXPECT_EQ(older.find("int8"), std::string::npos) << older;
}

TEST(Bench, a_gpus_ceilings_are_in_the_json) {
  ModelBenchReport report;
  report.load_s = 1;
  report.before = report.after = gpu_ceilings();
  const auto parsed = parse_json(report_json(report));
  ASSERT_TRUE(parsed);
  const json::value& before = parsed->at("ceilings_before");
  EXPECT_DOUBLE_EQ(before.at("fp8_gflop_s").at("all_threads").to_number<double>(), 1'395'000);
  EXPECT_DOUBLE_EQ(before.at("int8_gop_s").at("all_threads").to_number<double>(), 1'390'000);
  EXPECT_DOUBLE_EQ(before.at("bf16_gflop_s").at("all_threads").to_number<double>(), 764'000);
}

TEST(BenchLoad, prompts_of_letters_are_distinct_and_equally_long) {
  std::set<std::string> prompts;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const std::string prompt = load_prompt(20, seed, true);
    EXPECT_EQ(prompt.size(), 41U) << prompt;
    EXPECT_EQ(std::count(prompt.begin(), prompt.end(), ' '), 20) << prompt;
    prompts.insert(prompt);
    prompts.insert(load_prompt(20, seed, false));
  }
  EXPECT_EQ(prompts.size(), 100U);
}

// A server whose latencies grow with the rate and break at a known one.
struct FakeServer {
  double breaks_at = 0;
  std::vector<double> rates{};
  std::set<uint64_t> seeds{};

  Result<LoadReport> run(const LoadOptions& load) {
    rates.push_back(load.rate);
    seeds.insert(load.seed);
    LoadReport report;
    report.completed = load.requests;
    report.ttft_ms.p99 = load.rate > breaks_at ? 501 : 100;
    return report;
  }
  Result<RateReport> search(double first, double precision = 0.1) {
    const RateSearch search{.load = {.url = "http://x", .rate = first}, .precision = precision};
    return find_rate(search, [this](const LoadOptions& load) { return run(load); }, [](const RateTrial&) {});
  }
};

TEST(BenchRate, finds_the_rate_from_below_and_from_above) {
  for (const double first : {1.0, 500.0}) {
    FakeServer server{.breaks_at = 37};
    const auto report = server.search(first, 0.02);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_LE(report->rate, 37);
    EXPECT_GE(report->rate, 37 / 1.02);
    EXPECT_EQ(report->trials.size(), server.rates.size());
    EXPECT_EQ(server.seeds.size(), server.rates.size()) << "every trial has prompts of its own";
    EXPECT_LE(server.rates.size(), 14U);
  }
}

TEST(BenchRate, gives_up_when_no_rate_is_kept_or_every_one_is) {
  FakeServer hopeless{.breaks_at = 0};
  const auto none = hopeless.search(1);
  ASSERT_TRUE(none);
  EXPECT_EQ(none->rate, 0);
  EXPECT_EQ(none->trials.back().problem, "p99 TTFT 501.0 ms");
  FakeServer endless{.breaks_at = 1e9};
  const auto all = endless.search(1);
  ASSERT_TRUE(all);
  EXPECT_GT(all->rate, 50'000);
}

TEST(BenchRate, a_failed_request_or_a_slow_token_breaks_a_rate) {
  const auto with = [](LoadReport broken) {
    const RateSearch search{.load = {.url = "http://x", .rate = 8}};
    const auto run = [&](const LoadOptions& load) -> Result<LoadReport> {
      LoadReport fine;
      fine.completed = load.requests;
      return load.rate > 7 ? broken : fine;
    };
    const auto report = find_rate(search, run, [](const RateTrial&) {});
    EXPECT_TRUE(report);
    EXPECT_LT(report->rate, 7.01);
    return report->trials.front().problem;
  };
  LoadReport failed;
  failed.completed = 29;
  failed.failed = 1;
  EXPECT_EQ(with(failed), "1 of 30 requests failed");
  LoadReport slow;
  slow.tpot_ms.p99 = 50.1;
  EXPECT_EQ(with(slow), "p99 TPOT 50.1 ms");
}

TEST(BenchRate, reports_every_trial) {
  FakeServer server{.breaks_at = 3};
  const RateSearch search{.load = {.url = "http://x", .rate = 1}};
  const auto report = find_rate(search, [&](const LoadOptions& load) { return server.run(load); }, [](const auto&) {});
  ASSERT_TRUE(report);
  const auto parsed = parse_json(report_json(search, *report));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->at("trials").as_array().size(), report->trials.size());
  EXPECT_EQ(parsed->at("trials").as_array()[0].at("report").at("completed").as_int64(), 30);
  EXPECT_NE(report_text(search, *report).find("highest rate kept: 2."), std::string::npos)
      << report_text(search, *report);
}

TEST(BenchRate, refuses_options_that_mean_nothing) {
  const auto exit_code = [](std::vector<std::string> arguments) { return run_command(kBench, arguments).exit_code; };
  EXPECT_EQ(exit_code({"--find-rate"}), kWrongUsage);
  const std::string nobody = "http://127.0.0.1:9";
  EXPECT_EQ(exit_code({"--url", nobody, "--find-rate", "--rate", "-1"}), kWrongUsage);
  EXPECT_EQ(exit_code({"--url", nobody, "--prompt-tokens", "-1"}), kWrongUsage);
  EXPECT_EQ(exit_code({"--url", nobody, "--concurrency", "5000"}), kWrongUsage);
  EXPECT_EQ(exit_code({"--url", nobody, "--find-rate"}), kCouldNot) << "nobody answers there";
  const auto run = [](const LoadOptions&) -> Result<LoadReport> { return LoadReport{}; };
  const RateSearch search{.load = {.url = nobody, .rate = 1}, .trial_s = 0};
  EXPECT_FALSE(find_rate(search, run, [](const RateTrial&) {}));
}

}  // namespace
}  // namespace cove::app

// cove audit replay: runs recorded requests again and compares what comes out with what was recorded, byte for byte.
#include <atomic>
#include <cstdio>
#include <ctime>
#include <thread>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "audit_commands.h"
#include "audit_config.h"
#include "base/utf8.h"
#include "model_key.h"
#include "progress.h"
#include "serve_config.h"
#include "serve_engine.h"
#include "server/generation/rerun.h"
#include "services/audit/line.h"
#include "services/audit/reader.h"
#include "weights_digest.h"

namespace cove::app {
namespace {

constexpr const char* kName = "audit replay";
constexpr int64_t kJobsMax = 256;

struct ReplayFlags {
  StateFlags state;
  std::vector<std::string> ids;
  bool all = false;
  std::optional<std::string> dir, model, from, to, user;
  std::string key_file;
  int64_t jobs = 8;
  bool json = false;
};

enum class Verdict : uint8_t { kEqual, kDifferent, kNotReplayable };

struct Replayed {
  audit::Record record;
  Verdict verdict = Verdict::kNotReplayable;
  std::string why;  // empty when equal
};

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kEqual: return "equal";
    case Verdict::kDifferent: return "different";
    case Verdict::kNotReplayable: break;
  }
  return "not_replayable";
}

// "avx512" of "cpu: AMD EPYC, 2 threads, avx512": other instructions add in another order, and round otherwise.
std::string_view arithmetic_of(std::string_view device) {
  const size_t comma = device.rfind(", ");
  return comma == std::string_view::npos ? device : device.substr(comma + 2);
}

// Why this record cannot be run again with this model; empty when it can.
std::string obstacle(const audit::StoredRecord& stored, const server::ServedModel& model) {
  const engine::ModelInfo& now = model.engine->model();
  const audit::Record& record = stored.record;
  if (!record.generation) return "it asked no model, or ended before it did";
  const audit::Generation& made = *record.generation;
  if (record.outcome == audit::Outcome::kRefused) return fmt::format("it was refused ({})", record.error);
  if (stored.texts != audit::PromptForm::kFull || made.request.empty())
    return fmt::format("its prompt was not recorded (audit.prompts: {})", audit::to_string(stored.texts));
  if (record.details.contains("answer_filtered")) return "plugins changed its answer";
  if (!made.model.device.starts_with("cpu"))
    return fmt::format("it ran on {}, whose results depend on what else is in the batch", made.model.device);
  if (made.model.digest != now.digest)
    return fmt::format("it was answered by another model: {} ({})", made.model.name, made.model.digest);
  if (!may_be_same_weights(made.model.weights, model.weights_digest))
    return fmt::format("it was answered by other weights of the same shape: {} ({})", made.model.name,
                       made.model.weights);
  if (arithmetic_of(made.model.device) != arithmetic_of(now.device))
    return fmt::format("it was computed with {}, this engine has {}", arithmetic_of(made.model.device),
                       arithmetic_of(now.device));
  return {};
}

// A few characters around a place, readable.
std::string excerpt(const std::string& text, size_t at) {
  return json::serialize(json::value(replace_invalid_utf8(text.substr(at, 40))));
}

// Empty when equal; with `cut`, what was recorded only has to be the beginning.
enum class Length : uint8_t { kWhole, kCut };
std::string compare_text(std::string_view name, const std::string& then, const std::string& now, Length length) {
  const bool same = length == Length::kWhole ? then == now : now.starts_with(then);
  if (same) return {};
  const auto [a, b] = std::mismatch(then.begin(), then.end(), now.begin(), now.end());
  const auto at = static_cast<size_t>(a - then.begin());
  return fmt::format("{} differs from byte {} on: recorded {}, now {}", name, at, excerpt(then, at), excerpt(now, at));
}

// What was cut off has a beginning of the reasoning, or all of it and a beginning of the content, and so on.
std::string compare_answer(const audit::AnswerText& then, const audit::AnswerText& now, Length length) {
  const bool cut = length == Length::kCut;
  const bool content_began = !then.content.empty() || !then.tool_calls.empty();
  std::string why =
      compare_text("reasoning", then.reasoning, now.reasoning, cut && !content_began ? Length::kCut : Length::kWhole);
  if (why.empty()) why = compare_text("content", then.content, now.content, length);
  if (!why.empty()) return why;
  // Whole calls only: a shorter list ends with a bracket where the longer one has a comma.
  if (cut && then.tool_calls.empty()) return {};
  std::string calls = then.tool_calls;
  if (cut) calls.pop_back();
  return compare_text("tool calls", calls, now.tool_calls, length);
}

std::string compare(const audit::Generation& then, const server::Rerun& now) {
  if (then.answers.size() != now.answers.size())
    return fmt::format("{} choices were recorded, now there are {}", then.answers.size(), now.answers.size());
  for (size_t i = 0; i < now.answers.size(); ++i) {
    const std::string reason = i < then.finish_reasons.size() ? then.finish_reasons[i] : std::string();
    const Length length = reason == "cancelled" || reason == "error" ? Length::kCut : Length::kWhole;
    std::string why = compare_answer(then.answers[i], now.answers[i], length);
    if (why.empty() && length == Length::kWhole && reason != now.finish_reasons[i])
      why = fmt::format("it finished with '{}', now with '{}'", reason, now.finish_reasons[i]);
    if (!why.empty()) return now.answers.size() == 1 ? why : fmt::format("choice {}: {}", i, why);
  }
  return {};
}

Replayed replay(const audit::StoredRecord& stored, const server::ServedModel& model) {
  Replayed result{.record = stored.record, .why = obstacle(stored, model)};
  if (!result.why.empty()) return result;
  const audit::Generation& then = *stored.record.generation;
  const auto now = server::rerun({.model = model,
                                  .route = stored.record.route,
                                  .request = then.request,
                                  .parameters = then.parameters,
                                  .time_ns = stored.record.time_ns});
  if (!now) {
    result.why = now.error().message;
    return result;
  }
  result.why = compare(then, *now);
  result.verdict = result.why.empty() ? Verdict::kEqual : Verdict::kDifferent;
  return result;
}

// Side by side, so that they share batches as requests do.
std::vector<Replayed> replay_all(const std::vector<audit::StoredRecord>& records, const server::ServedModel& model,
                                 int64_t jobs) {
  std::vector<Replayed> results(records.size());
  std::atomic<size_t> next = 0;
  std::atomic<size_t> done = 0;
  Progress progress("replaying", records.size(), Progress::Unit::kItems);
  const auto work = [&] {
    for (size_t i = next++; i < records.size(); i = next++) {
      results[i] = replay(records[i], model);
      progress.at(++done);
    }
  };
  std::vector<std::jthread> threads;
  for (int64_t i = 1; i < jobs; ++i) threads.emplace_back(work);
  work();
  threads.clear();  // joins
  return results;
}

size_t count(const std::vector<Replayed>& results, Verdict verdict) {
  return static_cast<size_t>(std::ranges::count(results, verdict, &Replayed::verdict));
}

void print_json(const std::vector<Replayed>& results) {
  json::array records;
  for (const Replayed& one : results) {
    records.push_back(json::object{{"id", one.record.request_id},
                                   {"time", audit::time_text(one.record.time_ns)},
                                   {"route", one.record.route},
                                   {"result", to_string(one.verdict)},
                                   {"why", one.why.empty() ? json::value(nullptr) : json::value(one.why)}});
  }
  fmt::print("{}\n", json::serialize(json::object{{"equal", count(results, Verdict::kEqual)},
                                                  {"different", count(results, Verdict::kDifferent)},
                                                  {"not_replayable", count(results, Verdict::kNotReplayable)},
                                                  {"records", std::move(records)}}));
}

void print_text(const std::vector<Replayed>& results) {
  for (const Replayed& one : results) {
    if (one.verdict == Verdict::kEqual && results.size() > 1) continue;
    std::string name(to_string(one.verdict));
    std::ranges::replace(name, '_', ' ');
    fmt::print("{} {}: {}{}{}\n", audit::time_text(one.record.time_ns), one.record.request_id, name,
               one.why.empty() ? "" : ": ", one.why);
  }
  fmt::print("{} equal, {} different, {} not replayable\n", count(results, Verdict::kEqual),
             count(results, Verdict::kDifferent), count(results, Verdict::kNotReplayable));
}

bool wanted(const ReplayFlags& flags, const audit::Record& record) {
  // What asked no model has nothing to compare, and is no finding either, unless it was asked for.
  if (flags.ids.empty()) return record.generation.has_value();
  return std::ranges::find(flags.ids, record.request_id) != flags.ids.end();
}

Result<std::vector<audit::StoredRecord>> read_wanted(const ReplayFlags& flags, const ServeConfig& config) {
  audit::ReadOptions options;
  TRY_ASSIGN(const audit::LogOptions log, audit_options(config));
  options.dir = flags.dir ? std::filesystem::path(*flags.dir) : log.dir;
  if (flags.from) {
    TRY_ASSIGN(options.from_ns, audit::parse_time(*flags.from));
  }
  if (flags.to) {
    TRY_ASSIGN(options.to_ns, audit::parse_time(*flags.to));
  }
  if (flags.user) options.user = *flags.user;
  std::vector<audit::StoredRecord> records;
  TRY(audit::read_records(options, [&](audit::StoredRecord& stored, std::string_view /*line*/) -> Status {
    if (wanted(flags, stored.record)) records.push_back(std::move(stored));
    return {};
  }));
  for (const std::string& id : flags.ids) {
    if (std::ranges::none_of(records, [&](const auto& record) { return record.record.request_id == id; }))
      return make_error(ErrorCode::kNotFound, fmt::format("{}: there is no request '{}'", options.dir.string(), id));
  }
  return records;
}

Result<std::vector<Replayed>> run_replay(const ReplayFlags& flags) {
  std::vector<std::pair<std::string, std::string>> overrides;
  if (flags.model) overrides.emplace_back("model.path", *flags.model);
  TRY_ASSIGN(const ServeConfig config, load_config(flags.state, std::move(overrides)));
  TRY_ASSIGN(const auto records, read_wanted(flags, config));
  if (records.empty()) return std::vector<Replayed>();
  const std::string& path = config.values.string("model.path");
  TRY_ASSIGN(const auto model_path, find_model(path.empty() ? std::nullopt : std::optional(path)));
  ModelKeys keys({.flag_file = flags.key_file,
                  .file = config.values.string("model.key_file"),
                  .command = config.values.string("model.key_command")});
  TRY_ASSIGN(const auto key, keys.key_of(model_path));
  OpenEngineOptions options = engine_options(config.values, model_path, key);
  options.device = {.device = "cpu"};
  TRY_ASSIGN(const OpenedModel opened, open_engine(options));
  server::ServedModelParts parts = served_parts(opened);
  TRY_ASSIGN(parts.weights_digest, weights_digest(model_path, config.data / "weights.digest"));
  const auto model = server::serve_model(std::move(parts), std::time(nullptr));
  return replay_all(records, *model, flags.jobs);
}

int wrong_usage(const std::string& message) {
  std::fprintf(stderr, "cove %s: %s\n", kName, message.c_str());
  return kWrongUsage;
}

}  // namespace

int run_audit_replay(int argc, const char* const* argv) {
  ReplayFlags wanted;
  Flags flags(
      kName,
      "Runs recorded requests again on the CPU engine and compares the answers with the recorded ones, byte for "
      "byte. Needs what audit.prompts: full keeps.");
  flags.add("ID", wanted.ids, "request ids, as in x-request-id and in the log");
  flags.add_switch("--all", wanted.all, "every recorded generation");
  flags.add("--from", wanted.from, "only from then on, such as 2026-11-29 or 2026-11-29T08:00:00Z");
  flags.add("--to", wanted.to, "only before then");
  flags.add("--user", wanted.user, "only of this identity, such as user:alice or key:3");
  flags.add("--dir", wanted.dir, "folder of the log (default: audit.dir of the configuration)");
  flags.add("--model", wanted.model, "the model that answered (default: as serve)");
  add_key_flag(flags, wanted.key_file);
  flags.add("--jobs", wanted.jobs, "requests at the same time (default: 8)");
  add_state_flags(flags, wanted.state);
  flags.add_switch("--json", wanted.json, "print JSON");
  flags.footer(
      "Exit code: 0 when nothing differs, 1 when an answer differs or could not be looked for.\n"
      "When an answer can be repeated and when not: docs/operations/audit.md.");
  if (const auto code = flags.parse(argc, argv)) return *code;
  const bool range = wanted.all || wanted.from || wanted.to || wanted.user;
  if (wanted.ids.empty() && !range) return wrong_usage("give request ids, --all, --from, --to or --user");
  if (!wanted.ids.empty() && range) return wrong_usage("request ids go without --all, --from, --to and --user");
  if (wanted.jobs < 1 || wanted.jobs > kJobsMax) return wrong_usage("--jobs is 1 to 256");
  const auto results = run_replay(wanted);
  if (!results) return fail(kName, results.error().message);
  wanted.json ? print_json(*results) : print_text(*results);
  return count(*results, Verdict::kDifferent) == 0 ? kDone : kCouldNot;
}

}  // namespace cove::app

// cove eval: how well a model predicts a text and solves exercises, alone or against another model.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"
#include "commands.h"
#include "engine/options.h"
#include "eval_logits.h"
#include "eval_report.h"
#include "json_lines.h"
#include "logit_reader.h"
#include "model_key.h"
#include "open_engine.h"
#include "progress.h"

namespace cove::app {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* kName = "eval";
constexpr int64_t kWindowDefault = 512;
constexpr int64_t kLogitChunkDefault = 2048;  // a step of the engine has as many tokens at most

struct Options {
  std::string model;
  std::optional<std::string> against;
  std::optional<std::string> text;
  std::optional<std::string> tasks;
  std::optional<std::string> logits;
  std::string device = "auto";
  std::string weight_format = "auto";
  std::string kv_format = "auto";
  int64_t chunk = kLogitChunkDefault;
  std::string key_file;
  int64_t context = 0;
  int64_t stride = 0;
  int64_t threads = 0;
  int64_t limit = 0;
  int64_t wrong = 0;
  TaskOptions answering;
  bool json = false;
};

void add_flags(Flags& flags, Options& options) {
  flags.add("MODEL", options.model, "a model directory or .gguf (default: the shipped model)");
  flags.add("--against", options.against,
            "another model with the same tokenizer, the reference: divergence from it, and its scores");
  flags.add("--text", options.text, "a UTF-8 text: perplexity");
  flags.add("--tasks", options.tasks,
            "exercises, one JSON object a line: {\"prompt\" or \"messages\", \"answer\" or \"check\", \"task\", "
            "\"language\"} (default without --text: MODEL/tasks.jsonl)");
  flags.add("--context", options.context, "with --text: tokens seen at once (default: 512, or the model's context)");
  flags.add("--stride", options.stride,
            "with --text: tokens by which the window moves on; each is predicted once (default: half of --context)");
  flags.add("--limit", options.limit, "with --tasks: this many, spread evenly over the file (default: all)");
  flags.add("--max-tokens", options.answering.tokens_max, "with --tasks: tokens of an answer at most (default: 600)");
  flags.add("--temperature", options.answering.temperature, "with --tasks (default: 0, greedy)");
  flags.add("--top-p", options.answering.top_p, "with --tasks and a temperature (default: 1)");
  flags.add("--wrong", options.wrong, "with --tasks: print the first N wrong answers to standard error");
  flags.add("--logits", options.logits,
            "token ids, one JSON object a line: {\"ids\", \"positions\", \"greedy\" or \"follow\"}; prints the logits");
  flags.add("--chunk", options.chunk, "with --logits: prompt tokens computed at once (default: 2048)");
  flags.add("--device", options.device, "auto, cpu or cuda (default: auto)");
  flags.add("--format", options.weight_format,
            "on a GPU: what MODEL's weights are rounded to, fp8, int8 or w4a16 (default: auto, not at all); those of "
            "--against stay as they are");
  flags.add("--kv-format", options.kv_format,
            "MODEL's keys and values in f32, f16, bf16 or, on a GPU, fp8 (default: auto); those of --against in auto");
  flags.add("--threads", options.threads, "threads (default: one per physical core)");
  add_key_flag(flags, options.key_file);
  flags.add_switch("--json", options.json, "one JSON object instead of tables");
  flags.footer(
      "Examples:\n  cove eval models/cove-mini\n  cove eval models/cove-mini --text README.md\n"
      "  cove eval --device cuda --format w4a16 --against models/cove-mini --text README.md models/cove-mini\n"
      "  cove eval small-q8_0.gguf --against models/cove-mini --text README.md");
}

Status check_ranges(const Options& options) {
  if (options.logits && (options.text || options.tasks || options.against))
    return invalid_argument("--logits goes without --text, --tasks and --against");
  if (!is_device_name(options.device)) return invalid_argument("--device is auto, cpu or cuda");
  if (!engine::is_kv_format(options.kv_format)) return invalid_argument("--kv-format is auto, f32, f16, bf16 or fp8");
  if (options.context != 0 && options.context < 2) return invalid_argument("--context must be at least 2");
  if (options.stride < 0) return invalid_argument("--stride must be at least 1");
  if (options.chunk < 1 || options.chunk > 65536) return invalid_argument("--chunk is 1 to 65536");
  if (options.limit < 0 || options.wrong < 0) return invalid_argument("--limit and --wrong must not be negative");
  if (options.threads < 0 || options.threads > 1024) return invalid_argument("--threads is 0 (automatic) to 1024");
  const TaskOptions& answering = options.answering;
  if (answering.tokens_max < 1 || answering.tokens_max > INT32_MAX)
    return invalid_argument("--max-tokens must be at least 1");
  if (!(answering.temperature >= 0 && answering.temperature <= 2))
    return invalid_argument("--temperature must lie between 0 and 2");
  if (!(answering.top_p > 0 && answering.top_p <= 1)) return invalid_argument("--top-p must be above 0 and at most 1");
  return {};
}

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

using Files = std::shared_ptr<const engine::ModelFiles>;

enum class Role : uint8_t { kModel, kAgainst };

// Opens models, asking for the key of encrypted ones once.
class Shelf {
 public:
  explicit Shelf(const Options& options) : options_(&options), keys_(key_places(options.key_file)) {}

  Result<Files> files(const fs::path& path) {
    TRY_ASSIGN(const std::optional<SealKey> key, keys_.key_of(path));
    TRY_ASSIGN(engine::ModelFiles opened, engine::open_model_files(path, {.key = key}));
    return Files(std::make_shared<engine::ModelFiles>(std::move(opened)));
  }
  Result<std::unique_ptr<LogitReader>> reader(Files files, Role role, LogitReader::Sizes sizes) {
    TRY_ASSIGN(auto backend, open_backend(device(role)));
    sizes.kv_format = kv_format(role);
    return LogitReader::create(std::move(files), std::move(backend), sizes);
  }
  Result<OpenedModel> engine(const fs::path& path, Role role) {
    TRY_ASSIGN(const std::optional<SealKey> key, keys_.key_of(path));
    OpenEngineOptions open{.model = path,
                           .name = "",
                           .key = key,
                           .device = device(role),
                           .engine = {.sequences_max = options_->answering.at_once, .kv_format = kv_format(role)}};
    return open_engine(open);
  }

 private:
  std::string kv_format(Role role) const { return role == Role::kModel ? options_->kv_format : "auto"; }
  DeviceOptions device(Role role) const {
    return {.device = options_->device,
            .threads = static_cast<int>(options_->threads),
            .weight_format = role == Role::kModel ? options_->weight_format : "auto"};
  }

  const Options* options_;
  ModelKeys keys_;
};

EvalModelName name_of(const fs::path& path, const engine::ModelFiles& files) {
  return {.path = path.string(), .format = files.weight_format, .digest = files.digest};
}

// The text as both models read it. Errors: they read it differently.
Status check_same_tokens(const engine::ModelFiles& model, const engine::ModelFiles& against, const std::string& text,
                         const std::vector<int32_t>& ids) {
  const auto differ = [&](const std::string& how) {
    return invalid_argument(
        fmt::format("{} and {} cannot be compared: {}", model.path.string(), against.path.string(), how));
  };
  if (model.spec.vocab != against.spec.vocab)
    return differ(fmt::format("their vocabularies hold {} and {} tokens", model.spec.vocab, against.spec.vocab));
  TRY_ASSIGN(const std::vector<int32_t> other, against.tokenizer->encode(text, {.parse_special = false}));
  if (other != ids) return differ("their tokenizers split the text differently");
  return {};
}

Result<TextOptions> text_options(const Options& options, const engine::ModelFiles& files) {
  TextOptions out;
  out.bos = files.tokenizer->bos_id();
  const int64_t context_max = files.spec.context_max;
  out.window = options.context > 0 ? options.context : std::min(kWindowDefault, context_max);
  if (out.window > context_max)
    return invalid_argument(fmt::format("--context {} is more than the model's {}", out.window, context_max));
  out.stride = options.stride > 0 ? options.stride : std::max<int64_t>(1, out.window / 2);
  if (out.stride >= out.window)
    return invalid_argument(fmt::format("--stride {} must be less than --context {}", out.stride, out.window));
  return out;
}

Result<TextReport> eval_text(Shelf& shelf, const Options& options, const Files& model, const Files& against) {
  TRY_ASSIGN(const std::string text, read_file(*options.text));
  auto ids = model->tokenizer->encode(text, {.parse_special = false});
  if (!ids) return with_context(ids.error(), *options.text);
  TextReport report{.file = *options.text, .bytes = static_cast<int64_t>(text.size()), .options = {}, .score = {}};
  TRY_ASSIGN(report.options, text_options(options, *model));
  std::unique_ptr<LogitReader> reference;
  if (against != nullptr) {
    TRY(check_same_tokens(*model, *against, text, *ids));
    TRY_ASSIGN(reference, shelf.reader(against, Role::kAgainst, {.positions_max = report.options.window}));
  }
  TRY_ASSIGN(const auto reader, shelf.reader(model, Role::kModel, {.positions_max = report.options.window}));
  Progress progress("reading " + *options.text, ids->size(), Progress::Unit::kItems);
  const auto begin = Clock::now();
  auto score = score_text(*reader, reference.get(), *ids, report.options,
                          [&](int64_t tokens) { progress.at(static_cast<uint64_t>(tokens)); });
  if (!score) return with_context(score.error(), *options.text);
  report.score = *score;
  report.seconds = seconds_since(begin);
  return report;
}

void print_wrong(const std::vector<EvalTask>& tasks, const std::vector<TaskAnswer>& answers, int64_t count) {
  for (size_t i = 0; i < tasks.size() && count > 0; ++i) {
    if (answers[i].verdict.correct) continue;
    --count;
    fmt::print(stderr, "---- {} {}, wanted {} {}\n{}{}\n", tasks[i].task, tasks[i].language,
               text::check_name(tasks[i].check.kind), fmt::join(tasks[i].check.want, " | "), tasks[i].prompt,
               answers[i].text);
  }
}

struct Answered {
  std::vector<EvalTask> tasks;
  std::vector<TaskAnswer> answers;
  double seconds = 0;
};

struct Candidate {
  Role role;
  fs::path model;
};

Result<Answered> answer_with(Shelf& shelf, const Options& options, const Candidate& candidate, const fs::path& file) {
  TRY_ASSIGN(const OpenedModel opened, shelf.engine(candidate.model, candidate.role));
  Answered out;
  TRY_ASSIGN(out.tasks, read_tasks(file, opened, options.limit));
  Progress progress("answering " + file.string(), out.tasks.size(), Progress::Unit::kItems);
  const auto begin = Clock::now();
  TRY_ASSIGN(out.answers, answer_tasks(opened, out.tasks, options.answering,
                                       [&](int64_t done) { progress.at(static_cast<uint64_t>(done)); }));
  out.seconds = seconds_since(begin);
  return out;
}

double same_share(const std::vector<TaskAnswer>& a, const std::vector<TaskAnswer>& b) {
  int64_t same = 0;
  for (size_t i = 0; i < a.size(); ++i) same += a[i].text == b[i].text ? 1 : 0;
  return static_cast<double>(same) / static_cast<double>(a.size());
}

Result<TaskReport> eval_tasks(Shelf& shelf, const Options& options, const fs::path& model, const fs::path& file) {
  TRY_ASSIGN(const Answered answered, answer_with(shelf, options, {Role::kModel, model}, file));
  print_wrong(answered.tasks, answered.answers, options.wrong);
  TaskReport report{.file = file.string(),
                    .options = options.answering,
                    .rows = tally(answered.tasks, answered.answers),
                    .against_rows = {},
                    .same_answer_share = std::nullopt,
                    .seconds = answered.seconds};
  for (const TaskAnswer& answer : answered.answers) report.tokens += answer.tokens;
  if (!options.against) return report;
  TRY_ASSIGN(const Answered reference, answer_with(shelf, options, {Role::kAgainst, *options.against}, file));
  report.against_rows = tally(reference.tasks, reference.answers);
  report.same_answer_share = same_share(answered.answers, reference.answers);
  return report;
}

// Given, or the model's own when there is nothing else to do.
std::optional<fs::path> tasks_file(const Options& options, const fs::path& model) {
  if (options.tasks) return *options.tasks;
  std::error_code error;
  const bool has_own = !options.text && fs::exists(model / "tasks.jsonl", error);
  return has_own ? std::optional<fs::path>(model / "tasks.jsonl") : std::nullopt;
}

Result<EvalReport> evaluate(const Options& options, const fs::path& model, const std::optional<fs::path>& tasks) {
  Shelf shelf(options);
  EvalReport report;
  {
    TRY_ASSIGN(const Files files, shelf.files(model));
    report.model = name_of(model, *files);
    Files against;
    if (options.against) {
      TRY_ASSIGN(against, shelf.files(*options.against));
      report.against = name_of(*options.against, *against);
    }
    if (options.text) {
      TRY_ASSIGN(report.text, eval_text(shelf, options, files, against));
    }
  }
  if (tasks) {
    TRY_ASSIGN(report.tasks, eval_tasks(shelf, options, model, *tasks));
  }
  return report;
}

// One line of standard output for each line of the file, as soon as it is computed.
Status print_logits(const Options& options, const fs::path& model) {
  Shelf shelf(options);
  TRY_ASSIGN(const Files files, shelf.files(model));
  TRY_ASSIGN(const std::string lines, read_file(*options.logits));
  const LogitBounds bounds{.vocab = files->spec.vocab, .context_max = files->spec.context_max};
  auto requests = parse_logit_requests(lines, bounds);
  if (!requests) return with_context(requests.error(), *options.logits);
  LogitReader::Sizes sizes;
  int64_t prompt = 1;
  for (const LogitRequest& request : *requests) {
    const auto length = static_cast<int64_t>(request.ids.size());
    prompt = std::max(prompt, length);
    sizes.positions_max = std::max(sizes.positions_max, length + request.steps());
  }
  sizes.chunk_tokens = std::min(options.chunk, prompt);
  TRY_ASSIGN(const auto reader, shelf.reader(files, Role::kModel, sizes));
  for (const LogitRequest& request : *requests) {
    TRY_ASSIGN(const std::string answer, answer_logits(*reader, request));
    fmt::print("{}\n", answer);
  }
  return {};
}

int wrong_usage(const std::string& message) {
  fail(kName, message);
  return kWrongUsage;
}

int run(int argc, const char* const* argv) {
  Options options;
  Flags flags(kName, "how well a model predicts a text and solves exercises, alone or against another model");
  add_flags(flags, options);
  if (const auto code = flags.parse(argc, argv)) return *code;
  if (const Status ranges = check_ranges(options); !ranges) return wrong_usage(ranges.error().message);
  log::configure(log::Level::kWarn, log::Style::kText);
  const auto model = find_model(options.model.empty() ? std::nullopt : std::optional<std::string>(options.model));
  if (!model) return fail(kName, model.error().message);
  if (options.logits) {
    const Status printed = print_logits(options, *model);
    return printed ? finish_output(kName, kDone) : fail(kName, printed.error().message);
  }
  const std::optional<fs::path> tasks = tasks_file(options, *model);
  if (!options.text && !tasks) {
    return wrong_usage(fmt::format("give --text, --tasks or both ({} has no tasks.jsonl of its own)", model->string()));
  }
  const Result<EvalReport> report = evaluate(options, *model, tasks);
  if (!report) return fail(kName, report.error().message);
  fmt::print("{}\n", options.json ? report_json(*report) : report_text(*report));
  return finish_output(kName, kDone);
}

}  // namespace

const Command kEval{kName, "perplexity, divergence from another model, and scores on exercises", run};

}  // namespace cove::app

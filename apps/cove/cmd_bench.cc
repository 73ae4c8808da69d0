// cove bench: how fast a model runs here and what share of the machine that is; or, with --url, how fast a server
// answers.
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

#include <fmt/format.h>

#include "backends/cuda/cuda_backend.h"
#include "bench_model.h"
#include "bench_rate.h"
#include "bench_url.h"
#include "commands.h"
#include "model_key.h"
#include "open_engine.h"

namespace cove::app {
namespace {

struct Options {
  std::string model;
  std::string shape;
  std::string format = "bf16";
  std::string kv_format = "auto";
  std::string device = "auto";
  int64_t prefill = 512;
  int64_t decode = 128;
  std::string batch = "1,4,8";
  int64_t threads = 0;
  std::string isa;
  LoadOptions load;
  RateSearch search;
  bool find_rate = false;
  std::string key_file;
  bool json = false;
};

// "1,4,8"; empty on anything else.
std::vector<int64_t> parse_sizes(const std::string& text) {
  std::vector<int64_t> sizes;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    char* end = nullptr;
    sizes.push_back(std::strtoll(part.c_str(), &end, 10));
    if (part.empty() || *end != '\0') return {};
  }
  return sizes;
}

void add_flags(Flags& flags, Options& options) {
  flags.add("MODEL", options.model, "a model directory or .gguf (default: the shipped model)");
  flags.add("--shape", options.shape,
            "instead of MODEL: random weights of this published shape, as in R1-Distill-Qwen-1.5B");
  flags.add("--format", options.format,
            "with --shape: f32, f16, bf16, q8_0 or q4_0 (default: bf16); on a GPU also fp8, int8 or w4a16, which bf16 "
            "weights are rounded to");
  flags.add("--kv-format", options.kv_format,
            "keys and values in f32, f16, bf16 or, on a GPU, fp8 (default: auto: bf16, with f32 weights f32)");
  flags.add("--device", options.device, "auto, cpu or cuda (default: auto)");
  flags.add("--prefill", options.prefill, "prompt tokens (default: 512)");
  flags.add("--decode", options.decode, "decode steps (default: 128)");
  flags.add("--batch", options.batch, "numbers of sequences to decode at once (default: 1,4,8)");
  flags.add("--threads", options.threads, "threads (default: one per physical core)");
  flags.add("--isa", options.isa,
            "force an instruction set: avx512_bf16, avx512, avx2, generic (default: $COVE_ISA, else the best)");
  flags.add("--url", options.load.url,
            "measure a running OpenAI-compatible server instead, as in http://127.0.0.1:8080");
  flags.add("--rate", options.load.rate, "with --url: requests per second, Poisson arrivals (default: closed loop)");
  flags.add("--concurrency", options.load.concurrency,
            "with --url: clients at once (default: 8); with --rate: connections at most (default: 1024)");
  flags.add("--requests", options.load.requests, "with --url: requests in all (default: 64)");
  flags.add("--prompt-words", options.load.prompt_words, "with --url: words of a prompt (default: 64)");
  flags.add("--prompt-tokens", options.load.prompt_tokens,
            "with --url: tokens of a prompt, template included, instead of words");
  flags.add("--max-tokens", options.load.tokens_max, "with --url: tokens of an answer at most (default: 64)");
  flags.add_switch("--find-rate", options.find_rate,
                   "with --url: the highest rate that keeps the two limits below, beginning at --rate (default: 1)");
  flags.add("--ttft-max-ms", options.search.ttft_max_ms,
            "with --find-rate: time to first token of 99 % of the requests (default: 500)");
  flags.add("--tpot-max-ms", options.search.tpot_max_ms,
            "with --find-rate: time per output token after it (default: 50)");
  flags.add("--trial-s", options.search.trial_s, "with --find-rate: seconds of arrivals at each rate (default: 30)");
  flags.add("--key-file", options.key_file,
            "with --url: file that holds the API key (default: $COVE_API_KEY); else the key of an encrypted MODEL");
  flags.add_switch("--json", options.json, "one JSON object instead of tables");
  flags.footer(
      "Examples:\n  cove bench models/cove-mini\n  cove bench --shape R1-Distill-Qwen-1.5B --format q8_0 --decode 32\n"
      "  cove bench --url http://127.0.0.1:8080 --concurrency 32 --requests 256\n"
      "  cove bench --url http://127.0.0.1:8080 --find-rate --prompt-tokens 512 --max-tokens 256");
}

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

Result<std::string> read_key(const Options& options) {
  if (options.key_file.empty()) return from_environment("COVE_API_KEY");
  std::FILE* file = std::fopen(options.key_file.c_str(), "r");
  if (file == nullptr) return make_error(ErrorCode::kIo, fmt::format("{} cannot be read", options.key_file));
  char line[512] = {};
  const bool read = std::fgets(line, sizeof(line), file) != nullptr;
  std::fclose(file);
  std::string key = line;
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r' || key.back() == ' ')) key.pop_back();
  if (!read || key.empty()) return make_error(ErrorCode::kIo, fmt::format("{} holds no key", options.key_file));
  return key;
}

int report_failure(const Error& error) {
  fail("bench", error.message);
  return error.code == ErrorCode::kInvalidArgument ? kWrongUsage : kCouldNot;
}

int bench_rate(const Options& options) {
  RateSearch search = options.search;
  LoadOptions load = options.load;
  if (load.rate == 0) load.rate = 1;
  Result<LoadOptions> resolved = resolve_load(load);
  if (!resolved) return report_failure(resolved.error());
  search.load = std::move(*resolved);
  const auto show = [](const RateTrial& trial) {
    fmt::print(stderr, "{:.2f} requests/s: {}\n", trial.rate, trial.problem.empty() ? "kept" : trial.problem);
  };
  const Result<RateReport> report = find_rate(search, run_load, show);
  if (!report) return report_failure(report.error());
  fmt::print("{}\n", options.json ? report_json(search, *report) : report_text(search, *report));
  return report->rate > 0 ? kDone : kCouldNot;
}

int bench_url(Options& options) {
  Result<std::string> key = read_key(options);
  if (!key) return fail("bench", key.error().message);
  options.load.api_key = std::move(*key);
  if (options.find_rate) return bench_rate(options);
  const Result<LoadReport> report = run_load(options.load);
  if (!report) return report_failure(report.error());
  fmt::print("{}\n", options.json ? report_json(*report) : report_text(*report));
  return report->failed == 0 ? kDone : kCouldNot;
}

int bench_model(const Options& options) {
  const bool rounds = options.format == "fp8" || options.format == "int8" || options.format == "w4a16";
  ModelBenchOptions bench = {.model = {},
                             .shape = options.shape,
                             .format = rounds ? "bf16" : options.format,
                             .prefill = options.prefill,
                             .decode = options.decode,
                             .batches = parse_sizes(options.batch),
                             .device = options.device == "auto" ? (cuda_available() ? "cuda" : "cpu") : options.device,
                             .weight_format = rounds ? options.format : "auto",
                             .kv_format = options.kv_format,
                             .threads = static_cast<int>(options.threads),
                             .isa = options.isa.empty() ? from_environment("COVE_ISA") : options.isa};
  if (options.shape.empty()) {
    const auto path = find_model(options.model.empty() ? std::nullopt : std::optional(options.model));
    if (!path) return fail("bench", path.error().message);
    bench.model = *path;
    const auto key = ModelKeys(key_places(options.key_file)).key_of(*path);
    if (!key) return fail("bench", key.error().message);
    bench.key = *key;
  }
  fmt::print(stderr, "measuring; this takes about a minute for a large model\n");
  const Result<ModelBenchReport> report = run_model_bench(bench);
  if (!report) return report_failure(report.error());
  fmt::print("{}\n", options.json ? report_json(*report) : report_text(*report));
  return kDone;
}

int run(int argc, const char* const* argv) {
  Options options;
  Flags flags("bench", "how fast a model runs here, or a server answers, against the machine's ceilings");
  add_flags(flags, options);
  if (const auto code = flags.parse(argc, argv)) return *code;
  if (!options.model.empty() + !options.shape.empty() + !options.load.url.empty() > 1) {
    fail("bench", "give one of MODEL, --shape and --url");
    return kWrongUsage;
  }
  if (options.find_rate && options.load.url.empty()) {
    fail("bench", "--find-rate needs --url");
    return kWrongUsage;
  }
  if (!is_device_name(options.device)) {
    fail("bench", "--device is auto, cpu or cuda");
    return kWrongUsage;
  }
  if (options.threads < 0 || options.threads > 1024) {
    fail("bench", "--threads is 0 (automatic) to 1024");
    return kWrongUsage;
  }
  return options.load.url.empty() ? bench_model(options) : bench_url(options);
}

}  // namespace

const Command kBench{"bench", "how fast a model runs here, and what share of the machine that is", run};

}  // namespace cove::app

// cove model: looks at model files, checks them, lists them, makes random ones for benches.

#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "actions.h"
#include "commands.h"
#include "engine/loading/verify.h"
#include "model_key.h"
#include "model_report.h"
#include "progress.h"
#include "random_model.h"
#include "tensor/io/printable.h"

namespace cove::app {
namespace {

using Clock = std::chrono::steady_clock;

struct PathOptions {
  std::string path;
  std::string key_file;
  bool json = false;
};

// With the key, where the model needs one.
Result<ModelReport> report_with_key(const PathOptions& options) {
  ModelKeys keys(key_places(options.key_file));
  TRY_ASSIGN(const std::optional<SealKey> key, keys.key_of(options.path));
  return report_on(options.path, key);
}

// nullopt: go on.
std::optional<int> parse_path(Flags& flags, PathOptions& options, int argc, const char* const* argv) {
  flags.add("PATH", options.path, "a Hugging Face model directory or a .gguf file");
  flags.require("PATH");
  add_key_flag(flags, options.key_file);
  flags.add_switch("--json", options.json, "print JSON");
  return flags.parse(argc, argv);
}

int run_inspect(int argc, const char* const* argv) {
  PathOptions options;
  Flags flags("model inspect",
              "Shows what a model is: shape, formats, context, memory, every tensor and where it lies.");
  if (const auto exit_code = parse_path(flags, options, argc, argv)) return *exit_code;
  const auto read = report_with_key(options);
  if (!read) return fail("model inspect", read.error().message);
  const ModelReport& report = *read;
  if (!report.model && report.tensors.empty()) return fail("model inspect", report.problem);
  if (options.json) {
    fmt::print("{}\n", json::serialize(report_json(report)));
  } else {
    fmt::print("{}", report_text(report));
  }
  return report.model ? kDone : kCouldNot;
}

struct Verified {
  engine::VerifyReport report;
  std::vector<std::string> problems;
  double seconds = 0;
};

Verified verify(const ModelReport& opened) {
  Verified verified;
  const engine::ModelFiles& model = *opened.model;
  if (model.tokenizer == nullptr) verified.problems.push_back("tokenizer: " + model.tokenizer_problem);
  if (!opened.template_problem.empty()) verified.problems.push_back("chat template: " + opened.template_problem);
  uint64_t total = 1;
  for (const TensorInfo& tensor : opened.tensors) total += tensor.bytes;
  Progress progress("verifying", total);
  const auto begin = Clock::now();
  const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1U, 8U);
  verified.report = engine::verify_weights(
      *model.weights, {.threads = static_cast<int>(threads), .on_progress = [&](uint64_t done) { progress.at(done); }});
  verified.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  for (const engine::WeightFault& fault : verified.report.faults) {
    verified.problems.push_back(fmt::format("{}: tensor {}: {} (byte {} of the file)", fault.file,
                                            printable_name(fault.tensor), fault.what, fault.offset));
  }
  return verified;
}

void print_verified(const Verified& verified, const PathOptions& options) {
  const engine::VerifyReport& report = verified.report;
  if (options.json) {
    fmt::print("{}\n", json::serialize(json::object{
                           {"path", options.path},
                           {"ok", verified.problems.empty()},
                           {"tensors", report.tensors},
                           {"bytes", report.bytes},
                           {"seconds", verified.seconds},
                           {"unchecked", json::array(report.unchecked.begin(), report.unchecked.end())},
                           {"problems", json::array(verified.problems.begin(), verified.problems.end())}}));
    return;
  }
  for (const std::string& problem : verified.problems) fmt::print("{}\n", problem);
  for (const std::string& name : report.unchecked) fmt::print("not checked: tensor {}\n", printable_name(name));
  fmt::print("{}: {} tensors, {} read in {:.1f} s ({:.2f} GB/s): {}\n", options.path, report.tensors,
             bytes_text(static_cast<double>(report.bytes)), verified.seconds,
             static_cast<double>(report.bytes) / 1e9 / std::max(verified.seconds, 1e-9),
             verified.problems.empty() ? "good" : fmt::format("{} problems", verified.problems.size()));
}

int run_verify(int argc, const char* const* argv) {
  PathOptions options;
  Flags flags("model verify",
              "Reads a whole model: containers, shapes, tokenizer, template, and every weight for infinities and NaN.");
  if (const auto exit_code = parse_path(flags, options, argc, argv)) return *exit_code;
  const auto read = report_with_key(options);
  if (!read) return fail("model verify", read.error().message);
  const ModelReport& opened = *read;
  if (!opened.model) {
    if (options.json) {
      fmt::print("{}\n", json::serialize(json::object{
                             {"path", options.path}, {"ok", false}, {"problems", json::array{opened.problem}}}));
    }
    return fail("model verify", opened.problem);
  }
  const Verified verified = verify(opened);
  print_verified(verified, options);
  return verified.problems.empty() ? kDone : kCouldNot;
}

json::object listed_json(const ModelReport& report) {
  json::object entry = report_json(report);
  entry.erase("tensors");
  return entry;
}

std::string listed_text(const ModelReport& report) {
  if (!report.model) return fmt::format("{:<40}  cannot run: {}\n", report.path.string(), report.problem);
  const engine::ModelFiles& model = *report.model;
  return fmt::format("{:<40}  {:<8}{:<10}{:<8}{:>10}  {} tokens\n", report.path.string(), model.spec.family,
                     count_text(static_cast<double>(model.parameters)), model.weight_format,
                     bytes_text(static_cast<double>(model.weight_bytes)), model.spec.context_max);
}

int run_list(int argc, const char* const* argv) {
  PathOptions options;
  options.path = "models";
  Flags flags("model list", "Finds the models in a folder and what is below it.");
  flags.add("PATH", options.path, "where to look (default: models)");
  add_key_flag(flags, options.key_file);
  flags.add_switch("--json", options.json, "print JSON");
  if (const auto exit_code = flags.parse(argc, argv)) return *exit_code;
  ModelKeys keys(key_places(options.key_file));
  const auto found = find_models(options.path);
  if (!found) return fail("model list", found.error().message);
  json::array entries;
  for (const auto& path : *found) {
    const auto key = keys.key_of(path);
    const ModelReport report = report_on(path, key ? *key : std::nullopt);
    if (options.json) {
      entries.push_back(listed_json(report));
    } else {
      fmt::print("{}", listed_text(report));
    }
  }
  if (options.json) fmt::print("{}\n", json::serialize(entries));
  if (!options.json && found->empty()) fmt::print(stderr, "no models in {}\n", options.path);
  return kDone;
}

struct RandomOptions {
  std::string out;
  std::string shape = "tiny";
  std::string type = "bf16";
  int64_t seed = 1;
  double deviation = 0.02;
};

Status write_random(const RandomOptions& options) {
  const std::optional<ModelSpec> spec = random_shape(options.shape);
  if (!spec)
    return invalid_argument(
        fmt::format("--shape is '{}', must be tiny, 250m, 1.5b, 7b, 8b, 14b or 32b", options.shape));
  const std::optional<DType> dtype = dtype_from_name(options.type);
  if (!dtype || !dtype_info(*dtype).is_float_like) {
    return invalid_argument(fmt::format("--type is '{}', must be f32, f16, bf16, q8_0 or q4_0", options.type));
  }
  const engine::SmallVocabulary vocabulary = engine::make_small_vocabulary(spec->vocab);
  const engine::RowSource rows =
      random_rows(*spec, static_cast<uint64_t>(options.seed), static_cast<float>(options.deviation));
  std::optional<Progress> progress;
  return engine::write_model(*spec, options.out, rows,
                             {.dtype = *dtype,
                              .threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 32U)),
                              .vocabulary = &vocabulary,
                              .on_progress = [&](uint64_t done, uint64_t total) {
                                if (!progress) progress.emplace("writing", total);
                                progress->at(done);
                              }});
}

int run_random(int argc, const char* const* argv) {
  RandomOptions options;
  Flags flags("model random", "Writes a model of a published shape with random weights, for benches and load tests.");
  flags.add("OUT", options.out, "a directory, or a file that ends in .gguf");
  flags.require("OUT");
  flags.add("--shape", options.shape,
            "tiny, 250m, 1.5b, 7b, 14b, 32b (R1-Distill-Qwen), 8b (R1-Distill-Llama); default tiny");
  flags.add("--type", options.type, "f32, f16, bf16; q8_0, q4_0 in .gguf only; default bf16");
  flags.add("--seed", options.seed, "of the weights; default 1");
  flags.add("--std", options.deviation, "standard deviation of the weights; default 0.02");
  if (const auto exit_code = flags.parse(argc, argv)) return *exit_code;
  const auto begin = Clock::now();
  const Status written = write_random(options);
  if (!written) {
    const int exit_code = fail("model random", written.error().message);
    return written.error().code == ErrorCode::kInvalidArgument ? kWrongUsage : exit_code;
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const ModelReport report = report_on(options.out, std::nullopt);
  if (!report.model) return fail("model random", report.problem);
  fmt::print("{}: {} parameters, {}, {:.1f} s\n", options.out,
             count_text(static_cast<double>(report.model->parameters)),
             bytes_text(static_cast<double>(report.model->weight_bytes)), seconds);
  return kDone;
}

constexpr Command kActions[] = {
    {"inspect", "what a model is: shape, formats, memory, tensors", run_inspect},
    {"verify", "read everything and report what is damaged", run_verify},
    {"list", "the models in a folder", run_list},
    {"random", "make a model with random weights", run_random},
};

int run(int argc, const char* const* argv) { return run_action("model", kActions, argc, argv); }

}  // namespace

const Command kModel = {"model", "inspect, verify, list and make model files", run};

}  // namespace cove::app

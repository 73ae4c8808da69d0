// cove doctor: what this machine has, against the minimum and the recommendation, and which models fit on it.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <boost/json/serialize.hpp>

#include "base/json.h"
#include "commands.h"
#include "doctor_checks.h"
#include "doctor_fit.h"

namespace cove::app {
namespace {

constexpr double kMemoryFraction = 0.8;  // the default of engine.memory_fraction

struct Options {
  std::string data = "data";
  std::string model;
  std::string host = "127.0.0.1";
  int64_t port = 8080;
  int64_t context = 4096;
  bool quick = false;
  bool json = false;
};

// One model in one format, in the machine's memory and on its largest GPU.
struct FitRow {
  const ModelShape* shape = nullptr;
  const WeightFormat* format = nullptr;
  Fit memory;
  Fit gpu;
  double tokens_per_s = 0;  // at most, by the measured bandwidth; 0 = not measured
};

int64_t largest_gpu(const Facts& facts) {
  int64_t largest = 0;
  if (facts.gpu) {
    for (const GpuInfo& gpu : facts.gpu->gpus) largest = std::max(largest, gpu.memory_total_bytes);
  }
  return largest;
}

// The better of both: on a shared host either may have been disturbed.
double read_gb_s(const Facts& facts) {
  if (!facts.ceilings) return 0;
  return std::max(facts.ceilings->read_gbs.all_threads, facts.ceilings->read_gbs.one_thread);
}

int64_t share(int64_t bytes) { return static_cast<int64_t>(static_cast<double>(bytes) * kMemoryFraction); }

std::vector<FitRow> fit_all(const Facts& facts, const std::vector<ModelShape>& shapes, int64_t context) {
  std::vector<FitRow> rows;
  for (const ModelShape& shape : shapes) {
    for (const WeightFormat& format : kWeightFormats) {
      FitRow row{.shape = &shape, .format = &format, .memory = {}, .gpu = {}, .tokens_per_s = 0};
      row.memory = fit_model(shape, format, context, share(facts.memory.usable_bytes()));
      row.gpu = fit_model(shape, format, context, share(largest_gpu(facts)));
      row.tokens_per_s = read_gb_s(facts) * 1e9 /
                         (static_cast<double>(shape.parameters_read_per_token()) * format.bytes_per_parameter);
      rows.push_back(row);
    }
  }
  return rows;
}

const char* mark(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk: return "ok  ";
    case Verdict::kBelowRecommended: return "low ";
    case Verdict::kBelowMinimum: return "FAIL";
    case Verdict::kInfo: return "-   ";
  }
  return "-   ";
}

void print_checks(const std::vector<CheckRow>& rows) {
  for (const CheckRow& row : rows) {
    fmt::print("  {} {:<14} {}\n", mark(row.verdict), row.name, row.value);
    if (row.verdict != Verdict::kBelowRecommended && row.verdict != Verdict::kBelowMinimum) continue;
    const bool failed = row.verdict == Verdict::kBelowMinimum;
    fmt::print("       {:<14} {}: {}; {}\n", "", failed ? "minimum" : "recommended",
               failed ? row.minimum : row.recommended, row.advice);
  }
}

std::string describe_fit(const Fit& fit) { return fit.fits ? fmt::format("yes, {} tokens", fit.context_max) : "no"; }

void print_fits(const std::vector<FitRow>& rows, const Options& options, const Facts& facts) {
  const bool has_gpu = largest_gpu(facts) > 0;
  fmt::print(
      "\nWhat fits in {:.0f} % of {}, with {} tokens of context (and how many tokens of KV cache fit in all):\n\n",
      kMemoryFraction * 100, has_gpu ? "memory and of one GPU" : "memory", options.context);
  fmt::print("  {:<22} {:<6} {:>10} {:>10}  {:<20} {}{}\n", "model", "format", "weights", "needed", "memory",
             has_gpu ? fmt::format("{:<20} ", "gpu") : "", read_gb_s(facts) > 0 ? "tok/s at most" : "");
  for (const FitRow& row : rows) {
    const std::string gpu = has_gpu ? fmt::format("{:<20} ", describe_fit(row.gpu)) : "";
    const std::string speed = row.memory.fits && read_gb_s(facts) > 0 ? fmt::format("{:.3g}", row.tokens_per_s) : "";
    std::string line = fmt::format("  {:<22} {:<6} {:>7.2f} GB {:>7.2f} GB  {:<20} {}{}{}", row.shape->name,
                                   row.format->name, static_cast<double>(row.memory.weight_bytes) / 1e9,
                                   static_cast<double>(row.memory.needed_bytes) / 1e9, describe_fit(row.memory), gpu,
                                   speed, row.shape->served ? "" : " (not served by this version)");
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
  fmt::print("\n  Counted with keys and values in 16 bits.{}\n",
             has_gpu ? " engine.kv_format: fp8 holds about twice as many tokens on a GPU." : "");
}

json::object check_json(const CheckRow& row) {
  return {{"name", row.name},
          {"value", row.value},
          {"minimum", row.minimum},
          {"recommended", row.recommended},
          {"verdict", to_string(row.verdict)},
          {"advice", row.advice}};
}

json::object fit_json(const FitRow& row) {
  const auto place = [](const Fit& fit) { return json::object{{"fits", fit.fits}, {"context_max", fit.context_max}}; };
  return {{"model", row.shape->name},
          {"format", row.format->name},
          {"served", row.shape->served},
          {"parameters", row.shape->parameters()},
          {"weight_bytes", row.memory.weight_bytes},
          {"kv_bytes_per_token", row.shape->kv_bytes_per_token()},
          {"needed_bytes", row.memory.needed_bytes},
          {"memory", place(row.memory)},
          {"gpu", place(row.gpu)},
          {"tokens_per_s_max", row.tokens_per_s}};
}

json::value or_null(const std::optional<double>& value) { return value ? json::value(*value) : json::value(nullptr); }

json::value gpu_ceilings_json(const std::optional<CudaCeilings>& ceilings) {
  if (!ceilings) return nullptr;
  return json::object{{"read_gb_s", ceilings->read_gbs},
                      {"bf16_tflop_s", ceilings->bf16_tflops},
                      {"fp8_tflop_s", ceilings->fp8_tflops},
                      {"int8_top_s", ceilings->int8_tops}};
}

json::object facts_json(const Facts& facts) {
  json::array features(facts.cpu.features.begin(), facts.cpu.features.end());
  json::array gpus;
  if (facts.gpu) {
    for (const GpuInfo& gpu : facts.gpu->gpus) {
      gpus.push_back(json::object{{"name", gpu.name},
                                  {"memory_total_bytes", gpu.memory_total_bytes},
                                  {"memory_free_bytes", gpu.memory_free_bytes},
                                  {"compute_capability", fmt::format("{}.{}", gpu.compute_major, gpu.compute_minor)},
                                  {"utilization", or_null(gpu.utilization)},
                                  {"temperature_c", or_null(gpu.temperature_c)},
                                  {"power_w", or_null(gpu.power_w)}});
    }
  }
  return {{"cpu", json::object{{"model", facts.cpu.model},
                               {"cores", facts.cpu.cores},
                               {"threads", facts.cpu.threads},
                               {"threads_usable", facts.cpu.threads_allowed},
                               {"cgroup_cpus", facts.cpu.cgroup_cpus},
                               {"features", std::move(features)}}},
          {"memory", json::object{{"total_bytes", facts.memory.total_bytes},
                                  {"available_bytes", facts.memory.available_bytes},
                                  {"usable_bytes", facts.memory.usable_bytes()},
                                  {"read_gb_s", read_gb_s(facts)}}},
          {"disk", json::object{{"path", facts.disk.path}, {"free_bytes", facts.disk.free_bytes}}},
          {"gpus", std::move(gpus)},
          {"gpu_ceilings", gpu_ceilings_json(facts.gpu_ceilings)},
          {"driver", facts.gpu ? facts.gpu->version : ""}};
}

void print_json(const Facts& facts, const std::vector<CheckRow>& checks, const std::vector<FitRow>& fits,
                const Options& options) {
  json::array check_rows;
  for (const CheckRow& row : checks) check_rows.push_back(check_json(row));
  json::array fit_rows;
  for (const FitRow& row : fits) fit_rows.push_back(fit_json(row));
  const json::object report = {{"version", COVE_VERSION},      {"ok", !below_minimum(checks)},
                               {"machine", facts_json(facts)}, {"checks", std::move(check_rows)},
                               {"context", options.context},   {"memory_fraction", kMemoryFraction},
                               {"fits", std::move(fit_rows)}};
  fmt::print("{}\n", json::serialize(report));
}

// The given model first (or the shipped one, where it is), then the R1 family.
Result<std::vector<ModelShape>> models_to_fit(const std::string& given) {
  std::vector<ModelShape> shapes;
  const std::string folder = given.empty() ? "models/cove-mini" : given;
  if (!given.empty() || std::filesystem::exists(folder + "/config.json")) {
    TRY_ASSIGN(auto shape, read_shape(folder));
    shapes.push_back(std::move(shape));
  }
  const std::vector<ModelShape>& known = known_models();
  shapes.insert(shapes.end(), known.begin(), known.end());
  return shapes;
}

// A machine that cannot be measured (no memory for the buffer) is still judged by the rest.
void measure(Facts& facts) {
  std::fprintf(stderr, "measuring memory and arithmetic...\n");
  const uint64_t eighth = static_cast<uint64_t>(std::max<int64_t>(facts.memory.available_bytes, 0)) / 8;
  auto ceilings = measure_cpu_ceilings(
      {.threads = 0, .isa = "", .buffer_bytes = std::clamp<uint64_t>(eighth, 64U << 20, 1U << 30)});
  if (ceilings) {
    facts.ceilings = std::move(*ceilings);
  } else {
    std::fprintf(stderr, "not measured: %s\n", ceilings.error().message.c_str());
  }
  if (!facts.gpu || facts.gpu->gpus.empty()) return;
  if (auto gpu = measure_cuda_ceilings()) {
    facts.gpu_ceilings = *gpu;
  } else {
    facts.gpu_unmeasured = gpu.error().message;
  }
}

int run(int argc, const char* const* argv) {
  Options options;
  Flags flags("doctor", "what this machine has, what fits on it; exit code 1 below the minimum");
  flags.add("--data", options.data, "data folder whose disk is looked at (default: data)");
  flags.add("--model", options.model, "a model directory to fit besides the R1 family");
  flags.add("--context", options.context, "tokens of context that shall fit (default: 4096)");
  flags.add("--host", options.host, "address that serve would listen on (default: 127.0.0.1)");
  flags.add("--port", options.port, "port that serve would listen on (default: 8080)");
  flags.add_switch("--quick", options.quick, "do not measure memory speed and arithmetic (takes about two seconds)");
  flags.add_switch("--json", options.json, "one JSON object instead of tables");
  if (const auto code = flags.parse(argc, argv)) return *code;
  if (options.port < 1 || options.port > 65535 || options.context < 1 || options.context > (int64_t{1} << 24)) {
    fail("doctor", "--port is 1..65535, --context is 1..16777216");
    return kWrongUsage;
  }
  const auto shapes = models_to_fit(options.model);
  if (!shapes) return fail("doctor", shapes.error().message);
  Facts facts = gather_facts(options.data, options.host, static_cast<uint16_t>(options.port));
  if (!options.quick) measure(facts);
  const std::vector<CheckRow> checks = judge(facts);
  const std::vector<FitRow> fits = fit_all(facts, *shapes, options.context);
  if (options.json) {
    print_json(facts, checks, fits, options);
  } else {
    fmt::print("cove doctor {}\n\n", COVE_VERSION);
    print_checks(checks);
    print_fits(fits, options, facts);
  }
  return below_minimum(checks) ? kCouldNot : kDone;
}

}  // namespace

const Command kDoctor{"doctor", "what this machine has, what fits on it", run};

}  // namespace cove::app

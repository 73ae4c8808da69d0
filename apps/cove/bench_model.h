#pragma once
// Measures a model on a backend directly, without engine or server: prefill, decode at several batch sizes, and the
// machine's ceilings in the same run, so that every figure comes with its share of what was possible. Called by
// cmd_bench.cc.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "backends/cpu/ceilings.h"
#include "base/result.h"
#include "tensor/io/seal_key.h"

namespace cove::app {

struct ModelBenchOptions {
  std::filesystem::path model;                // a directory or .gguf; empty: random weights of `shape`
  std::optional<SealKey> key = std::nullopt;  // of an encrypted model
  std::string shape;                          // a name of known_models() that this version can run
  std::string format = "bf16";                // of random weights
  int64_t prefill = 512;
  int64_t decode = 128;
  std::vector<int64_t> batches = {1, 4, 8};
  std::string device = "cpu";          // cpu, cuda
  std::string weight_format = "auto";  // of the CUDA backend: auto, fp8, int8, w4a16
  std::string kv_format = "auto";      // of the cache: f32, f16, bf16, fp8; auto: f32 for f32 weights, else bf16
  int threads = 0;
  std::string isa;
};

struct ModelBenchRow {
  std::string phase;         // "prefill", "decode"
  int64_t batch = 1;         // sequences
  int64_t tokens = 0;        // prompt tokens, or steps
  double milliseconds = 0;   // median: of a whole prompt, or of one decode step
  double tokens_per_s = 0;   // of all sequences together
  double read_gb_s = 0;      // weights and cached keys and values that must be read, by 10^9 bytes
  double gops = 0;           // a product and a sum count as two
  double read_share = 0;     // of the reading ceiling, 0..1
  double compute_share = 0;  // of the arithmetic ceiling for this format, 0..1
};

// Of the device that computed. A GPU has no threads: its rates stand in all_threads.
struct BenchCeilings {
  enum class Device : uint8_t { kCpu, kGpu };
  Device device = Device::kCpu;
  CpuCeilings rates;      // GPU: reading, bf16 and, where it multiplies eight bits, int8
  double fp8_gflops = 0;  // GPU only, likewise
};

// Which ceiling counts for weights in `format`: "f32", "bf16", "int8", "fp8".
std::string arithmetic_of(const std::string& format, const BenchCeilings& ceilings);

struct ModelBenchReport {
  std::string model;
  std::string format;
  std::string device;
  std::string kv_format;
  std::string arithmetic;  // which ceiling counts, see arithmetic_of
  int64_t parameters_read = 0;
  uint64_t weight_bytes_read = 0;  // by one decode step
  // From nothing to the first token: opening (of an encrypted model also decrypting), loading into the backend, and a
  // first step, which brings a mapped file's pages in.
  double open_s = 0;
  double load_s = 0;
  double first_step_s = 0;
  double ready_gb_s() const { return static_cast<double>(weight_bytes) / (open_s + load_s + first_step_s) / 1e9; }
  uint64_t weight_bytes = 0;  // of all tensors that the model uses
  BenchCeilings before;
  BenchCeilings after;
  std::vector<ModelBenchRow> rows;
};

// Errors: of opening and loading the model, kInvalidArgument for options, kFailedPrecondition when memory is short.
Result<ModelBenchReport> run_model_bench(const ModelBenchOptions& options);

std::string report_text(const ModelBenchReport& report);
std::string report_json(const ModelBenchReport& report);

}  // namespace cove::app

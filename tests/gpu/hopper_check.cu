// Checks and measures every kernel of src/backends/cuda/hopper on a GPU of compute capability 9.0. Stand-alone: needs
// no test framework. tests/gpu/hopper_check.sh builds and runs it.
//
//   hopper_check [--seed N] [--no-speeds | --only-speeds] [--trace] [quantize] [gemm] [panels] [attention]     (no
//   name: all)
//
// Exit status: 0 when every check passed, 1 when one failed, 77 when there is no such GPU.

#include "hopper_check.h"

#include <cstring>

#include "check_support.cuh"

namespace cove::check {
namespace {

// Null: this machine has what the kernels need.
const char* unfit(Options& options) {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) return "no GPU";
  cudaDeviceProp properties{};
  REQUIRE_CUDA(cudaGetDeviceProperties(&properties, 0));
  std::printf("%s, compute capability %d.%d, %d multiprocessors, seed %llu\n", properties.name, properties.major,
              properties.minor, properties.multiProcessorCount, static_cast<unsigned long long>(options.seed));
  options.multiprocessors = properties.multiProcessorCount;
  return properties.major == 9 && properties.minor == 0 ? nullptr : "not a GPU of compute capability 9.0";
}

struct Wanted {
  bool all = true;
  bool quantize = false;
  bool gemm = false;
  bool panels = false;
  bool attention = false;
};

bool parse(int count, char** words, Options& options, Wanted& wanted) {
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--seed" && i + 1 < count) {
      options.seed = std::strtoull(words[++i], nullptr, 10);
    } else if (word == "--no-speeds") {
      options.speeds = false;
    } else if (word == "--only-speeds") {
      options.checks = false;
    } else if (word == "--trace") {
      trace = true;
    } else if (word == "quantize" || word == "gemm" || word == "panels" || word == "attention") {
      wanted.all = false;
      wanted.quantize |= word == "quantize";
      wanted.gemm |= word == "gemm";
      wanted.panels |= word == "panels";
      wanted.attention |= word == "attention";
    } else {
      std::fprintf(stderr,
                   "usage: hopper_check [--seed N] [--no-speeds | --only-speeds] [--trace] [quantize] [gemm] [panels] "
                   "[attention]\n");
      return false;
    }
  }
  return true;
}

void run_checks(const Options& options, const Wanted& wanted) {
  if (wanted.all || wanted.quantize) check_quantize(options);
  if (wanted.all || wanted.gemm) {
    check_gemm(options);
    check_chain(options);
  }
  if (wanted.all || wanted.panels) check_panels(options);
  if (wanted.all || wanted.attention) check_attention(options);
  std::printf("%d checks, %d failed\n", checks, failures);
  std::fflush(stdout);
}

void run(const Options& options, const Wanted& wanted) {
  if (options.checks) run_checks(options, wanted);
  if (!options.speeds) return;
  if (wanted.all || wanted.gemm) measure_gemm(options);
  if (wanted.all || wanted.panels) measure_panels(options);
  if (wanted.all || wanted.attention) measure_attention(options);
}

}  // namespace
}  // namespace cove::check

int main(int count, char** words) {
  cove::check::Options options;
  cove::check::Wanted wanted;
  if (!cove::check::parse(count, words, options, wanted)) return 2;
  if (const char* reason = cove::check::unfit(options)) {
    std::printf("skipped: %s\n", reason);
    return 77;
  }
  cove::check::run(options, wanted);
  return cove::check::failures == 0 ? 0 : 1;
}

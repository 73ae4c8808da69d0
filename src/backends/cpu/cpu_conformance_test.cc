// The conformance suite on every instruction set that this processor runs, with one thread and with more.
#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/dispatch.h"
#include "compute/conformance/conformance.h"

namespace cove::conformance {
namespace {

std::unique_ptr<Backend> make(const std::string& isa, int threads) {
  Result<std::unique_ptr<Backend>> backend = make_cpu_backend({.threads = threads, .isa = isa});
  COVE_CHECK_MSG(backend.has_value(), backend.has_value() ? "" : backend.error().message);
  return std::move(*backend);
}

Rounding rounding_of(const std::string& isa, DType weights) {
  if (weights == DType::kQ8_0 || weights == DType::kQ4_0) return Rounding::kInt8Blocks;
  if (weights == DType::kBF16 && isa == "avx512_bf16") return Rounding::kBF16;
  return Rounding::kF32;
}

std::vector<BackendCase> cases() {
  std::vector<BackendCase> cases;
  for (const std::string& isa : cpu_isas()) {
    for (const int threads : {1, 3}) {
      cases.push_back({.name = isa + "_threads_" + std::to_string(threads),
                       .make = [isa, threads] { return make(isa, threads); },
                       .rounding = [isa](DType weights) { return rounding_of(isa, weights); }});
    }
  }
  return cases;
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Cpu, BackendConformance, ::testing::ValuesIn(cases()), case_name);

}  // namespace cove::conformance

#pragma once
// What this processor can do at most, measured now: reading memory and multiplying. Used by `cove bench` and `cove
// doctor` to say what share of it a model reaches. Takes about a second; shared machines vary from minute to minute, so
// measure beside what is compared.

#include <cstdint>
#include <string>

#include "base/result.h"

namespace cove {

struct CeilingPair {
  double one_thread = 0;
  double all_threads = 0;
};

struct CpuCeilings {
  int threads = 0;
  std::string isa;
  CeilingPair read_gbs{};     // 10^9 bytes a second, from memory, buffer far larger than the caches
  CeilingPair f32_gflops{};   // multiply and add count as two
  CeilingPair bf16_gflops{};  // 0 where the ISA has no bf16 dot product
  CeilingPair int8_gops{};
};

struct CeilingOptions {
  int threads = 0;                            // as in CpuOptions
  std::string isa;                            // as in CpuOptions
  uint64_t buffer_bytes = uint64_t{1} << 30;  // read over; at least eight times the last-level cache to mean memory
};

// Errors: as make_cpu_backend, and kFailedPrecondition when the buffer is not to be had.
Result<CpuCeilings> measure_cpu_ceilings(const CeilingOptions& options = {});

}  // namespace cove

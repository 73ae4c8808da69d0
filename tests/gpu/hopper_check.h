#pragma once
// The parts of hopper_check: each checks one kind of kernel against a naive reference and prints its speeds.

#include <cstdint>

namespace cove::check {

struct Ceilings {  // of the machine, measured: docs/performance.md
  double bytes_per_us = 4.26e6;
  double bf16_flops_per_us = 764e6;
  double byte_flops_per_us = 1395e6;  // e4m3, int8
};

struct Options {
  uint64_t seed = 1;
  bool checks = true;
  bool speeds = true;
  int multiprocessors = 0;
  Ceilings ceilings{};
};

void check_quantize(const Options& options);
void check_gemm(const Options& options);
void check_chain(const Options& options);  // products that start before the one that makes their input has ended
void measure_gemm(const Options& options);
void check_panels(const Options& options);  // products of weights of 4 and 8 bits in panels
void measure_panels(const Options& options);
void check_attention(const Options& options);
void measure_attention(const Options& options);

}  // namespace cove::check

#pragma once
// Which kernels compute a linear layer. Host arithmetic, tested without a GPU.

#include <cstdint>

#include "backends/cuda/plan/weight_layout.h"

namespace cove::cuda {

enum class LinearPath : uint8_t {
  kVector,        // any format, at most eight tokens
  kSkinny,        // any format, bound by reading the weights
  kGemm,          // bf16 tiles
  kUnpackGemm,    // weights to bf16 first, then tiles
  kHopper,        // hopper/'s product of bf16
  kUnpackHopper,  // weights to bf16 first
  kHopperPanels,  // hopper/'s product of kQ4 and kQ8
  kHopper8,       // activations rounded to the weights' int8 or fp8, then hopper/'s product
};

struct LinearChoice {
  WeightFormat format = WeightFormat::kBF16;
  int64_t tokens = 0;
  bool reproducible = false;  // one path for every number of tokens
  bool hopper = false;        // hopper/ takes a bf16 product of this shape
  bool hopper8 = false;       // and one in the weights' own 8 bits
  bool panels = false;        // and one of these weights in panels
};
LinearPath choose_linear(const LinearChoice& choice);

}  // namespace cove::cuda

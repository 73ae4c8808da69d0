#include "tensor/io/gguf_types.h"

#include <algorithm>
#include <iterator>

namespace cove {
namespace {

// Sizes: ggml's type_traits (ggml.c) and block structs (ggml-common.h). Gaps are types that were withdrawn.
constexpr GgufTensorType kTypes[] = {
    {0, "F32", 1, 4, DType::kF32},
    {1, "F16", 1, 2, DType::kF16},
    {2, "Q4_0", 32, 18, DType::kQ4_0},
    {3, "Q4_1", 32, 20, DType::kOpaque},
    {6, "Q5_0", 32, 22, DType::kOpaque},
    {7, "Q5_1", 32, 24, DType::kOpaque},
    {8, "Q8_0", 32, 34, DType::kQ8_0},
    {9, "Q8_1", 32, 36, DType::kOpaque},
    {10, "Q2_K", 256, 84, DType::kOpaque},
    {11, "Q3_K", 256, 110, DType::kOpaque},
    {12, "Q4_K", 256, 144, DType::kOpaque},
    {13, "Q5_K", 256, 176, DType::kOpaque},
    {14, "Q6_K", 256, 210, DType::kOpaque},
    {15, "Q8_K", 256, 292, DType::kOpaque},
    {16, "IQ2_XXS", 256, 66, DType::kOpaque},
    {17, "IQ2_XS", 256, 74, DType::kOpaque},
    {18, "IQ3_XXS", 256, 98, DType::kOpaque},
    {19, "IQ1_S", 256, 50, DType::kOpaque},
    {20, "IQ4_NL", 32, 18, DType::kOpaque},
    {21, "IQ3_S", 256, 110, DType::kOpaque},
    {22, "IQ2_S", 256, 82, DType::kOpaque},
    {23, "IQ4_XS", 256, 136, DType::kOpaque},
    {24, "I8", 1, 1, DType::kI8},
    {25, "I16", 1, 2, DType::kOpaque},
    {26, "I32", 1, 4, DType::kI32},
    {27, "I64", 1, 8, DType::kI64},
    {28, "F64", 1, 8, DType::kOpaque},
    {29, "IQ1_M", 256, 56, DType::kOpaque},
    {30, "BF16", 1, 2, DType::kBF16},
    {34, "TQ1_0", 256, 54, DType::kOpaque},
    {35, "TQ2_0", 256, 66, DType::kOpaque},
    {39, "MXFP4", 32, 17, DType::kOpaque},
    {40, "NVFP4", 64, 36, DType::kOpaque},
    {41, "Q1_0", 128, 18, DType::kOpaque},
    {42, "Q2_0", 64, 18, DType::kOpaque},
};

}  // namespace

const GgufTensorType* find_gguf_tensor_type(uint32_t id) {
  const auto* found = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& t) { return t.id == id; });
  return found == std::end(kTypes) ? nullptr : found;
}

const GgufTensorType* find_gguf_tensor_type(DType dtype) {
  if (dtype == DType::kOpaque) return nullptr;
  const auto* found =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& t) { return t.dtype == dtype; });
  return found == std::end(kTypes) ? nullptr : found;
}

}  // namespace cove

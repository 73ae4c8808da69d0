#include "backends/cuda/plan/linear_plan.h"

namespace cove::cuda {
namespace {

// Up to here one reading of the weights serves all tokens.
constexpr int64_t kSkinnyMax = 32;
// Unpacking writes and reads two bytes a weight. Reading a quarter to one byte a weight once per 32 tokens is cheaper
// up to about here.
constexpr int64_t kPackedSkinnyMax = 128;

bool is_8_bit(WeightFormat format) { return format == WeightFormat::kInt8 || format == WeightFormat::kE4M3; }

}  // namespace

LinearPath choose_linear(const LinearChoice& choice) {
  if (choice.reproducible || choice.tokens <= kSkinnyMax) return LinearPath::kSkinny;
  if (choice.format == WeightFormat::kBF16) return choice.hopper ? LinearPath::kHopper : LinearPath::kGemm;
  if (is_8_bit(choice.format) && choice.hopper8) return LinearPath::kHopper8;
  if (choice.tokens <= kPackedSkinnyMax) return LinearPath::kSkinny;
  return choice.hopper ? LinearPath::kUnpackHopper : LinearPath::kUnpackGemm;
}

}  // namespace cove::cuda

#include "backends/cuda/plan/linear_plan.h"

namespace cove::cuda {
namespace {

constexpr int64_t kVectorMax = 8;  // one matrix operand holds all tokens
// Up to here one reading of the weights serves all tokens.
constexpr int64_t kOneReadingMax = 32;
// Unpacking writes and reads two bytes a weight. Reading a quarter to one byte a weight once per 32 tokens is cheaper
// up to about here; on Hopper, whose products are faster, up to one reading for half as many.
constexpr int64_t kPackedSkinnyMax = 128;
constexpr int64_t kPackedSkinnyMaxHopper = 16;

bool is_8_bit(WeightFormat format) { return format == WeightFormat::kInt8 || format == WeightFormat::kE4M3; }

}  // namespace

LinearPath choose_linear(const LinearChoice& choice) {
  if (choice.reproducible) return LinearPath::kSkinny;
  if (choice.tokens <= kVectorMax) return LinearPath::kVector;
  if (choice.format == WeightFormat::kBF16) {
    if (choice.hopper) return LinearPath::kHopper;
    return choice.tokens <= kOneReadingMax ? LinearPath::kSkinny : LinearPath::kGemm;
  }
  if (is_8_bit(choice.format) && choice.hopper8) return LinearPath::kHopper8;
  if (choice.tokens <= (choice.hopper ? kPackedSkinnyMaxHopper : kPackedSkinnyMax)) return LinearPath::kSkinny;
  return choice.hopper ? LinearPath::kUnpackHopper : LinearPath::kUnpackGemm;
}

}  // namespace cove::cuda

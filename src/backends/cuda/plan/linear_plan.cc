#include "backends/cuda/plan/linear_plan.h"

namespace cove::cuda {
namespace {

constexpr int64_t kVectorMax = 8;  // one matrix operand holds all tokens
// With more, the inputs of a 7B model's longest rows do not fit beside the ring, and hopper/'s products are faster.
constexpr int64_t kVectorMaxHopper = 2;
// Up to here one reading of the weights serves all tokens.
constexpr int64_t kOneReadingMax = 32;
// Unpacking writes and reads two bytes a weight. Reading a quarter to one byte a weight once per 32 tokens is cheaper
// up to about here; on Hopper, whose products are faster, up to one reading for half as many.
constexpr int64_t kPackedSkinnyMax = 128;
constexpr int64_t kPackedSkinnyMaxHopper = 16;
// hopper/'s product of panels lies between vector.cu and here, from where unpacking once and its product of bf16 are
// faster; measured on a 7B model's layers, docs/kernels/hopper.md.
int64_t panels_max(WeightFormat format) { return format == WeightFormat::kQ4 ? 2048 : 1500; }

bool is_8_bit(WeightFormat format) { return format == WeightFormat::kInt8 || format == WeightFormat::kE4M3; }

}  // namespace

LinearPath choose_linear(const LinearChoice& choice) {
  if (choice.reproducible) return LinearPath::kSkinny;
  const bool streams = choice.format == WeightFormat::kBF16 ? choice.hopper : choice.hopper8 || choice.panels;
  if (choice.tokens <= (streams ? kVectorMaxHopper : kVectorMax)) return LinearPath::kVector;
  if (choice.format == WeightFormat::kBF16) {
    if (choice.hopper) return LinearPath::kHopper;
    return choice.tokens <= kOneReadingMax ? LinearPath::kSkinny : LinearPath::kGemm;
  }
  if (is_8_bit(choice.format) && choice.hopper8) return LinearPath::kHopper8;
  if (choice.panels && choice.tokens <= panels_max(choice.format)) return LinearPath::kHopperPanels;
  if (choice.tokens <= (choice.hopper ? kPackedSkinnyMaxHopper : kPackedSkinnyMax)) return LinearPath::kSkinny;
  return choice.hopper ? LinearPath::kUnpackHopper : LinearPath::kUnpackGemm;
}

}  // namespace cove::cuda

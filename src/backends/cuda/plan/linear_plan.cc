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
// hopper/'s product of panels, where skinny's is no longer as fast.
constexpr int64_t kPanelsMin = 3;
// Up to here it is faster than unpacking once and hopper/'s product of bf16; measured, docs/kernels/hopper.md.
int64_t panels_max(const LinearChoice& choice) {
  if (choice.format == WeightFormat::kQ8) return 1100;
  return choice.group == 128 ? 2800 : 1400;
}

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
  if (choice.panels && choice.tokens >= kPanelsMin && choice.tokens <= panels_max(choice)) {
    return LinearPath::kHopperPanels;
  }
  if (choice.tokens <= (choice.hopper ? kPackedSkinnyMaxHopper : kPackedSkinnyMax)) return LinearPath::kSkinny;
  return choice.hopper ? LinearPath::kUnpackHopper : LinearPath::kUnpackGemm;
}

}  // namespace cove::cuda

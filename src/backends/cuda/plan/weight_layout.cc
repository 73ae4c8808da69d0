#include "backends/cuda/plan/weight_layout.h"

#include "base/check.h"

namespace cove::cuda {
namespace {

int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

}  // namespace

WeightLayout plan_weight(WeightFormat format, const std::vector<int64_t>& part_rows, int64_t inputs, int64_t group) {
  COVE_CHECK(!part_rows.empty() && inputs > 0);
  WeightLayout layout{.format = format, .inputs = inputs, .padded = round_up(inputs, 128)};
  for (const int64_t rows : part_rows) layout.outputs += rows;
  layout.interleaved = part_rows.size() == 2 && part_rows[0] == part_rows[1];
  layout.rows = layout.interleaved ? 2 * round_up(part_rows[0], 8) : round_up(layout.outputs, 16);
  switch (format) {
    case WeightFormat::kBF16: layout.pitch = layout.padded * 2; break;
    case WeightFormat::kQ4: layout.pitch = layout.padded / 2; break;
    default: layout.pitch = layout.padded; break;
  }
  if (format == WeightFormat::kQ8) layout.group = 32;
  if (format == WeightFormat::kQ4) layout.group = group;
  COVE_CHECK(layout.group == 0 || layout.group == 32 || layout.group == 128);
  return layout;
}

}  // namespace cove::cuda

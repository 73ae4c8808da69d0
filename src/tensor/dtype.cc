#include "tensor/dtype.h"

#include <array>

#include "base/check.h"

namespace cove {
namespace {

constexpr std::array<DTypeInfo, 11> kDTypes = {{
    {DType::kF32, "f32", 1, 4, true},
    {DType::kF16, "f16", 1, 2, true},
    {DType::kBF16, "bf16", 1, 2, true},
    {DType::kI8, "i8", 1, 1, false},
    {DType::kU8, "u8", 1, 1, false},
    {DType::kI32, "i32", 1, 4, false},
    {DType::kI64, "i64", 1, 8, false},
    {DType::kQ8_0, "q8_0", 32, 34, true},
    {DType::kQ4_0, "q4_0", 32, 18, true},
    {DType::kE4M3, "fp8", 1, 1, false},
    {DType::kOpaque, "opaque", 1, 0, false},
}};

constexpr bool rows_follow_the_enum() {
  for (size_t i = 0; i < kDTypes.size(); ++i) {
    if (kDTypes[i].dtype != static_cast<DType>(i)) return false;
  }
  return true;
}
static_assert(rows_follow_the_enum());

}  // namespace

const DTypeInfo& dtype_info(DType dtype) {
  const auto index = static_cast<size_t>(dtype);
  COVE_CHECK(index < kDTypes.size());
  return kDTypes[index];
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DTypeInfo& row : kDTypes) {
    if (row.name == name && row.dtype != DType::kOpaque) return row.dtype;
  }
  return std::nullopt;
}

int64_t dtype_bytes(DType dtype, int64_t elements) {
  const DTypeInfo& info = dtype_info(dtype);
  COVE_CHECK(elements >= 0 && elements % info.block_elements == 0);
  return elements / info.block_elements * info.block_bytes;
}

}  // namespace cove

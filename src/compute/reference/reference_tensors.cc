#include "compute/reference/reference_tensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.h"

namespace cove::reference {
namespace {

// Written out by hand rather than taken from tensor/formats: an oracle that shares the codec with what it checks proves
// less.
float from_f16(uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int mantissa = half & 1023;
  const float sign = (half & 0x8000) != 0 ? -1.0F : 1.0F;
  if (exponent == 31) return mantissa != 0 ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  return sign * std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
}

float from_bf16(uint16_t value) { return std::bit_cast<float>(static_cast<uint32_t>(value) << 16); }

template <class T>
T read(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

float element(DType dtype, const std::byte* data, int64_t i) {
  switch (dtype) {
    case DType::kF32: return read<float>(data + i * 4);
    case DType::kF16: return from_f16(read<uint16_t>(data + i * 2));
    case DType::kBF16: return from_bf16(read<uint16_t>(data + i * 2));
    case DType::kQ8_0: {
      const std::byte* block = data + i / 32 * 34;
      return from_f16(read<uint16_t>(block)) * static_cast<float>(read<int8_t>(block + 2 + i % 32));
    }
    case DType::kQ4_0: {
      // The low nibbles are values 0..15 of the block, the high ones 16..31.
      const std::byte* block = data + i / 32 * 18;
      const auto pair = read<uint8_t>(block + 2 + i % 16);
      const int quant = (i % 32 < 16 ? pair & 15 : pair >> 4) - 8;
      return from_f16(read<uint16_t>(block)) * static_cast<float>(quant);
    }
    default: break;
  }
  COVE_CHECK_MSG(false, "the reference backend cannot decode this dtype");
}

// Rounds to `bits` of significand, ties to even; exponents below `exponent_min` share its spacing (subnormals).
float round_significand(float value, int bits, int exponent_min) {
  if (value == 0.0F || !std::isfinite(value)) return value;
  const int exponent = std::max(std::ilogb(value), exponent_min);
  const int shift = bits - 1 - exponent;
  return static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(static_cast<double>(value), shift)), -shift));
}

}  // namespace

std::vector<float> decode_tensor(const TensorView& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.shape.elements()));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = element(tensor.dtype, tensor.as<const std::byte>(), static_cast<int64_t>(i));
  }
  return values;
}

float round_to(DType dtype, float value) {
  switch (dtype) {
    case DType::kF32: return value;
    case DType::kBF16: return round_significand(value, 8, -126);
    case DType::kF16: {
      const float rounded = round_significand(value, 11, -14);
      return std::isfinite(rounded) && std::fabs(rounded) > 65504.0F ? std::copysign(INFINITY, rounded) : rounded;
    }
    default: break;
  }
  COVE_CHECK_MSG(false, "a key-value cache holds f32, f16 or bf16");
}

void round_head(DType dtype, std::span<const float> head, float* out) {
  if (dtype != DType::kE4M3) {
    for (size_t i = 0; i < head.size(); ++i) out[i] = round_to(dtype, head[i]);
    return;
  }
  constexpr int kExponentMin = -30;
  constexpr float kLargest = 448.0F;
  float most = 0;
  bool finite = true;
  for (size_t i = 0; i < head.size(); ++i) {
    out[i] = round_to(DType::kBF16, head[i]);
    most = std::max(most, std::fabs(out[i]));
    finite = finite && std::isfinite(out[i]);
  }
  int exponent = kExponentMin;
  while (finite && std::ldexp(kLargest, exponent) < most) ++exponent;
  for (size_t i = 0; i < head.size(); ++i) {
    out[i] = finite ? std::ldexp(round_significand(std::ldexp(out[i], -exponent), 4, -6), exponent) : NAN;
  }
}

}  // namespace cove::reference

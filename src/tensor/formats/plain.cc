// f32, f16, bf16.

#include <algorithm>
#include <cstring>

#include "tensor/formats/codec.h"
#include "tensor/formats/float16.h"
#include "tensor/formats/rows.h"

namespace cove::formats {
namespace {

template <class T>
T load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

void decode_f32(std::span<const std::byte> in, std::span<float> out) {
  if (!out.empty()) std::memcpy(out.data(), in.data(), out.size_bytes());
}

Status encode_f32(std::span<const float> in, std::span<std::byte> out) {
  if (!in.empty()) std::memcpy(out.data(), in.data(), in.size_bytes());
  return {};
}

template <float (*convert)(uint16_t)>
void decode_16(std::span<const std::byte> in, std::span<float> out) {
  const std::byte* bytes = in.data();
  for (size_t i = 0; i < out.size(); ++i) out[i] = convert(load<uint16_t>(bytes + 2 * i));
}

template <uint16_t (*convert)(float)>
Status encode_16(std::span<const float> in, std::span<std::byte> out) {
  std::byte* bytes = out.data();
  for (size_t i = 0; i < in.size(); ++i) {
    const uint16_t value = convert(in[i]);
    std::memcpy(bytes + 2 * i, &value, sizeof(value));
  }
  return {};
}

// A value is infinite or NaN when all bits of `exponent` are set. Whole stretches are tested without branches first.
template <class T, T exponent>
size_t find_full_exponent(std::span<const std::byte> in) {
  constexpr size_t kStretch = 4096;
  const size_t count = in.size() / sizeof(T);
  for (size_t begin = 0; begin < count; begin += kStretch) {
    const size_t end = std::min(count, begin + kStretch);
    unsigned found = 0;
    for (size_t i = begin; i < end; ++i) {
      found |= static_cast<unsigned>((load<T>(in.data() + i * sizeof(T)) & exponent) == exponent);
    }
    if (found == 0) continue;
    for (size_t i = begin; i < end; ++i) {
      if ((load<T>(in.data() + i * sizeof(T)) & exponent) == exponent) return i;
    }
  }
  return kAllFinite;
}

}  // namespace

const Codec kF32Codec = {decode_f32, encode_f32, find_full_exponent<uint32_t, 0x7f800000U>};
const Codec kF16Codec = {decode_16<f16_to_f32>, encode_16<f32_to_f16>, find_full_exponent<uint16_t, 0x7c00U>};
const Codec kBF16Codec = {decode_16<bf16_to_f32>, encode_16<f32_to_bf16>, find_full_exponent<uint16_t, 0x7f80U>};

}  // namespace cove::formats

// q8_0 and q4_0: blocks of 32 values with one half-precision scale. The scales are chosen as by ggml's
// quantize_row_*_ref.

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "tensor/formats/codec.h"
#include "tensor/formats/float16.h"
#include "tensor/formats/rows.h"

namespace cove::formats {
namespace {

constexpr size_t kValues = 32;
constexpr size_t kScaleBytes = 2;
constexpr size_t kQ8Bytes = kScaleBytes + kValues;
constexpr size_t kQ4Bytes = kScaleBytes + kValues / 2;

float read_scale(const std::byte* block) {
  uint16_t half = 0;
  std::memcpy(&half, block, kScaleBytes);
  return f16_to_f32(half);
}

// The value of largest magnitude (the first of equals), with its sign.
Result<float> largest(std::span<const float> values, size_t first_index) {
  float best = 0.0F;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return invalid_argument(fmt::format("value {} at index {} is not finite", values[i], first_index + i));
    }
    if (std::fabs(values[i]) > std::fabs(best)) best = values[i];
  }
  return best;
}

Status write_scale(float scale, std::byte* block, size_t first_index) {
  const uint16_t half = f32_to_f16(scale);
  if (!std::isfinite(f16_to_f32(half))) {
    return invalid_argument(fmt::format("the values at index {}..{} need a scale of {}, more than half precision holds",
                                        first_index, first_index + kValues - 1, scale));
  }
  std::memcpy(block, &half, kScaleBytes);
  return {};
}

void decode_q8_0(std::span<const std::byte> in, std::span<float> out) {
  const std::byte* block = in.data();
  for (size_t begin = 0; begin < out.size(); begin += kValues, block += kQ8Bytes) {
    const float scale = read_scale(block);
    for (size_t i = 0; i < kValues; ++i) {
      out[begin + i] = scale * static_cast<float>(static_cast<int8_t>(block[kScaleBytes + i]));
    }
  }
}

Status encode_q8_0(std::span<const float> in, std::span<std::byte> out) {
  std::byte* block = out.data();
  for (size_t begin = 0; begin < in.size(); begin += kValues, block += kQ8Bytes) {
    const std::span<const float> values = in.subspan(begin, kValues);
    TRY_ASSIGN(const float extreme, largest(values, begin));
    const float scale = std::fabs(extreme) / 127.0F;
    TRY(write_scale(scale, block, begin));
    const float inverse = 1.0F / scale;  // infinite for tiny scales, whose values all become 0
    for (size_t i = 0; i < kValues; ++i) {
      const float quant = std::isfinite(inverse) ? std::round(values[i] * inverse) : 0.0F;
      block[kScaleBytes + i] = static_cast<std::byte>(static_cast<int8_t>(std::clamp(quant, -127.0F, 127.0F)));
    }
  }
  return {};
}

void decode_q4_0(std::span<const std::byte> in, std::span<float> out) {
  const std::byte* block = in.data();
  for (size_t begin = 0; begin < out.size(); begin += kValues, block += kQ4Bytes) {
    const float scale = read_scale(block);
    for (size_t i = 0; i < kValues / 2; ++i) {
      const auto pair = static_cast<int>(block[kScaleBytes + i]);
      out[begin + i] = scale * static_cast<float>((pair & 15) - 8);
      out[begin + i + kValues / 2] = scale * static_cast<float>((pair >> 4) - 8);
    }
  }
}

// The extreme value maps to -8, so that the side that needs most range has it.
int quantise_q4_0(float value, float inverse) {
  if (!std::isfinite(inverse)) return 8;
  return std::clamp(static_cast<int>(value * inverse + 8.5F), 0, 15);
}

Status encode_q4_0(std::span<const float> in, std::span<std::byte> out) {
  std::byte* block = out.data();
  for (size_t begin = 0; begin < in.size(); begin += kValues, block += kQ4Bytes) {
    const std::span<const float> values = in.subspan(begin, kValues);
    TRY_ASSIGN(const float extreme, largest(values, begin));
    const float scale = extreme / -8.0F;
    TRY(write_scale(scale, block, begin));
    const float inverse = 1.0F / scale;
    for (size_t i = 0; i < kValues / 2; ++i) {
      const int low = quantise_q4_0(values[i], inverse);
      const int high = quantise_q4_0(values[i + kValues / 2], inverse);
      block[kScaleBytes + i] = static_cast<std::byte>(low | (high << 4));
    }
  }
  return {};
}

template <size_t block_bytes>
size_t find_bad_scale(std::span<const std::byte> in) {
  for (size_t block = 0; block < in.size() / block_bytes; ++block) {
    if (!std::isfinite(read_scale(in.data() + block * block_bytes))) return block;
  }
  return kAllFinite;
}

}  // namespace

const Codec kQ8_0Codec = {decode_q8_0, encode_q8_0, find_bad_scale<kQ8Bytes>};
const Codec kQ4_0Codec = {decode_q4_0, encode_q4_0, find_bad_scale<kQ4Bytes>};

}  // namespace cove::formats

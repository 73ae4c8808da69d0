#pragma once
// One row per format: its functions. Internal to formats/; see codec.h for layouts.

#include <cstddef>
#include <span>

#include "base/result.h"

namespace cove::formats {

struct Codec {
  void (*decode)(std::span<const std::byte> in, std::span<float> out);
  Status (*encode)(std::span<const float> in, std::span<std::byte> out);
  size_t (*find_not_finite)(std::span<const std::byte> in);
};

extern const Codec kF32Codec;
extern const Codec kF16Codec;
extern const Codec kBF16Codec;
extern const Codec kQ8_0Codec;
extern const Codec kQ4_0Codec;

}  // namespace cove::formats

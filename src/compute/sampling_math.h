#pragma once
// The arithmetic of sampling that every backend must have to the bit: constexpr, so that kernels call the same
// functions as sampling.cc.

#include <array>
#include <bit>
#include <cstdint>

namespace cove {

// e^x for x <= 0, relative error below 2e-7; exactly 1 at 0, 0 below -87. Own polynomial (Cephes' expf) and not the C
// library's, so that every machine draws the same token and loops over it vectorise.
constexpr float exp_weight(float x) {
  const float clamped = x < -87.0F ? -87.0F : x;
  const float scaled = clamped * 1.44269504088896341F;
  const auto exponent = static_cast<int32_t>(scaled - 0.5F);  // towards zero, and scaled <= 0: rounds to nearest
  const auto whole = static_cast<float>(exponent);
  const float rest = (clamped - whole * 0.693359375F) - whole * -2.12194440e-4F;
  float y = 1.9875691500e-4F;
  y = y * rest + 1.3981999507e-3F;
  y = y * rest + 8.3334519073e-3F;
  y = y * rest + 4.1665795894e-2F;
  y = y * rest + 1.6666665459e-1F;
  y = y * rest + 5.0000001201e-1F;
  y = y * (rest * rest) + rest + 1.0F;
  const float power = std::bit_cast<float>(static_cast<uint32_t>(exponent + 127) << 23);
  const uint32_t kept_bits = x < -87.0F ? 0U : ~0U;  // a mask and not a branch: compilers vectorise it
  return std::bit_cast<float>(std::bit_cast<uint32_t>(y * power) & kept_bits);
}

// The four words of Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
constexpr std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr int kRounds = 10;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53U} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57U} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9U;
    key[1] += 0xBB67AE85U;
  }
  return counter;
}

// Uniform in [0, 1) with 24 bits: the first word of Philox4x32-10 with key = seed and counter = position.
constexpr float philox_uniform(uint64_t seed, int64_t position) {
  const auto counter = static_cast<uint64_t>(position);
  const auto words = philox4x32({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0},
                                {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return static_cast<float>(words[0] >> 8) * 0x1p-24F;
}

}  // namespace cove

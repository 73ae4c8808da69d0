#pragma once
// What the sampling kernels share: sampling.cc's arithmetic, operation by operation, and what lies in their scratch
// memory. Included by kernels/sample*.

#include "backends/cuda/kernels/language.h"
#include "backends/cuda/kernels/sample.h"
#include "compute/sampling_math.h"

namespace cove::cuda::dev::sampling {

// Half a warp has a group: lane j its tokens j, j + 16, ...; a group is a block of sampling.cc, which sums in that
// order.
constexpr int kLanes = 16;
constexpr int kGroup = 256;
constexpr int kEach = kGroup / kLanes;  // tokens of a lane
constexpr int kScanThreads = 256;       // and 4 096 tokens: a chunk
constexpr int kChunk = kScanThreads * kEach;

// Tokens are classed by how far their value lies below the largest one, in quarters (of e-folds). The classes end where
// masses do.
constexpr float kClassesPerUnit = 4.0F;
constexpr int kClasses = 128;
// Where several blocks search one row's cut: bins over the listed tokens, and how many tokens of one bin are compared.
constexpr int kBins = 4096;
constexpr int kMembersMax = 512;

// Of one chunk, or of the row.
struct Facts {
  float max = kMinusInfinity;
  int32_t first = 0x7fffffff;  // token with that logit
  int32_t finite = 1;
};

// Of a row whose nucleus is sought among all tokens. A token is listed when the nucleus may reach it.
struct Listing {
  uint64_t mass;    // of all tokens
  uint64_t listed;  // of the listed ones
  uint32_t counts[kClasses];
  uint32_t members;  // tokens of the bin at the cut
  uint32_t parts;    // of the search that have ended
};

// One row's scratch memory.
struct Scratch {
  Listing* listing;
  uint64_t* bins;        // [kBins] masses
  float* member_values;  // [kMembersMax] of the bin at the cut, in any order
  int32_t* member_tokens;
  double* sums;     // [groups] of weights
  Facts* facts;     // [chunks]
  float* tops;      // [groups] largest logit
  uint16_t* marks;  // [groups][16] bit j of word i: token 16 i + j of the group is listed
};

struct ScratchLayout {
  int64_t groups, chunks;
  int64_t bins, member_values, member_tokens, sums, facts, tops, marks, bytes;  // offsets
};
constexpr ScratchLayout scratch_layout(int64_t vocab) {
  ScratchLayout at{};
  at.groups = (vocab + kGroup - 1) / kGroup;
  at.chunks = (vocab + kChunk - 1) / kChunk;
  at.bins = sizeof(Listing);
  at.member_values = at.bins + kBins * static_cast<int64_t>(sizeof(uint64_t));
  at.member_tokens = at.member_values + kMembersMax * static_cast<int64_t>(sizeof(float));
  at.sums = at.member_tokens + kMembersMax * static_cast<int64_t>(sizeof(int32_t));
  at.facts = at.sums + at.groups * static_cast<int64_t>(sizeof(double));
  at.tops = at.facts + at.chunks * static_cast<int64_t>(sizeof(Facts));
  at.marks = at.tops + at.groups * static_cast<int64_t>(sizeof(float));
  at.bytes = at.marks + at.groups * kLanes * static_cast<int64_t>(sizeof(uint16_t));
  at.bytes = (at.bytes + 255) / 256 * 256;
  return at;
}

struct Row {
  const float* logits;
  int32_t vocab;
  int32_t groups;
  int32_t chunks;
  SampleRow params;
  Scratch scratch;
  float max;  // of the values: logits / temperature
};

__device__ __forceinline__ Row row_at(const SampleLaunch& a, int64_t index) {
  const ScratchLayout at = scratch_layout(a.vocab);
  auto* memory = static_cast<unsigned char*>(a.scratch) + index * at.bytes;
  return {.logits = a.logits + index * a.vocab,
          .vocab = static_cast<int32_t>(a.vocab),
          .groups = static_cast<int32_t>(at.groups),
          .chunks = static_cast<int32_t>(at.chunks),
          .params = a.params[index],
          .scratch = {.listing = reinterpret_cast<Listing*>(memory),
                      .bins = reinterpret_cast<uint64_t*>(memory + at.bins),
                      .member_values = reinterpret_cast<float*>(memory + at.member_values),
                      .member_tokens = reinterpret_cast<int32_t*>(memory + at.member_tokens),
                      .sums = reinterpret_cast<double*>(memory + at.sums),
                      .facts = reinterpret_cast<Facts*>(memory + at.facts),
                      .tops = reinterpret_cast<float*>(memory + at.tops),
                      .marks = reinterpret_cast<uint16_t*>(memory + at.marks)},
          .max = kMinusInfinity};
}

// A weight in units of 2^-45, rounded down: sums of them have no order, and 2^19 of them fit 64 bits.
constexpr double kMassUnit = 35184372088832.0;
__device__ __forceinline__ uint64_t mass_of(float weight) {
  const uint32_t bits = float_to_bits(weight);
  const int shift = static_cast<int>(bits >> 23) - 105;
  const uint64_t digits = (bits & 0x7fffffU) | 0x800000U;
  return shift >= 0 ? digits << shift : shift > -24 ? digits >> -shift : 0;
}

// Shared memory adds 32 bits at a time: masses lie there in halves.
__device__ __forceinline__ void add_mass(uint32_t* low, uint32_t* high, uint64_t mass) {
  const auto own = static_cast<uint32_t>(mass);
  const uint32_t old = atomic_add(low, own);
  const uint32_t carried = static_cast<uint32_t>(mass >> 32) + (old + own < own ? 1U : 0U);
  if (carried != 0) atomic_add(high, carried);
}

__device__ __forceinline__ float value_at(const Row& row, int32_t token) {
  return row.logits[token] / row.params.temperature;
}

// min_p's part of a weight.
__device__ __forceinline__ float weight_of(const Row& row, float value) {
  const float weight = exp_weight(value - row.max);
  return row.params.min_p > 0.0F && weight < row.params.min_p ? 0.0F : weight;
}

__device__ __forceinline__ int lane_of_group() { return lane() % kLanes; }
__device__ __forceinline__ int32_t tokens_in(const Row& row, int32_t group) {
  const int32_t left = row.vocab - group * kGroup;
  return left < 0 ? 0 : left < kGroup ? left : kGroup;
}

// This lane's logits of the group; `beyond` for tokens that are not there. All loads are under way at once.
__device__ __forceinline__ void load_group(const Row& row, int32_t group, float beyond, float (&logits)[kEach]) {
  const int32_t count = tokens_in(row, group);
  const float* from = row.logits + static_cast<int64_t>(group) * kGroup + lane_of_group();
#pragma unroll
  for (int i = 0; i < kEach; ++i) logits[i] = i * kLanes + lane_of_group() < count ? from[i * kLanes] : beyond;
}

// sampling.cc's block_sum, for every lane of the group: what is left beyond whole rows of 16 first, then the 16 lanes'
// sums. weights: of this lane, 0 where there is no token. By whole warps.
__device__ __forceinline__ double group_sum(const float (&weights)[kEach], int32_t count) {
  double mine = 0;
  double rest = 0;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    if (i * kLanes + kLanes <= count) {
      mine += static_cast<double>(weights[i]);
    } else if (i * kLanes < count) {
      rest = static_cast<double>(weights[i]);
    }
  }
  const int begin = lane() / kLanes * kLanes;
  double sum = 0;
  if (any_lane(count % kLanes != 0)) {
    for (int other = 0; other < kLanes; ++other) sum += shuffle(rest, begin + other);
  }
  for (int other = 0; other < kLanes; ++other) sum += shuffle(mine, begin + other);
  return sum;
}

// Of the row, from those of its chunks; each warp for itself.
__device__ __forceinline__ Facts row_facts(const Row& row) {
  Facts facts;
  for (int32_t chunk = lane(); chunk < row.chunks; chunk += 32) {
    const Facts& other = row.scratch.facts[chunk];
    if (other.max > facts.max || (other.max == facts.max && other.first < facts.first)) {
      facts.max = other.max;
      facts.first = other.first;
    }
    facts.finite &= other.finite;
  }
  for (int mask = 16; mask > 0; mask /= 2) {
    const float max = shuffle_xor(facts.max, mask);
    const int32_t first = shuffle_xor(facts.first, mask);
    if (max > facts.max || (max == facts.max && first < facts.first)) {
      facts.max = max;
      facts.first = first;
    }
    facts.finite &= shuffle_xor(facts.finite, mask);
  }
  return facts;
}

}  // namespace cove::cuda::dev::sampling

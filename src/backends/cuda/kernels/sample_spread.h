#pragma once
// top_p over an almost flat row, where more tokens may remain than one block can collect: several blocks search the
// row. weigh has sorted the listed tokens' masses into bins by their distance from the largest value. Each block finds
// the bin at the cut, sums the weights of its groups' tokens in better bins, and lists the tokens of that bin; the
// block that ends last settles which of those remain and draws. Included by kernels/sample.cu only.

#include "backends/cuda/kernels/sample_cut.h"

namespace cove::cuda::dev::sampling {

// Tokens from this distance (in classes) on have together less than half of what top_p leaves out: each less than
// q = (1 - top_p) / 2 vocab of the largest weight, which the mass is not below.
__device__ __forceinline__ float listing_reach(const Row& row) {
  const float q = (1.0F - row.params.top_p) / (2.0F * static_cast<float>(row.vocab));
  const int exponent = static_cast<int>(float_to_bits(q) >> 23) - 127;  // 2^exponent <= q
  const float reach = static_cast<float>(-exponent) * (0.6931472F * kClassesPerUnit) + 1.0F;
  return reach < static_cast<float>(kClasses) ? reach : static_cast<float>(kClasses);
}

__device__ __forceinline__ int32_t bin_at(float distance, float reach) {
  const auto bin = static_cast<int32_t>(distance * (static_cast<float>(kBins) / reach));
  return bin < kBins ? bin : kBins - 1;
}

// The bin at the cut, and what better ones measure.
__device__ __forceinline__ Step bin_at_cut(const Row& row, const Aim& aim) {
  constexpr int kOwn = kBins / kThreads;
  Shared& shared = *memory_of(row).fixed;
  uint64_t masses[kOwn];
  uint64_t own = 0;
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    masses[i] = row.scratch.bins[kOwn * static_cast<int>(threadIdx.x) + i];
    own += masses[i];
  }
  if (threadIdx.x == 0) shared.digit = -1;
  uint64_t total = 0;
  uint64_t before = scan_before(own, shared, total);
  const auto reaches = [&](uint64_t mass) { return static_cast<double>(mass) >= aim.wanted; };
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    if (!reaches(before) && reaches(before + masses[i])) {
      shared.digit = kOwn * static_cast<int>(threadIdx.x) + i;
      shared.before = before;
    }
    before += masses[i];
  }
  block_sync();
  return {.digit = shared.digit, .before = shared.before};
}

// Sums of this block's groups, without the tokens of the bin, which are listed. By whole warps.
__device__ __forceinline__ void sum_better_bins(const Row& row, int32_t bin) {
  const float reach = listing_reach(row);
  Listing& listing = *row.scratch.listing;
  const auto parts = static_cast<int32_t>(gridDim.y);
  const int32_t stride = parts * kHalves;
  const int32_t padded = (row.groups + stride - 1) / stride * stride;
  for (int32_t group = static_cast<int32_t>(blockIdx.y) * kHalves + static_cast<int32_t>(threadIdx.x) / kLanes;
       group < padded; group += stride) {
    float weights[kEach];
    load_group(row, group, 0, weights);
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int32_t token = group * kGroup + i * kLanes + lane_of_group();
      const float value = weights[i] / row.params.temperature;
      const float distance = distance_of(row, value);
      const bool is_listed = token < row.vocab && distance < reach;
      const int32_t own = is_listed ? bin_at(distance, reach) : kBins;
      weights[i] = own < bin ? weight_of(row, value) : 0.0F;
      if (own != bin) continue;
      const uint32_t at = atomic_add(&listing.members, 1U);
      if (at >= kMembersMax) continue;
      row.scratch.member_values[at] = value;
      row.scratch.member_tokens[at] = token;
    }
    const double sum = group_sum(weights, tokens_in(row, group));
    if (lane_of_group() == 0 && group < row.groups) row.scratch.sums[group] = sum;
  }
}

// Whether this block is the last of the row's; what the others wrote can then be read.
__device__ __forceinline__ bool ends_last(const Row& row, Shared& shared) {
  thread_fence();  // sums and members are visible before the count is
  block_sync();
  if (threadIdx.x == 0) shared.reached_by = static_cast<int32_t>(atomic_add(&row.scratch.listing->parts, 1U));
  block_sync();
  thread_fence();
  return shared.reached_by + 1 == static_cast<int32_t>(gridDim.y);
}

// A group's sum of the weights that remain. By whole warps.
__device__ __forceinline__ double remaining_sum(const Row& row, int32_t group, const Cut& cut) {
  float weights[kEach];
  load_group(row, group, 0, weights);
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int32_t token = group * kGroup + i * kLanes + lane_of_group();
    const float value = weights[i] / row.params.temperature;
    weights[i] = token < row.vocab && remains(value, token, cut) ? weight_of(row, value) : 0.0F;
  }
  return group_sum(weights, tokens_in(row, group));
}

// In the last block: the cut, and memory.sums after it. False: too many tokens in the bin at the cut.
__device__ __forceinline__ bool settle_sums(const Row& row, const Aim& aim, const Step& at, Cut& cut) {
  const Memory memory = memory_of(row);
  Shared& shared = *memory.fixed;
  const uint32_t members = row.scratch.listing->members;
  if (members > kMembersMax) return false;
  if (threadIdx.x < members) {
    const float value = row.scratch.member_values[threadIdx.x];
    shared.member_values[threadIdx.x] = value;
    shared.member_tokens[threadIdx.x] = row.scratch.member_tokens[threadIdx.x];
    shared.member_masses[threadIdx.x] = measure(row, value, aim.by_mass);
  }
  for (auto i = static_cast<int32_t>(threadIdx.x); i < row.groups; i += kThreads) memory.sums[i] = row.scratch.sums[i];
  cut = settle_among(members, aim, at.before, shared);
  const auto padded = static_cast<int32_t>((members + kHalves - 1) / kHalves * kHalves);
  for (auto i = static_cast<int32_t>(threadIdx.x) / kLanes; i < padded; i += kHalves) {
    const bool is_one = i < static_cast<int32_t>(members);
    const int32_t group = is_one ? shared.member_tokens[i] / kGroup : row.groups;
    const double sum = remaining_sum(row, group, cut);
    if (is_one && lane_of_group() == 0) memory.sums[group] = sum;  // again and again the same, if it has several
  }
  block_sync();
  return true;
}

}  // namespace cove::cuda::dev::sampling

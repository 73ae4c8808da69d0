#pragma once
// Which tokens of a row remain after top_k and top_p: one block searches the cut among candidates in shared memory, or
// among all tokens where there are too many. Included by kernels/sample.cu only.

#include "backends/cuda/kernels/sample_values.h"

namespace cove::cuda::dev::sampling {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / 32;
constexpr int kHalves = kThreads / kLanes;
constexpr int kDigits = 2 * kThreads;  // a thread counts two
constexpr int kCandidatesMax = 4096;

struct Shared {
  uint64_t before;
  uint64_t warp_totals[kWarps];
  uint64_t member_masses[kMembersMax];  // tokens of the digit at the cut
  float member_values[kMembersMax];
  int32_t member_tokens[kMembersMax];
  uint32_t members;
  uint32_t low[kDigits];  // masses by digit, in halves
  uint32_t high[kDigits];
  float values[kCandidatesMax];  // of the candidates; later their weights
  int32_t tokens[kCandidatesMax];
  uint32_t warp_bits[kWarps];
  int32_t warp_least[kWarps];
  int32_t digit;
  float cut_value;
  int32_t cut_token;
  float reach;
  int32_t reached_by;
};

// The block's memory: Shared, then arrays of one entry per group (a multiple of 8 of them, at least one group's
// tokens).
struct Memory {
  Shared* fixed;
  double* sums;
  double* running;
  int32_t* offsets;  // where a group's candidates begin
};
constexpr int64_t entries_for(int64_t groups) { return groups < kGroup ? kGroup : groups; }
constexpr size_t shared_bytes(int64_t groups) {
  const auto entries = static_cast<size_t>(entries_for(groups));
  return sizeof(Shared) + entries * 2 * sizeof(double) + (entries + 1) * sizeof(int32_t);
}
__device__ __forceinline__ Memory memory_of(const Row& row) {
  auto* fixed = reinterpret_cast<Shared*>(shared_memory());
  auto* sums = reinterpret_cast<double*>(fixed + 1);
  const int64_t entries = entries_for(row.groups);
  return {.fixed = fixed,
          .sums = sums,
          .running = sums + entries,
          .offsets = reinterpret_cast<int32_t*>(sums + 2 * entries)};
}

// The last token that remains, in the order (value descending, id ascending).
struct Cut {
  float value = kMinusInfinity;
  int32_t token = 0x7fffffff;
};
__device__ __forceinline__ bool remains(float value, int32_t token, const Cut& cut) {
  return value > cut.value || (value == cut.value && token <= cut.token);
}

// What the cut cannot lie behind: smaller values, and values farther below the largest one.
struct Limits {
  float least = kMinusInfinity;
  float reach = -kMinusInfinity;  // in quarters, as classes
  float span = 32;                // most of what is within lies so far below the largest value, or less
};
__device__ __forceinline__ float distance_of(const Row& row, float value) {
  return (row.max - value) * kClassesPerUnit;
}
__device__ __forceinline__ bool is_within(const Row& row, const Limits& limits, float value) {
  return value >= limits.least && distance_of(row, value) < limits.reach;
}

// --- Where tokens are searched ---

struct Candidates {
  const Shared* shared;
  int32_t count;
  float span;
  __device__ __forceinline__ float value(int32_t i) const { return shared->values[i]; }
  __device__ __forceinline__ int32_t token(int32_t i) const { return shared->tokens[i]; }
};
struct AllTokens {
  const Row* row;
  int32_t count;
  float span;
  Limits limits;
  __device__ __forceinline__ float value(int32_t i) const {
    const float value = value_at(*row, i);
    return is_within(*row, limits, value) ? value : kMinusInfinity;
  }
  __device__ __forceinline__ int32_t token(int32_t i) const { return i; }
};
// The largest value of each group.
struct Tops {
  const Row* row;
  int32_t count;
  float span;
  __device__ __forceinline__ float value(int32_t i) const { return row->scratch.tops[i] / row->params.temperature; }
  __device__ __forceinline__ int32_t token(int32_t i) const { return i; }
};

// --- The block's sums ---

// Sum of the values of the threads before this one, and of all.
__device__ __forceinline__ uint64_t scan_before(uint64_t mine, Shared& shared, uint64_t& total) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  uint64_t scan = mine;
  for (int step = 1; step < 32; step *= 2) {
    const uint64_t other = shuffle(scan, lane() - step);
    if (lane() >= step) scan += other;
  }
  block_sync();  // warp_totals may still be read from an earlier scan
  if (lane() == 31) shared.warp_totals[warp] = scan;
  block_sync();
  uint64_t warps = shared.warp_totals[lane()];
  for (int step = 1; step < 32; step *= 2) {
    const uint64_t other = shuffle(warps, lane() - step);
    if (lane() >= step) warps += other;
  }
  total = shuffle(warps, 31);
  const uint64_t earlier = shuffle(warps, warp - 1);
  return (warp == 0 ? 0 : earlier) + scan - mine;
}

// The smallest, for all threads.
__device__ __forceinline__ int32_t block_least(int32_t value, Shared& shared) {
  for (int mask = 16; mask > 0; mask /= 2) {
    const int32_t other = shuffle_xor(value, mask);
    value = other < value ? other : value;
  }
  block_sync();
  if (lane() == 0) shared.warp_least[threadIdx.x / 32] = value;
  block_sync();
  value = shared.warp_least[lane()];
  for (int mask = 16; mask > 0; mask /= 2) {
    const int32_t other = shuffle_xor(value, mask);
    value = other < value ? other : value;
  }
  return value;
}

// --- The search ---

// Each token measures 1, or its mass; the cut is where the sorted tokens together measure `wanted`, or `share` of all.
struct Aim {
  bool by_mass;
  double wanted;
  double share = 0;  // if above 0, of what is searched
};
// What came out of one digit: tokens of larger ones measure `before`, less than wanted; with those of `digit` not less.
struct Step {
  int32_t digit = -1;  // -1: all together do not measure what is wanted
  uint64_t before = 0;
};

__device__ __forceinline__ uint64_t measure(const Row& row, float value, bool by_mass) {
  return by_mass ? mass_of(exp_weight(value - row.max)) : 1;
}

// work(value, token) for the tokens that remain after `within`.
template <class Tokens, class Work>
__device__ __forceinline__ void for_each(const Tokens& tokens, const Cut& within, const Work& work) {
  constexpr int kBatch = 4;  // loads under way
  for (auto first = static_cast<int32_t>(threadIdx.x); first < tokens.count; first += kBatch * kThreads) {
    float values[kBatch];
#pragma unroll
    for (int u = 0; u < kBatch; ++u) {
      const int32_t i = first + u * kThreads;
      values[u] = i < tokens.count ? tokens.value(i) : kMinusInfinity;
    }
#pragma unroll
    for (int u = 0; u < kBatch; ++u) {
      if (values[u] == kMinusInfinity) continue;
      const int32_t token = tokens.token(first + u * kThreads);
      if (remains(values[u], token, within)) work(values[u], token);
    }
  }
}

// One digit of all: digit_of(value) is 0 for the best values; -1 leaves one out. Sets aim.wanted from its share.
template <class Tokens, class Digit>
__device__ __forceinline__ Step step(const Row& row, const Tokens& tokens, const Cut& within, Aim& aim, uint64_t before,
                                     const Digit& digit_of) {
  Shared& shared = *memory_of(row).fixed;
  const int mine = 2 * static_cast<int>(threadIdx.x);
  block_sync();  // the last digit has been read
  shared.low[mine] = shared.low[mine + 1] = shared.high[mine] = shared.high[mine + 1] = 0;
  if (threadIdx.x == 0) shared.digit = -1;
  block_sync();
  for_each(tokens, within, [&](float value, int32_t) {
    const int32_t digit = digit_of(value);
    const uint64_t mass = digit < 0 ? 0 : measure(row, value, aim.by_mass);
    if (mass != 0) add_mass(&shared.low[digit], &shared.high[digit], mass);
  });
  block_sync();
  const uint64_t first = uint64_t{shared.high[mine]} << 32 | shared.low[mine];
  const uint64_t second = uint64_t{shared.high[mine + 1]} << 32 | shared.low[mine + 1];
  uint64_t total = 0;
  const uint64_t earlier = before + scan_before(first + second, shared, total);
  if (aim.share > 0) {
    aim.wanted = aim.share * static_cast<double>(total);
    aim.share = 0;
  }
  if (aim.wanted < 1) aim.wanted = 1;  // the best token always remains
  const auto reaches = [&](uint64_t mass) { return static_cast<double>(mass) >= aim.wanted; };
  if (!reaches(earlier) && reaches(earlier + first + second)) {
    const bool at_first = reaches(earlier + first);
    shared.digit = at_first ? mine : mine + 1;
    shared.before = at_first ? earlier : earlier + first;
  }
  block_sync();
  return {.digit = shared.digit, .before = shared.before};
}

// Of the tokens in shared.member_* the one at the cut; `before` is what those before all of them measure. Each thread
// measures what is not behind its own.
__device__ __forceinline__ Cut settle_among(uint32_t members, const Aim& aim, uint64_t before, Shared& shared) {
  block_sync();
  if (threadIdx.x < members) {
    const Cut own = {shared.member_values[threadIdx.x], shared.member_tokens[threadIdx.x]};
    uint64_t measured = before;
    for (uint32_t i = 0; i < members; ++i) {
      if (remains(shared.member_values[i], shared.member_tokens[i], own)) measured += shared.member_masses[i];
    }
    const uint64_t without = measured - shared.member_masses[threadIdx.x];
    if (static_cast<double>(without) < aim.wanted && static_cast<double>(measured) >= aim.wanted) {
      shared.cut_value = own.value;
      shared.cut_token = own.token;
    }
  }
  block_sync();
  return {shared.cut_value, shared.cut_token};
}

// Of the tokens with this digit the one at the cut. False: too many.
template <class Tokens, class Digit>
__device__ __forceinline__ bool settle(const Row& row, const Tokens& tokens, const Cut& within, const Aim& aim,
                                       const Step& at, const Digit& digit_of, Cut& cut) {
  Shared& shared = *memory_of(row).fixed;
  if (threadIdx.x == 0) shared.members = 0;
  block_sync();
  for_each(tokens, within, [&](float value, int32_t token) {
    if (digit_of(value) != at.digit) return;
    const uint32_t i = atomic_add(&shared.members, 1U);
    if (i >= kMembersMax) return;
    shared.member_values[i] = value;
    shared.member_tokens[i] = token;
    shared.member_masses[i] = measure(row, value, aim.by_mass);
  });
  block_sync();
  const uint32_t members = shared.members;
  if (members > kMembersMax) return false;
  cut = settle_among(members, aim, at.before, shared);
  return true;
}

// Ordered as the values are; both zeros are one.
__device__ __forceinline__ uint32_t key_of(float value) {
  const uint32_t bits = float_to_bits(value + 0.0F);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
__device__ __forceinline__ float value_of_key(uint32_t key) {
  return bits_to_float((key & 0x80000000U) != 0 ? key & 0x7fffffffU : ~key);
}

// The rank-th (from 1) token with this value, in the order of ids.
template <class Tokens>
__device__ __forceinline__ int32_t nth_with_value(const Tokens& tokens, float value, int32_t rank, Shared& shared) {
  for (int32_t begin = 0; begin < tokens.count; begin += kThreads) {
    const int32_t i = begin + static_cast<int32_t>(threadIdx.x);
    const uint32_t hits = lane_mask(i < tokens.count && tokens.value(i) == value);
    block_sync();
    if (lane() == 0) shared.warp_bits[threadIdx.x / 32] = hits;
    block_sync();
    for (int warp = 0; warp < kWarps; ++warp) {
      uint32_t bits = shared.warp_bits[warp];
      if (rank > count_bits(bits)) {
        rank -= count_bits(bits);
        continue;
      }
      while (--rank > 0) bits &= bits - 1;
      return tokens.token(begin + warp * 32 + lowest_bit(bits));
    }
  }
  return 0x7fffffff;
}

// However many tokens have equal or almost equal values: by three digits of the distance from the largest key, then by
// rank among equals.
template <class Tokens>
__device__ __forceinline__ Cut cut_by_keys(const Row& row, const Tokens& tokens, const Cut& within, Aim aim) {
  const uint32_t most = key_of(row.max);
  uint32_t prefix = 0;
  uint64_t before = 0;
  for (int pass = 0; pass < 3; ++pass) {
    const int shift = pass == 0 ? 21 : pass == 1 ? 10 : 0;
    const int bits = pass == 2 ? 10 : 11;
    const Step at = step(row, tokens, within, aim, before, [=](float value) {
      const uint32_t distance = (most - key_of(value)) >> shift;
      return pass == 0 || distance >> bits == prefix ? static_cast<int32_t>(distance - (prefix << bits)) : -1;
    });
    prefix = prefix << bits | static_cast<uint32_t>(at.digit);
    before = at.before;
  }
  const float value = value_of_key(most - prefix);
  const auto each = static_cast<double>(measure(row, value, aim.by_mass));
  const double missing = (aim.wanted - static_cast<double>(before)) / each;
  auto rank = static_cast<int32_t>(missing);
  if (static_cast<double>(rank) < missing) ++rank;
  return {value, nth_with_value(tokens, value, rank < 1 ? 1 : rank, *memory_of(row).fixed)};
}

// The shortest prefix of the sorted tokens (those that remain after `within`) that measures what is wanted: its last
// one. Tokens are sorted into as many bins as there are digits, evenly over their span.
template <class Tokens>
__device__ __forceinline__ Cut cut_at(const Row& row, const Tokens& tokens, const Cut& within, Aim aim) {
  constexpr float kMost = 1e30F;
  const float bins = static_cast<float>(kDigits) / tokens.span;
  const float scale = bins < kMost ? bins : kMost;
  const float max = row.max;
  const auto bin_of = [=](float value) {
    const float bin = (max - value) * scale;
    return bin < static_cast<float>(kDigits - 1) ? static_cast<int32_t>(bin) : kDigits - 1;
  };
  const Step at = step(row, tokens, within, aim, 0, bin_of);
  if (at.digit < 0) return within;  // rounding only
  Cut cut;
  return settle(row, tokens, within, aim, at, bin_of, cut) ? cut : cut_by_keys(row, tokens, within, aim);
}

// --- Limits and candidates ---

// top_k: at least k tokens are not below the k-th largest of the groups' largest values.
__device__ __forceinline__ Limits limits_by_count(const Row& row) {
  Limits limits;
  const Aim aim = {.by_mass = false, .wanted = static_cast<double>(row.params.top_k)};
  limits.least = cut_at(row, Tops{&row, row.groups, limits.span}, Cut{}, aim).value;
  limits.span = row.max - limits.least;
  return limits;
}

// top_p: the tokens beyond this class have together less than 1 - top_p of the mass, by the largest weight that a class
// can have. `count` is how many are within.
__device__ __forceinline__ Limits limits_by_mass(const Row& row, int32_t& count) {
  constexpr int kOwn = kClasses / 32;
  constexpr double kAbove = 1.000001;  // the error of the weights
  Shared& shared = *memory_of(row).fixed;
  const Listing& listing = *row.scratch.listing;
  if (threadIdx.x < 32) {
    const auto mass = static_cast<double>(listing.mass);
    const double spare = (1 - static_cast<double>(row.params.top_p)) * mass / kAbove;
    uint32_t counts[kOwn];
    double masses[kOwn];
    double own = 0;
    for (int i = 0; i < kOwn; ++i) {
      const int rank = kOwn * lane() + i;
      counts[i] = listing.counts[rank];
      masses[i] =
          counts[i] * kMassUnit * kAbove * static_cast<double>(exp_weight(static_cast<float>(rank) / -kClassesPerUnit));
      own += masses[i];
    }
    double behind = own;  // of the classes from this lane's on
    for (int step = 1; step < 32; step *= 2) {
      const double other = shuffle(behind, lane() + step);
      if (lane() + step < 32) behind += other;
    }
    behind = shuffle(behind, lane() + 1);
    if (lane() == 31) behind = 0;
    behind += static_cast<double>(listing.mass - listing.listed);
    int classes = 0;  // that the nucleus may reach: those with more than `spare` behind them, and one
    for (int i = kOwn - 1; i >= 0; --i) {
      classes += behind > spare ? 1 : 0;
      behind += masses[i];
    }
    for (int mask = 16; mask > 0; mask /= 2) classes += shuffle_xor(classes, mask);
    classes += 1;
    int32_t within = 0;
    for (int i = 0; i < kOwn; ++i) within += kOwn * lane() + i < classes ? static_cast<int32_t>(counts[i]) : 0;
    for (int mask = 16; mask > 0; mask /= 2) within += shuffle_xor(within, mask);
    if (lane() == 0) {
      shared.reach = static_cast<float>(classes);
      shared.reached_by = within;
    }
  }
  block_sync();
  count = shared.reached_by;
  return {.reach = shared.reach, .span = shared.reach / kClassesPerUnit};
}

// Which of the 16 tokens beginning at `first` are within the limits, of those named by `mark`.
__device__ __forceinline__ uint32_t marks_within(const Row& row, const Limits& limits, int32_t first, uint32_t mark) {
  float logits[kLanes];
#pragma unroll
  for (int i = 0; i < kLanes; ++i) logits[i] = (mark >> i & 1) != 0 ? row.logits[first + i] : kMinusInfinity;
  uint32_t kept = 0;
#pragma unroll
  for (int i = 0; i < kLanes; ++i) {
    const bool is = (mark >> i & 1) != 0 && is_within(row, limits, logits[i] / row.params.temperature);
    kept |= is ? 1U << i : 0U;
  }
  return kept;
}

// Which of the lane's 16 tokens of the group are looked at: all of groups that have a candidate, or the listed ones.
__device__ __forceinline__ uint32_t marks_to_try(const Row& row, const Limits& limits, int32_t group, bool by_count) {
  if (group >= row.groups) return 0;
  const int32_t word = group * kLanes + lane_of_group();
  if (!by_count) return row.scratch.marks[word];
  if (row.scratch.tops[group] / row.params.temperature < limits.least) return 0;
  const int32_t left = row.vocab - word * kLanes;
  return left >= kLanes ? 0xffffU : left <= 0 ? 0 : (1U << left) - 1;
}

// memory.offsets: how many candidates each group has, then where they begin. scratch.marks: which they are. Returns how
// many in all.
__device__ __forceinline__ int32_t count_candidates(const Row& row, const Limits& limits, bool by_count) {
  const Memory memory = memory_of(row);
  const int32_t half = static_cast<int32_t>(threadIdx.x) / kLanes;
  const int32_t padded = (row.groups + kHalves - 1) / kHalves * kHalves;
  uint32_t next = marks_to_try(row, limits, half, by_count);
  for (int32_t group = half; group < padded; group += kHalves) {
    uint32_t mark = next;
    next = marks_to_try(row, limits, group + kHalves, by_count);  // under way while this group is looked at
    int32_t count = 0;
    if (any_lane(mark != 0)) {
      const int32_t word = group * kLanes + lane_of_group();
      mark = marks_within(row, limits, word * kLanes, mark);
      if (group < row.groups) row.scratch.marks[word] = static_cast<uint16_t>(mark);
      count = count_bits(mark);
      for (int mask = kLanes / 2; mask > 0; mask /= 2) count += shuffle_xor(count, mask);
    }
    if (lane_of_group() == 0 && group < row.groups) memory.offsets[group] = count;
  }
  block_sync();
  const int32_t mine = 2 * static_cast<int32_t>(threadIdx.x);
  const int32_t first = mine < row.groups ? memory.offsets[mine] : 0;
  const int32_t second = mine + 1 < row.groups ? memory.offsets[mine + 1] : 0;
  uint64_t total = 0;
  const auto before = static_cast<int32_t>(scan_before(static_cast<uint64_t>(first + second), *memory.fixed, total));
  if (mine < row.groups) memory.offsets[mine] = before;
  if (mine + 1 < row.groups) memory.offsets[mine + 1] = before + first;
  if (threadIdx.x == 0) memory.offsets[row.groups] = static_cast<int32_t>(total);
  block_sync();
  return static_cast<int32_t>(total);
}

// Collects the candidates in the order of ids. Nothing is collected when they are too many.
__device__ __forceinline__ int32_t gather(const Row& row, const Limits& limits, bool by_count) {
  const Memory memory = memory_of(row);
  const int32_t total = count_candidates(row, limits, by_count);
  if (total > kCandidatesMax) return total;
  const int32_t padded = (row.groups + kHalves - 1) / kHalves * kHalves;
  for (auto group = static_cast<int32_t>(threadIdx.x) / kLanes; group < padded; group += kHalves) {
    const int32_t begin = group < row.groups ? memory.offsets[group] : 0;
    const bool has = group < row.groups && memory.offsets[group + 1] > begin;
    if (!any_lane(has)) continue;
    const int32_t word = group * kLanes + lane_of_group();
    uint32_t mark = has ? row.scratch.marks[word] : 0;  // this lane wrote it
    int32_t through = count_bits(mark);                 // of the lanes up to this one
    for (int step = 1; step < kLanes; step *= 2) {
      const int32_t other = shuffle(through, lane() - step);
      if (lane_of_group() >= step) through += other;
    }
    for (int32_t at = begin + through - count_bits(mark); mark != 0; mark &= mark - 1, ++at) {
      const int32_t token = word * kLanes + lowest_bit(mark);
      memory.fixed->values[at] = value_at(row, token);
      memory.fixed->tokens[at] = token;
    }
  }
  block_sync();
  return total;
}

}  // namespace cove::cuda::dev::sampling

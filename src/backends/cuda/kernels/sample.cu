// Three launches. scan: facts of chunks of 4 096 logits and the largest of each 256, many blocks a row. weigh: for rows
// that need every weight, its sums by 256 tokens or, for top_p, the row's mass and which tokens the nucleus may reach.
// choose: one block a row draws; of few rows several do, where top_p cuts an almost flat one. Greedy rows and rows with
// top_k read their logits once.
//
// Follows compute/sampling.cc operation by operation, so that the same logits give the same token: the same polynomial
// for e^x, the same order of additions in the draw. Only the mass that top_p compares with is summed otherwise (in
// fixed point, which has no order): it differs from the host's by less than 1e-8 of the whole, and so does the token
// only if a token's edge falls into that gap. Bound by reading the logits from L2 or memory, once or twice.
#include "backends/cuda/kernels/sample.h"

#include "backends/cuda/kernels/sample_spread.h"

namespace cove::cuda {
namespace {

using namespace dev;
using namespace dev::sampling;

// --- scan: a block has a chunk ---

struct ScanShared {
  float partial[kScanThreads / 32];
  int32_t first[kScanThreads / 32];
};

__device__ __forceinline__ int32_t group_in(int32_t chunk) {
  return chunk * (kChunk / kGroup) + static_cast<int32_t>(threadIdx.x) / kLanes;
}

// The chunk's first token with the largest logit; thread 0 has it.
__device__ __forceinline__ int32_t first_with(float max, const float (&logits)[kEach], int32_t group,
                                              int32_t* partial) {
  int32_t first = 0x7fffffff;
#pragma unroll
  for (int i = kEach - 1; i >= 0; --i) {
    if (logits[i] == max) first = group * kGroup + i * kLanes + lane_of_group();
  }
  for (int mask = 16; mask > 0; mask /= 2) {
    const int32_t other = shuffle_xor(first, mask);
    first = other < first ? other : first;
  }
  if (lane() == 0) partial[threadIdx.x / 32] = first;
  block_sync();
  for (int i = 0; threadIdx.x == 0 && i < kScanThreads / 32; ++i) first = partial[i] < first ? partial[i] : first;
  return first;
}

// Rows of which several blocks search one together: where so few would leave most multiprocessors idle.
constexpr int64_t kSpreadRowsMax = 32;
constexpr int64_t kSpreadBlocks = 128;

// What weigh and the search add to.
__device__ __forceinline__ void clear_listing(const SampleLaunch& a, const Row& row, int32_t chunk) {
  Listing& listing = *row.scratch.listing;
  if (chunk == 0) {
    if (threadIdx.x == 0) listing.mass = listing.listed = listing.members = listing.parts = 0;
    if (threadIdx.x < kClasses) listing.counts[threadIdx.x] = 0;
  }
  if (row.params.top_p >= 1.0F || a.rows > kSpreadRowsMax) return;
  for (int32_t bin = chunk * kScanThreads + static_cast<int32_t>(threadIdx.x); bin < kBins;
       bin += row.chunks * kScanThreads) {
    row.scratch.bins[bin] = 0;
  }
}

__global__ void __launch_bounds__(kScanThreads) scan_kernel(SampleLaunch a) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  const Row row = row_at(a, blockIdx.x);
  if (row.params.skip != 0) return;
  auto& shared = *reinterpret_cast<ScanShared*>(shared_memory());
  // From the end, which was written last and is likely in L2; weigh then begins with what scan read last.
  const int32_t chunk = row.chunks - 1 - static_cast<int32_t>(blockIdx.y);
  clear_listing(a, row, chunk);
  const int32_t group = group_in(chunk);
  float logits[kEach];
  load_group(row, group, kMinusInfinity, logits);
  float top = kMinusInfinity;
  uint32_t size = 0;  // the largest magnitude's bits
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    top = larger(top, logits[i]);
    const uint32_t bits = float_to_bits(logits[i]) & 0x7fffffffU;
    if (i * kLanes + lane_of_group() < tokens_in(row, group)) size = bits > size ? bits : size;
  }
  for (int mask = kLanes / 2; mask > 0; mask /= 2) top = larger(top, shuffle_xor(top, mask));
  if (lane_of_group() == 0 && group < row.groups) row.scratch.tops[group] = top;
  const float bad = block_max(size >= 0x7f800000U ? 1.0F : 0.0F, shared.partial);
  const float max = block_max(top, shared.partial);
  const int32_t first = first_with(max, logits, group, shared.first);
  if (threadIdx.x == 0) row.scratch.facts[chunk] = {.max = max, .first = first, .finite = bad == 0 ? 1 : 0};
}

// --- weigh: a block has a chunk ---

struct WeighShared {
  uint64_t mass[kScanThreads / 32];
  uint64_t listed[kScanThreads / 32];
  uint32_t counts[kClasses];
};

__device__ __forceinline__ void sum_chunk(const Row& row, int32_t group, const float (&values)[kEach]) {
  const int32_t count = tokens_in(row, group);
  float weights[kEach];
#pragma unroll
  for (int i = 0; i < kEach; ++i) weights[i] = i * kLanes + lane_of_group() < count ? weight_of(row, values[i]) : 0.0F;
  const double sum = group_sum(weights, count);
  if (lane_of_group() == 0 && group < row.groups) row.scratch.sums[group] = sum;
}

template <bool kSpread>
__device__ __forceinline__ void list_chunk(const Row& row, int32_t group, const float (&values)[kEach]) {
  auto& shared = *reinterpret_cast<WeighShared*>(shared_memory());
  if (threadIdx.x < kClasses) shared.counts[threadIdx.x] = 0;
  block_sync();
  const int32_t count = tokens_in(row, group);
  const float reach = listing_reach(row);
  uint64_t mass = 0;
  uint64_t listed = 0;
  uint32_t mark = 0;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const bool there = i * kLanes + lane_of_group() < count;
    const float distance = distance_of(row, values[i]);
    uint64_t own = 0;  // as it is behind the last class
    if (there && distance < static_cast<float>(kClasses)) own = mass_of(exp_weight(values[i] - row.max));
    const bool is_listed = there && distance < reach;
    mass += own;
    if (is_listed) {
      listed += own;
      atomic_add(&shared.counts[static_cast<int>(distance)], 1U);
      if (kSpread && own != 0) atomic_add(&row.scratch.bins[bin_at(distance, reach)], own);
    }
    const uint32_t bits = lane_mask(is_listed) >> (lane() / kLanes * kLanes);
    if (lane_of_group() == i) mark = bits & 0xffffU;
  }
  if (group < row.groups) row.scratch.marks[group * kLanes + lane_of_group()] = static_cast<uint16_t>(mark);
  for (int mask = 16; mask > 0; mask /= 2) {
    mass += shuffle_xor(mass, mask);
    listed += shuffle_xor(listed, mask);
  }
  if (lane() == 0) {
    shared.mass[threadIdx.x / 32] = mass;
    shared.listed[threadIdx.x / 32] = listed;
  }
  block_sync();
  Listing& listing = *row.scratch.listing;
  if (threadIdx.x < kClasses && shared.counts[threadIdx.x] != 0) {
    atomic_add(&listing.counts[threadIdx.x], shared.counts[threadIdx.x]);
  }
  if (threadIdx.x != 0) return;
  for (int i = 1; i < kScanThreads / 32; ++i) {
    mass += shared.mass[i];
    listed += shared.listed[i];
  }
  atomic_add(&listing.mass, mass);
  atomic_add(&listing.listed, listed);
}

template <bool kSpread>
__global__ void __launch_bounds__(kScanThreads) weigh_kernel(SampleLaunch a) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  Row row = row_at(a, blockIdx.x);
  if (!needs_every_weight(row.params, a.vocab)) return;
  const int32_t group = group_in(static_cast<int32_t>(blockIdx.y));
  float values[kEach];
  load_group(row, group, 0, values);
  const Facts facts = row_facts(row);
  if (facts.finite == 0) return;
  row.max = facts.max / row.params.temperature;
#pragma unroll
  for (int i = 0; i < kEach; ++i) values[i] = values[i] / row.params.temperature;
  if (row.params.top_p < 1.0F) {
    list_chunk<kSpread>(row, group, values);
  } else {
    sum_chunk(row, group, values);
  }
}

// --- choose: a block has a row ---

// running[i] = start + items[0] + .. + items[i], added in that order: by one warp, 32 items at a time.
__device__ __forceinline__ void running_sums(const double* items, int32_t count, double start, double* running) {
  constexpr int kFew = 12;
  block_sync();
  double sum = start;
  for (int32_t begin = 0; threadIdx.x < 32 && begin < count; begin += 32) {
    const int32_t i = begin + lane();
    const double own = i < count ? items[i] : 0.0;
    double mine = sum;
    uint32_t bits = lane_mask(own > 0);  // zeros change nothing
    if (count_bits(bits) <= kFew) {
      for (; bits != 0; bits &= bits - 1) {
        const int from = lowest_bit(bits);
        sum += shuffle(own, from);
        if (lane() >= from) mine = sum;
      }
    } else {
#pragma unroll
      for (int from = 0; from < 32; ++from) {
        sum += shuffle(own, from);
        if (lane() >= from) mine = sum;
      }
    }
    if (i < count) running[i] = mine;
  }
  block_sync();
}

// The first item whose running sum exceeds the target; should rounding carry the walk past the end, the last above 0;
// -1 where none is.
__device__ __forceinline__ int32_t pick(const double* items, const double* running, int32_t count, double target,
                                        Shared& shared) {
  int32_t first = 0x7fffffff;
  int32_t last = -1;
  for (auto i = static_cast<int32_t>(threadIdx.x); i < count; i += kThreads) {
    if (running[i] > target && i < first) first = i;
    if (items[i] > 0) last = i;
  }
  first = block_least(first, shared);
  last = -block_least(-last, shared);
  return first < last ? first : last;
}

// From the groups' sums: the group, then its token. weights_of(group) puts the weights of the group's tokens into sums,
// a multiple of 8 of them, and returns how many there are; token_of(group, i) names one.
template <class Weights, class Token>
__device__ __forceinline__ int32_t draw(const Row& row, const Weights& weights_of, const Token& token_of) {
  const Memory memory = memory_of(row);
  running_sums(memory.sums, row.groups, 0, memory.running);
  const double target =
      static_cast<double>(philox_uniform(row.params.seed, row.params.position)) * memory.running[row.groups - 1];
  const int32_t group = pick(memory.sums, memory.running, row.groups, target, *memory.fixed);
  if (group < 0) return -1;
  const double reached = group == 0 ? 0.0 : memory.running[group - 1];
  block_sync();
  const int32_t count = weights_of(group);
  running_sums(memory.sums, count, reached, memory.running);
  const int32_t chosen = pick(memory.sums, memory.running, count, target, *memory.fixed);
  return chosen < 0 ? -1 : token_of(group, chosen);
}

// From the weights of all tokens that remain. sums is set.
__device__ __forceinline__ int32_t draw_from_all(const Row& row, const Cut& cut) {
  const Memory memory = memory_of(row);
  const auto weights_of = [&](int32_t group) {
    const auto i = static_cast<int32_t>(threadIdx.x);
    const int32_t token = group * kGroup + i;
    if (i < kGroup) {
      const float value = token < row.vocab ? value_at(row, token) : kMinusInfinity;
      memory.sums[i] =
          token < row.vocab && remains(value, token, cut) ? static_cast<double>(weight_of(row, value)) : 0.0;
    }
    return kGroup;
  };
  return draw(row, weights_of, [](int32_t group, int32_t i) { return group * kGroup + i; });
}

__device__ __forceinline__ int32_t draw_uncut(const Row& row) {
  const Memory memory = memory_of(row);
  for (auto i = static_cast<int32_t>(threadIdx.x); i < row.groups; i += kThreads) memory.sums[i] = row.scratch.sums[i];
  return draw_from_all(row, Cut{});
}

__device__ __forceinline__ int32_t draw_after(const Row& row, const AllTokens&, const Cut& cut) {
  const Memory memory = memory_of(row);
  const int32_t padded = (row.groups + kHalves - 1) / kHalves * kHalves;
  for (auto group = static_cast<int32_t>(threadIdx.x) / kLanes; group < padded; group += kHalves) {
    const double sum = remaining_sum(row, group, cut);
    if (lane_of_group() == 0 && group < row.groups) memory.sums[group] = sum;
  }
  return draw_from_all(row, cut);
}

// The sum of a group's candidates, in group_sum's order: tokens that do not remain would add zeros.
__device__ __forceinline__ double candidates_sum(const Row& row, const Memory& memory, int32_t group) {
  const int32_t begin = group < row.groups ? memory.offsets[group] : 0;
  const int32_t end = group < row.groups ? memory.offsets[group + 1] : 0;
  double sum = 0;
  if (!any_lane(begin < end)) return sum;
  const int32_t whole = tokens_in(row, group) / kLanes * kLanes;
  double mine = 0;
  for (int32_t i = begin; i < end; ++i) {
    const auto weight = static_cast<double>(memory.fixed->values[i]);
    const int32_t token = memory.fixed->tokens[i] - group * kGroup;
    if (token >= whole) {
      sum += weight;
    } else if (token % kLanes == lane_of_group()) {
      mine += weight;
    }
  }
  const int first = lane() / kLanes * kLanes;
  for (int other = 0; other < kLanes; ++other) sum += shuffle(mine, first + other);
  return sum;
}

__device__ __forceinline__ int32_t draw_after(const Row& row, const Candidates& candidates, const Cut& cut) {
  const Memory memory = memory_of(row);
  Shared& shared = *memory.fixed;
  for (auto i = static_cast<int32_t>(threadIdx.x); i < candidates.count; i += kThreads) {
    const bool stays = remains(shared.values[i], shared.tokens[i], cut);
    shared.values[i] = stays ? weight_of(row, shared.values[i]) : 0.0F;
  }
  block_sync();
  const int32_t padded = (row.groups + kHalves - 1) / kHalves * kHalves;
  for (auto group = static_cast<int32_t>(threadIdx.x) / kLanes; group < padded; group += kHalves) {
    const double sum = candidates_sum(row, memory, group);
    if (lane_of_group() == 0 && group < row.groups) memory.sums[group] = sum;
  }
  const auto weights_of = [&](int32_t group) {
    const int32_t begin = memory.offsets[group];
    const int32_t count = memory.offsets[group + 1] - begin;
    const auto i = static_cast<int32_t>(threadIdx.x);
    if (i < count) memory.sums[i] = static_cast<double>(shared.values[begin + i]);
    return count;
  };
  return draw(row, weights_of, [&](int32_t group, int32_t i) { return shared.tokens[memory.offsets[group] + i]; });
}

template <class Tokens>
__device__ __forceinline__ int32_t cut_and_draw(const Row& row, const Tokens& tokens, bool by_count) {
  Cut cut;
  if (by_count) {
    cut = cut_at(row, tokens, cut, {.by_mass = false, .wanted = static_cast<double>(row.params.top_k)});
  }
  if (row.params.top_p < 1.0F) {
    const auto share = static_cast<double>(row.params.top_p);
    const double wanted = by_count ? 0.0 : share * static_cast<double>(row.scratch.listing->mass);
    cut = cut_at(row, tokens, cut, {.by_mass = true, .wanted = wanted, .share = by_count ? share : 0.0});
  }
  return draw_after(row, tokens, cut);
}

// What blocks that share a row say instead of a token.
constexpr int32_t kNotLast = -2;    // another block draws
constexpr int32_t kUnsettled = -3;  // this one draws, and has to find the cut alone

// A row of which every block of the column searches a part.
__device__ __forceinline__ int32_t choose_together(const Row& row) {
  const double wanted = static_cast<double>(row.params.top_p) * static_cast<double>(row.scratch.listing->mass);
  const Aim aim = {.by_mass = true, .wanted = wanted < 1 ? 1 : wanted};
  const Step at = bin_at_cut(row, aim);
  sum_better_bins(row, at.digit);
  if (!ends_last(row, *memory_of(row).fixed)) return kNotLast;
  Cut cut;
  return at.digit >= 0 && settle_sums(row, aim, at, cut) ? draw_from_all(row, cut) : kUnsettled;
}

template <bool kTogether>
__device__ __forceinline__ int32_t choose(const Row& row) {
  const bool by_count = cuts_by_count(row.params, row.vocab);
  if (blockIdx.y > 0 && (by_count || row.params.top_p >= 1.0F)) return kNotLast;
  if (!by_count && row.params.top_p >= 1.0F) return draw_uncut(row);
  Limits limits;
  int32_t count = 0;
  if (!by_count) {
    limits = limits_by_mass(row, count);
  } else if (row.params.top_k <= row.groups) {
    limits = limits_by_count(row);
  } else {
    count = row.vocab;
  }
  if constexpr (kTogether) {
    if (count > kCandidatesMax && !by_count) {
      const int32_t token = choose_together(row);
      if (token != kUnsettled) return token;
    } else if (blockIdx.y > 0) {
      return kNotLast;
    }
  }
  if (count <= kCandidatesMax) count = gather(row, limits, by_count);
  if (count <= kCandidatesMax) return cut_and_draw(row, Candidates{memory_of(row).fixed, count, limits.span}, by_count);
  return cut_and_draw(row, AllTokens{&row, row.vocab, limits.span, limits}, by_count);
}

template <bool kTogether>
__global__ void __launch_bounds__(kThreads) choose_kernel(SampleLaunch a) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  Row row = row_at(a, blockIdx.x);
  if (row.params.skip != 0) return;
  const Facts facts = row_facts(row);
  int32_t token = blockIdx.y > 0 ? kNotLast : -1;
  if (facts.finite != 0 && row.params.greedy != 0) {
    token = blockIdx.y > 0 ? kNotLast : facts.first;
  } else if (facts.finite != 0) {
    row.max = facts.max / row.params.temperature;
    token = choose<kTogether>(row);
  }
  if (threadIdx.x == 0 && token != kNotLast) a.tokens[blockIdx.x] = token;
}

unsigned blocks_of_row(const SampleLaunch& args) {
  if (!args.cuts || args.rows > kSpreadRowsMax) return 1;
  const int64_t most = (scratch_layout(args.vocab).groups + kHalves - 1) / kHalves;
  const int64_t shares = kSpreadBlocks / args.rows;
  return static_cast<unsigned>(shares < most ? shares : most);
}

// What a block may have on every GPU from compute capability 8.0 on.
static_assert(shared_bytes(scratch_layout(kSampleVocabMax).groups) <= size_t{99} << 10);

const char* launch_rows(const SampleLaunch& args, void* stream) {
  const ScratchLayout at = scratch_layout(args.vocab);
  LaunchShape shape = {.grid_x = static_cast<unsigned>(args.rows),
                       .grid_y = static_cast<unsigned>(at.chunks),
                       .threads = kScanThreads,
                       .shared_bytes = sizeof(ScanShared)};
  if (const char* error = launch(shape, stream, scan_kernel, args)) return error;
  const unsigned parts = blocks_of_row(args);
  shape.shared_bytes = sizeof(WeighShared);
  if (args.weighs) {
    const auto weigh = parts > 1 ? weigh_kernel<true> : weigh_kernel<false>;
    if (const char* error = launch(shape, stream, weigh, args)) return error;
  }
  const LaunchShape rows = {.grid_x = static_cast<unsigned>(args.rows),
                            .grid_y = parts,
                            .threads = kThreads,
                            .shared_bytes = shared_bytes(at.groups)};
  return launch(rows, stream, parts > 1 ? choose_kernel<true> : choose_kernel<false>, args);
}

}  // namespace

size_t sample_scratch_bytes(int64_t vocab) { return static_cast<size_t>(scratch_layout(vocab).bytes); }

const char* launch_sample(const SampleLaunch& args, void* stream) {
  if (args.vocab > kSampleVocabMax) return "the vocabulary is larger than what can be drawn from on the device";
  const auto at_once = static_cast<int64_t>(args.scratch_bytes / sample_scratch_bytes(args.vocab));
  if (at_once == 0) return "the scratch memory for drawing is too small";
  for (int64_t begin = 0; begin < args.rows; begin += at_once) {
    SampleLaunch part = args;
    part.rows = args.rows - begin < at_once ? args.rows - begin : at_once;
    part.logits = args.logits + begin * args.vocab;
    part.params = args.params + begin;
    part.tokens = args.tokens + begin;
    if (const char* error = launch_rows(part, stream)) return error;
  }
  return nullptr;
}

}  // namespace cove::cuda

// One block per row. Follows compute/sampling.cc operation by operation, so that the same logits give the same token:
// the same polynomial for e^x, the same order of additions in the draw. Only the sum that top_p compares with is taken
// otherwise (in fixed point, which has no order): it differs from the host's by less than 1e-9 of the whole, and so
// does the token only if a token's edge falls into that gap. Bound by reading the row from L2, a few times.
#include "backends/cuda/kernels/sample.h"

#include "backends/cuda/kernels/language.h"

namespace cove::cuda {
namespace {

using namespace dev;

constexpr int kThreads = 512;
constexpr int kBlock = 256;  // as in sampling.cc
constexpr int kLanes = 16;
constexpr int kDigits = 256;
constexpr double kMassUnit = 70368744177664.0;  // 2^46: the masses of 2^18 tokens fit 64 bits

struct Shared {
  uint64_t histogram[kDigits];
  float weights[kBlock];
  float partial[kThreads / 32];
  uint32_t prefix;
  uint64_t before;
  int32_t token;
  int32_t rank;
  uint32_t count[kThreads / 32];
  int32_t block;
  double reached;
  double target;
};

// The last token that remains, in the order (value descending, id ascending).
struct Cut {
  float value;
  int32_t token;
};

struct Row {
  const float* logits;
  int64_t vocab;
  SampleRow params;
  float max;  // of the values: logits / temperature
  double* sums;
  Shared* shared;
};

// sampling.cc's exp_weight.
__device__ __forceinline__ float exp_weight(float x) {
  const float clamped = x < -87.0F ? -87.0F : x;
  const float scaled = clamped * 1.44269504088896341F;
  const int32_t exponent = static_cast<int32_t>(scaled - 0.5F);
  const float whole = static_cast<float>(exponent);
  const float rest = (clamped - whole * 0.693359375F) - whole * -2.12194440e-4F;
  float y = 1.9875691500e-4F;
  y = y * rest + 1.3981999507e-3F;
  y = y * rest + 8.3334519073e-3F;
  y = y * rest + 4.1665795894e-2F;
  y = y * rest + 1.6666665459e-1F;
  y = y * rest + 5.0000001201e-1F;
  y = y * (rest * rest) + rest + 1.0F;
  const float power = bits_to_float(static_cast<uint32_t>(exponent + 127) << 23);
  return x < -87.0F ? 0.0F : y * power;
}

__device__ __forceinline__ float value_of(const Row& row, int64_t i) { return row.logits[i] / row.params.temperature; }
__device__ __forceinline__ bool remains(float value, int64_t i, const Cut& cut) {
  return value > cut.value || (value == cut.value && static_cast<int32_t>(i) <= cut.token);
}

// Ordered as the values are; both zeros are one.
__device__ __forceinline__ uint32_t key_of(float value) {
  const uint32_t bits = float_to_bits(value + 0.0F);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
__device__ __forceinline__ float value_of_key(uint32_t key) {
  return bits_to_float((key & 0x80000000U) != 0 ? key & 0x7fffffffU : ~key);
}

// The uniform of sampling.cc's philox_uniform.
__device__ __forceinline__ float uniform_of(const SampleRow& params) {
  uint32_t c0 = static_cast<uint32_t>(params.position);
  uint32_t c1 = static_cast<uint32_t>(static_cast<uint64_t>(params.position) >> 32);
  uint32_t c2 = 0;
  uint32_t c3 = 0;
  uint32_t k0 = static_cast<uint32_t>(params.seed);
  uint32_t k1 = static_cast<uint32_t>(params.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53U} * c0;
    const uint64_t product1 = uint64_t{0xCD9E8D57U} * c2;
    c0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(product1);
    c2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(product0);
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return static_cast<float>(c0 >> 8) * 0x1p-24F;
}

// The smallest over the block, for all threads.
__device__ __forceinline__ int32_t block_min(int32_t value, Shared& shared) {
  for (int mask = 16; mask > 0; mask /= 2) {
    const int32_t other = shuffle_xor(value, mask);
    value = other < value ? other : value;
  }
  block_sync();
  if (lane() == 0) shared.count[threadIdx.x / 32] = static_cast<uint32_t>(value);
  block_sync();
  for (int i = 0; i < kThreads / 32; ++i) {
    const auto other = static_cast<int32_t>(shared.count[i]);
    value = other < value ? other : value;
  }
  return value;
}

// Id of the rank-th (from 1) token with this value.
__device__ __forceinline__ int32_t nth_with_value(const Row& row, float value, int32_t rank) {
  Shared& shared = *row.shared;
  for (int64_t begin = 0; begin < row.vocab; begin += kThreads) {
    const int64_t i = begin + threadIdx.x;
    const bool hit = i < row.vocab && value_of(row, i) == value;
    uint32_t mine = hit ? 1U << lane() : 0U;  // the warp's hits as bits
    for (int mask = 16; mask > 0; mask /= 2) mine |= shuffle_xor(mine, mask);
    block_sync();
    if (lane() == 0) shared.count[threadIdx.x / 32] = mine;
    block_sync();
    for (int warp = 0; warp < kThreads / 32; ++warp) {
      for (uint32_t bits = shared.count[warp]; bits != 0; bits &= bits - 1) {
        if (--rank > 0) continue;
        const uint32_t lowest = bits & (~bits + 1);
        int32_t bit = 0;
        while ((lowest >> bit) != 1) ++bit;
        return static_cast<int32_t>(begin) + warp * 32 + bit;
      }
    }
  }
  return static_cast<int32_t>(row.vocab) - 1;
}

// What a token weighs when a cut is searched: 1 for top_k, its share of the mass for top_p.
__device__ __forceinline__ uint64_t measure(const Row& row, float value, bool by_mass) {
  if (!by_mass) return 1;
  return static_cast<uint64_t>(static_cast<double>(exp_weight(value - row.max)) * kMassUnit);
}

// The shortest prefix of the sorted tokens (those that remain after `within`) that measures at least `wanted`: its last
// one. Searched digit by digit of the ordered keys.
__device__ Cut cut_at(const Row& row, const Cut& within, double share, uint64_t at_least, bool by_mass) {
  Shared& shared = *row.shared;
  if (threadIdx.x == 0) shared.prefix = 0, shared.before = 0;
  double wanted = static_cast<double>(at_least);
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (int i = static_cast<int>(threadIdx.x); i < kDigits; i += kThreads) shared.histogram[i] = 0;
    block_sync();
    const uint32_t prefix = shared.prefix;
    for (int64_t i = threadIdx.x; i < row.vocab; i += kThreads) {
      const float value = value_of(row, i);
      const uint32_t key = key_of(value);
      if (shift < 24 && (key >> (shift + 8)) != prefix) continue;
      if (!remains(value, i, within)) continue;
      const uint64_t weight = measure(row, value, by_mass);
      if (weight > 0) atomic_add(&shared.histogram[key >> shift & 255], weight);
    }
    block_sync();
    if (shift == 24 && by_mass) {
      double total = 0;
      for (int digit = 0; digit < kDigits; ++digit) total += static_cast<double>(shared.histogram[digit]);
      wanted = share * total;
    }
    block_sync();
    if (threadIdx.x == 0) {
      uint64_t before = shared.before;
      int chosen = -1;
      for (int digit = kDigits - 1; digit >= 0; --digit) {
        if (shared.histogram[digit] == 0) continue;
        if (chosen >= 0) before += shared.histogram[chosen];
        chosen = digit;
        if (static_cast<double>(before + shared.histogram[digit]) >= wanted) break;
      }
      shared.prefix = prefix << 8 | static_cast<uint32_t>(chosen < 0 ? 0 : chosen);
      shared.before = before;
    }
    block_sync();
  }
  const float value = value_of_key(shared.prefix);
  const auto each = static_cast<double>(measure(row, value, by_mass));
  const double missing = (wanted - static_cast<double>(shared.before)) / (each > 0 ? each : 1);
  int32_t rank = static_cast<int32_t>(missing);
  if (static_cast<double>(rank) < missing) ++rank;
  const int32_t token = nth_with_value(row, value, rank < 1 ? 1 : rank);
  block_sync();
  const Cut cut = {value, token};
  // Fewer tokens remain than were asked for, or rounding: what was there before.
  return remains(value, token, within) ? cut : within;
}

__device__ __forceinline__ float weight_at(const Row& row, const Cut& cut, int64_t i) {
  const float value = value_of(row, i);
  const float weight = remains(value, i, cut) ? exp_weight(value - row.max) : 0.0F;
  return row.params.min_p > 0.0F && weight < row.params.min_p ? 0.0F : weight;
}

// sampling.cc's block_sum of every block: 16 lanes, then the rest, in that order of additions. Half a warp has a block.
__device__ __forceinline__ void sum_blocks(const Row& row, const Cut& cut) {
  const int64_t blocks = (row.vocab + kBlock - 1) / kBlock;
  const int lane_in_block = lane() % kLanes;
  for (int64_t first = 0; first < blocks; first += kThreads / kLanes) {
    const int64_t block = first + static_cast<int>(threadIdx.x) / kLanes;
    const int64_t begin = block * kBlock;
    int64_t count = row.vocab - begin;
    count = count < 0 ? 0 : count < kBlock ? count : kBlock;
    double mine = 0;
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
      mine += static_cast<double>(weight_at(row, cut, begin + i + lane_in_block));
    double sum = 0;
    for (; i < count; ++i) sum += static_cast<double>(weight_at(row, cut, begin + i));
    for (int other = 0; other < kLanes; ++other) sum += shuffle(mine, lane() / kLanes * kLanes + other);
    if (lane_in_block == 0 && block < blocks) row.sums[block] = sum;
  }
  block_sync();
}

__device__ __forceinline__ int32_t draw(const Row& row, const Cut& cut) {
  Shared& shared = *row.shared;
  sum_blocks(row, cut);
  if (threadIdx.x == 0) {
    const auto blocks = static_cast<int32_t>((row.vocab + kBlock - 1) / kBlock);
    double total = 0;
    int32_t last = 0;
    for (int32_t i = 0; i < blocks; ++i) {
      total += row.sums[i];
      if (row.sums[i] > 0) last = i;
    }
    shared.target = static_cast<double>(uniform_of(row.params)) * total;
    double reached = 0;
    int32_t block = 0;
    while (block < last && reached + row.sums[block] <= shared.target) reached += row.sums[block++];
    shared.block = block;
    shared.reached = reached;
  }
  block_sync();
  const int64_t begin = static_cast<int64_t>(shared.block) * kBlock;
  for (int i = static_cast<int>(threadIdx.x); i < kBlock; i += kThreads) {
    shared.weights[i] = begin + i < row.vocab ? weight_at(row, cut, begin + i) : 0.0F;
  }
  block_sync();
  if (threadIdx.x == 0) {
    double reached = shared.reached;
    shared.token = -1;
    for (int i = 0; i < kBlock && (shared.token < 0 || reached <= shared.target); ++i) {
      if (shared.weights[i] <= 0) continue;
      reached += static_cast<double>(shared.weights[i]);
      shared.token = static_cast<int32_t>(begin) + i;
    }
  }
  block_sync();
  return shared.token;
}

__device__ __forceinline__ int32_t first_of_max(const Row& row, float max) {
  auto first = static_cast<int32_t>(row.vocab);
  for (int64_t i = threadIdx.x; i < row.vocab; i += kThreads) {
    if (row.logits[i] == max && static_cast<int32_t>(i) < first) first = static_cast<int32_t>(i);
  }
  return block_min(first, *row.shared);
}

__global__ void __launch_bounds__(kThreads) sample_kernel(SampleLaunch a) {
  auto* shared = reinterpret_cast<Shared*>(shared_memory());
  Row row;
  row.logits = a.logits + static_cast<int64_t>(blockIdx.x) * a.vocab;
  row.vocab = a.vocab;
  row.params = a.params[blockIdx.x];
  row.sums = reinterpret_cast<double*>(shared + 1);
  row.shared = shared;
  if (row.params.skip != 0) return;
  float max = kMinusInfinity;
  float worst = 0;
  for (int64_t i = threadIdx.x; i < a.vocab; i += kThreads) {
    const float logit = row.logits[i];
    if ((float_to_bits(logit) & 0x7f800000U) == 0x7f800000U) worst = 1;
    max = larger(max, logit);
  }
  worst = block_max(worst, shared->partial);
  max = block_max(max, shared->partial);
  int32_t token = -1;
  if (worst == 0) {
    if (row.params.greedy != 0) {
      token = first_of_max(row, max);
    } else {
      row.max = max / row.params.temperature;
      Cut cut = {kMinusInfinity, 0x7fffffff};
      if (row.params.top_k > 0 && row.params.top_k < a.vocab)
        cut = cut_at(row, cut, 0, static_cast<uint64_t>(row.params.top_k), false);
      if (row.params.top_p < 1.0F) cut = cut_at(row, cut, static_cast<double>(row.params.top_p), 0, true);
      token = draw(row, cut);
    }
  }
  if (threadIdx.x == 0) a.tokens[blockIdx.x] = token;
}

}  // namespace

const char* launch_sample(const SampleLaunch& args, void* stream) {
  if (args.rows == 0) return nullptr;
  const auto blocks = static_cast<size_t>((args.vocab + kBlock - 1) / kBlock);
  const LaunchShape shape = {.grid_x = static_cast<unsigned>(args.rows),
                             .threads = kThreads,
                             .shared_bytes = sizeof(Shared) + blocks * sizeof(double)};
  return launch(shape, stream, sample_kernel, args);
}

}  // namespace cove::cuda

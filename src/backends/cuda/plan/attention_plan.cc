#include "backends/cuda/plan/attention_plan.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace cove::cuda {
namespace {

void add_tiles(const SequenceSlice& slice, int32_t sequence, int64_t tokens_max, std::vector<AttentionTile>& tiles) {
  for (int32_t done = 0; done < slice.token_count;) {
    const auto count = static_cast<int32_t>(std::min<int64_t>(tokens_max, slice.token_count - done));
    tiles.push_back({.sequence = sequence, .first_token = slice.token_begin + done, .tokens = count});
    done += count;
  }
}

// The tiles that see the most positions first: whoever ends last then has little to do.
void sort_by_positions(std::span<const SequenceSlice> sequences, std::vector<AttentionTile>& tiles) {
  const auto positions = [&](const AttentionTile& tile) {
    const SequenceSlice& slice = sequences[static_cast<size_t>(tile.sequence)];
    return slice.kv_length - slice.token_count + (tile.first_token - slice.token_begin) + tile.tokens;
  };
  std::stable_sort(tiles.begin(), tiles.end(),
                   [&](const AttentionTile& a, const AttentionTile& b) { return positions(a) > positions(b); });
}

// A power of two, so that a growing sequence changes the launch seldom and a recorded graph lives long.
int64_t splits_of(int64_t keys) {
  const auto splits = static_cast<uint64_t>((keys + kSplitKeys - 1) / kSplitKeys);
  return static_cast<int64_t>(std::bit_ceil(std::max<uint64_t>(splits, 1)));
}

constexpr int64_t kDecodeBlocks = 4;      // that a multiprocessor holds
constexpr int64_t kDecodeRound = 48;      // positions of one step of a block's three warps
constexpr int64_t kDecodeSplitMin = 192;  // positions; what a split costs at its end is worth no less

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t value, int64_t step) { return divide_up(value, step) * step; }

// Splits enough to keep all multiprocessors busy. Planned for up to a sixteenth more positions than there are, so that
// growing sequences seldom change the launch.
void split_decode(int64_t keys_most, const AttentionShape& shape, DecodePlan& plan) {
  const int64_t units = static_cast<int64_t>(plan.tiles.size()) * shape.kv_heads;
  if (units == 0) return;
  const auto octave = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(keys_most)));
  const int64_t keys = round_up(keys_most, std::max(kDecodeSplitMin, octave / 16));
  const int64_t splits_max = std::min(kDecodeBlocks * shape.multiprocessors / units, shape.partials_max / units);
  plan.split_keys =
      std::max(kDecodeSplitMin, round_up(divide_up(keys, std::max<int64_t>(splits_max, 1)), kDecodeRound));
  plan.splits = divide_up(keys, plan.split_keys);
}

}  // namespace

AttentionWork plan_attention(std::span<const SequenceSlice> sequences, const AttentionShape& shape,
                             int64_t prefill_tile_tokens) {
  COVE_CHECK(shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0);
  const int64_t group = shape.heads / shape.kv_heads;
  COVE_CHECK(group <= kGroupMax);
  const int64_t tile_tokens = kTileRows / group;
  AttentionWork work;
  int64_t tokens_most = 1;
  int64_t keys_most = 0;
  int64_t decode_keys_most = 0;
  int64_t prefill_pages_left = shape.prefill_pages_max;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const SequenceSlice& slice = sequences[i];
    const int64_t pages = divide_up(slice.kv_length, shape.page_tokens);
    if (prefill_tile_tokens > 0 && slice.token_count > 1 && pages <= prefill_pages_left) {
      prefill_pages_left -= pages;
      add_tiles(slice, static_cast<int32_t>(i), prefill_tile_tokens, work.prefill);
      continue;
    }
    if (shape.decode_kernel && slice.token_count == 1 && group <= kDecodeRowsMax) {
      work.decode.tiles.push_back(
          {.token = slice.token_begin, .kv_length = slice.kv_length, .page_begin = slice.page_begin});
      decode_keys_most = std::max<int64_t>(decode_keys_most, slice.kv_length);
      continue;
    }
    add_tiles(slice, static_cast<int32_t>(i), tile_tokens, work.plan.tiles);
    tokens_most = std::max<int64_t>(tokens_most, std::min<int64_t>(slice.token_count, tile_tokens));
    keys_most = std::max<int64_t>(keys_most, slice.kv_length);
  }
  sort_by_positions(sequences, work.prefill);
  split_decode(decode_keys_most, shape, work.decode);
  AttentionPlan& plan = work.plan;
  plan.warps = (tokens_most * group + 15) / 16;
  const int64_t units = static_cast<int64_t>(plan.tiles.size()) * shape.kv_heads;
  const int64_t splits = splits_of(keys_most);
  const bool few = units < 2 * static_cast<int64_t>(shape.multiprocessors);
  if (few && splits > 1 && units * splits <= shape.partials_max) plan.splits = splits;
  return work;
}

}  // namespace cove::cuda

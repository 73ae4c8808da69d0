// Launches prefill attention; see hopper.h for what it computes.

#include "backends/cuda/hopper/prefill_attention.cuh"

#include <algorithm>

#include "backends/cuda/hopper/launch_early.cuh"
#include "backends/cuda/hopper/tensor_map.cuh"

namespace cove::cuda::hopper {
namespace {

constexpr float kLog2E = 1.44269504F;

template <int kHeadDim>
const char* launch_head_dim(const PrefillArgs& args, cudaStream_t stream) {
  ArrayDesc cache{.rows = args.pages * args.kv_heads * args.page_tokens,
                  .columns = kHeadDim,
                  .pitch = kHeadDim * 2,
                  .box_rows = args.page_tokens};
  PlanesDesc runs{.rows = args.kv_heads * args.page_tokens,
                  .columns = kHeadDim,
                  .planes = args.pages,
                  .box_rows = args.page_tokens,
                  .box_planes = kKeyRows / args.page_tokens};
  CUtensorMap maps[4] = {};
  for (int i = 0; i < 2; ++i) {
    cache.data = runs.data = i == 0 ? args.keys : args.values;
    if (const char* error = encode_map(cache, maps[2 * i])) return error;
    if (const char* error = encode_map(runs, maps[2 * i + 1])) return error;
  }
  const AttentionParams params{.q = static_cast<const uint8_t*>(args.q),
                               .q_pitch = args.q_pitch,
                               .sequences = args.sequences,
                               .page_table = args.page_table,
                               .tiles = args.tiles,
                               .out = static_cast<uint8_t*>(args.out),
                               .scale_log2 = args.scale * kLog2E,
                               .pages = static_cast<int32_t>(args.pages),
                               .page_tokens = static_cast<int32_t>(args.page_tokens),
                               .heads = static_cast<int32_t>(args.heads),
                               .kv_heads = static_cast<int32_t>(args.kv_heads),
                               .units = static_cast<int32_t>(args.tile_count * args.kv_heads)};
  const EarlyLaunch shape{.blocks = static_cast<unsigned>(std::min<int64_t>(params.units, args.multiprocessors)),
                          .threads = kAttentionThreads,
                          .shared_bytes = AttentionShared<kHeadDim>::kSharedBytes};
  return launch_early(prefill_attention_kernel<kHeadDim>, shape, stream, maps[0], maps[1], maps[2], maps[3], params);
}

}  // namespace

int64_t prefill_tile_tokens(int64_t heads, int64_t kv_heads, int64_t head_dim, int64_t page_tokens) {
  return query_tile_tokens(heads, kv_heads, head_dim, page_tokens);
}

const char* launch_prefill_attention(const PrefillArgs& args, void* stream) {
  if (args.tile_count < 1) return nullptr;
  if (prefill_tile_tokens(args.heads, args.kv_heads, args.head_dim, args.page_tokens) == 0 || args.q_pitch % 16 != 0) {
    return "no Hopper kernel computes attention of this shape";
  }
  const auto on = static_cast<cudaStream_t>(stream);
  return args.head_dim == 64 ? launch_head_dim<64>(args, on) : launch_head_dim<128>(args, on);
}

}  // namespace cove::cuda::hopper

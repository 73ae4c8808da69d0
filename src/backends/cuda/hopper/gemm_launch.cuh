#pragma once
// Launches of the matrix-product kernels; included by one translation unit per format, so that they compile side by
// side.

#include <cuda_runtime_api.h>

#include "backends/cuda/hopper/gemm_launch.h"
#include "backends/cuda/hopper/gemm_stream.cuh"
#include "backends/cuda/hopper/gemm_tiles.cuh"
#include "backends/cuda/hopper/launch_early.cuh"
#include "backends/cuda/hopper/tensor_map.cuh"

namespace cove::cuda::hopper {

template <class Format>
ArrayDesc matrix_desc(const void* data, int64_t rows, int64_t pitch, const GemmArgs& args, int64_t box_rows) {
  constexpr bool kBytes = Format::kBlockK == 128;
  return {.data = data,
          .type = kBytes ? CU_TENSOR_MAP_DATA_TYPE_UINT8 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
          .element_bytes = kBytes ? 1 : 2,
          .rows = rows,
          .columns = args.in,
          .pitch = pitch,
          .box_rows = box_rows};
}

inline OutputParams output_params(const GemmArgs& args) {
  return {.row_scale = args.x_scale,
          .channel_scale = args.weight_scale,
          .bias = args.bias,
          .out_f32 = args.out_f32 ? static_cast<float*>(args.out) : nullptr,
          .out_bf16 = args.out_f32 ? nullptr : args.out,
          .rows = static_cast<int32_t>(args.tokens),
          .weight_rows = static_cast<int32_t>(args.weight_rows),
          .width = static_cast<int32_t>(args.swiglu ? args.out_features / 2 : args.out_features),
          .swiglu = args.swiglu ? 1 : 0,
          .add = args.add ? 1 : 0};
}

inline PartialSums partial_sums(const GemmArgs& args) {
  auto* counters = static_cast<uint32_t*>(args.workspace);
  return {.sums = reinterpret_cast<float*>(counters + kCountersMax), .counters = counters};
}

template <class Format, int kBlockN, int kCluster>
const char* launch_tile_kernel(const GemmLaunch& launch) {
  const GemmArgs& args = launch.args;
  TensorMap x_map{};
  TensorMap w_map{};
  TensorMap out_map{};
  const ArrayDesc x = matrix_desc<Format>(args.x, args.tokens, args.x_pitch, args, kTileRows);
  const ArrayDesc w = matrix_desc<Format>(args.weight, args.weight_rows, args.weight_pitch, args, kTileRows);
  if (const char* error = encode_map(x, x_map)) return error;
  if (const char* error = encode_map(w, w_map)) return error;
  const TileParams params{launch.plan.tiles, output_params(args), partial_sums(args)};
  if (!args.out_f32) {
    const ArrayDesc out{.data = args.out,
                        .rows = args.tokens,
                        .columns = params.output.width,
                        .pitch = int64_t{params.output.width} * 2,
                        .box_rows = 64};
    if (const char* error = encode_map(out, out_map)) return error;
  }
  const EarlyLaunch shape{.blocks = static_cast<unsigned>(launch.plan.blocks),
                          .threads = kBlockThreads,
                          .cluster = kCluster,
                          .shared_bytes = TileShape<kBlockN, kCluster>::kSharedBytes};
  return launch_early(gemm_tiles_kernel<Format, kBlockN, kCluster>, shape, static_cast<cudaStream_t>(launch.stream),
                      x_map, w_map, out_map, params);
}

template <class Format>
const char* launch_tiles(const GemmLaunch& launch) {
  switch (launch.plan.kernel) {
    case GemmKernel::kTilesPair: return launch_tile_kernel<Format, 256, 2>(launch);
    case GemmKernel::kTiles256: return launch_tile_kernel<Format, 256, 1>(launch);
    default: return launch_tile_kernel<Format, 128, 1>(launch);
  }
}

template <class Format, int kTokens, int kShare>
const char* launch_stream_kernel(const GemmLaunch& launch) {
  const GemmArgs& args = launch.args;
  TensorMap x_map{};
  TensorMap w_map{};
  const ArrayDesc x = matrix_desc<Format>(args.x, args.tokens, args.x_pitch, args, kTokens / kShare);
  const ArrayDesc w = matrix_desc<Format>(args.weight, args.weight_rows, args.weight_pitch, args, kTileRows);
  if (const char* error = encode_map(x, x_map)) return error;
  if (const char* error = encode_map(w, w_map)) return error;
  const StreamParams params{launch.plan.stream, launch.plan.cluster_parts, output_params(args), partial_sums(args)};
  const EarlyLaunch shape{.blocks = static_cast<unsigned>(launch.plan.blocks),
                          .threads = kBlockThreads,
                          .cluster = static_cast<unsigned>(kShare * launch.plan.cluster_parts),
                          .shared_bytes = StreamShape<kTokens>::kSharedBytes};
  return launch_early(gemm_stream_kernel<Format, kTokens, kShare>, shape, static_cast<cudaStream_t>(launch.stream),
                      x_map, w_map, params);
}

template <class Format, int kTokens>
const char* launch_stream_tokens(const GemmLaunch& launch) {
  return launch.plan.share == 2 ? launch_stream_kernel<Format, kTokens, 2>(launch)
                                : launch_stream_kernel<Format, kTokens, 1>(launch);
}

template <class Format>
const char* launch_stream(const GemmLaunch& launch) {
  switch (launch.plan.token_tile) {
    case 16: return launch_stream_tokens<Format, 16>(launch);
    case 32: return launch_stream_tokens<Format, 32>(launch);
    case 64: return launch_stream_tokens<Format, 64>(launch);
    default: return launch_stream_tokens<Format, 128>(launch);
  }
}

}  // namespace cove::cuda::hopper

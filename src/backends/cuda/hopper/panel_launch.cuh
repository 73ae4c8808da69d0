#pragma once
// Launches of gemm_panels_kernel; included by one translation unit per format, so that they compile side by side.

#include <cuda_runtime_api.h>

#include "backends/cuda/hopper/gemm_launch.cuh"
#include "backends/cuda/hopper/gemm_panels.cuh"
#include "backends/cuda/hopper/panel_gemm.h"

namespace cove::cuda::hopper {

template <class Shape>
const char* launch_panel_kernel(const PanelLaunch& launch) {
  using Format = typename Shape::Format;
  const PanelGemmArgs& args = launch.args;
  const GemmArgs& product = args.product;
  const int64_t panels = product.weight_rows / kPanelRows;
  const int64_t chunks = args.padded / Format::kBlockK;
  TensorMap x_map{};
  TensorMap w_map{};
  TensorMap scale_map{};
  const ArrayDesc x{.data = product.x,
                    .rows = product.tokens,
                    .columns = product.in,
                    .pitch = product.x_pitch,
                    .box_rows = Shape::kTokens};
  const WordsDesc w{.data = product.weight,
                    .columns = 32,
                    .rows = chunks * 8,
                    .planes = panels,
                    .pitch = 128,
                    .plane_pitch = chunks * kPanelBytes,
                    .box_columns = 32,
                    .box_rows = 8,
                    .box_planes = Shape::kPanelCount};
  const WordsDesc scales{.data = args.group_scale,
                         .columns = chunks * Format::kScaleBytes / 4,
                         .rows = panels,
                         .pitch = chunks * Format::kScaleBytes,
                         .box_columns = Format::kScaleBytes / 4,
                         .box_rows = Shape::kPanelCount};
  if (const char* error = encode_map(x, x_map)) return error;
  if (const char* error = encode_map(w, w_map)) return error;
  if (const char* error = encode_map(scales, scale_map)) return error;
  PanelParams params{launch.plan.schedule, 0, output_params(product), partial_sums(product)};
  TensorMap out_map{};
  const bool aligned = reinterpret_cast<uintptr_t>(product.out) % 16 == 0 && params.output.width % 8 == 0;
  if (Shape::kBoxes && !product.out_f32 && aligned) {
    const ArrayDesc out{.data = product.out,
                        .rows = product.tokens,
                        .columns = params.output.width,
                        .pitch = int64_t{params.output.width} * 2,
                        .box_rows = 32};
    if (const char* error = encode_map(out, out_map)) return error;
    params.boxes = 1;
  }
  const EarlyLaunch shape{.blocks = static_cast<unsigned>(launch.plan.blocks),
                          .threads = kBlockThreads,
                          .cluster = static_cast<unsigned>(launch.plan.schedule.cluster_parts),
                          .shared_bytes = Shape::kSharedBytes};
  return launch_early(gemm_panels_kernel<Shape>, shape, static_cast<cudaStream_t>(launch.stream), x_map, w_map,
                      scale_map, out_map, params);
}

template <class Format, int kTokens>
const char* launch_panel_tokens(const PanelLaunch& launch) {
  return launch.plan.row_tiles == 2 ? launch_panel_kernel<PanelShape<Format, kTokens, 2>>(launch)
                                    : launch_panel_kernel<PanelShape<Format, kTokens, 1>>(launch);
}

template <class Format>
const char* launch_panel_format(const PanelLaunch& launch) {
  switch (launch.plan.token_tile) {
    case 16: return launch_panel_tokens<Format, 16>(launch);
    case 32: return launch_panel_tokens<Format, 32>(launch);
    case 64: return launch_panel_tokens<Format, 64>(launch);
    default: return launch_panel_tokens<Format, 128>(launch);
  }
}

}  // namespace cove::cuda::hopper

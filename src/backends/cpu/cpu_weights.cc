#include "backends/cpu/cpu_weights.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "tensor/formats/codec.h"

namespace cove::cpu {
namespace {

bool all_same_dtype(const LinearWeightDesc& desc) {
  return std::all_of(desc.parts.begin(), desc.parts.end(),
                     [&](const LinearPart& part) { return part.weight.dtype == desc.parts[0].weight.dtype; });
}

void decode_view(const TensorView& view, float* to) {
  decode(view.dtype, {view.as<const std::byte>(), static_cast<size_t>(view.bytes())},
         {to, static_cast<size_t>(view.shape.elements())});
}

bool is_block_format(DType dtype) { return dtype == DType::kQ8_0 || dtype == DType::kQ4_0; }

void choose_path(CpuLinear& linear, DType dtype, const KernelTable& kernels) {
  linear.row_stride = dtype_bytes(dtype, linear.in_features);
  linear.units = linear.in_features;
  switch (dtype) {
    case DType::kF16: linear.row_format = RowFormat::kF16; break;
    case DType::kBF16:
      if (kernels.has_bf16_dot != 0) {
        linear.path = CpuLinear::Path::kPairs;
        linear.units = (linear.in_features + 1) / 2;
      } else {
        linear.row_format = RowFormat::kBF16;
      }
      break;
    case DType::kQ8_0:
    case DType::kQ4_0:
      linear.path = CpuLinear::Path::kBlocks;
      linear.block_format = dtype == DType::kQ8_0 ? BlockFormat::kQ8 : BlockFormat::kQ4;
      linear.units = linear.in_features / 4;
      break;
    default: break;
  }
  linear.panel_bytes = linear.row_stride * kernels.lanes;
}

Status load_bias(CpuLinear& linear, const LinearWeightDesc& desc, const KernelTable& kernels) {
  const size_t bytes = linear.panels.size() * static_cast<size_t>(kernels.lanes) * sizeof(float);
  TRY_ASSIGN(linear.bias, AlignedBytes::allocate(bytes));
  std::memset(linear.bias.data(), 0, linear.bias.bytes());
  for (size_t part = 0; part < desc.parts.size(); ++part) {
    const TensorView& bias = desc.parts[part].bias;
    if (!bias) continue;
    COVE_CHECK_MSG(bias.shape.elements() == desc.parts[part].weight.shape[0], desc.name);
    float* to = linear.bias.as<float>() + linear.part_begin[part] * static_cast<size_t>(kernels.lanes);
    decode_view(bias, to);
  }
  return {};
}

// One panel of q8_0 or q4_0 rows (ggml's blocks) as BlockTileArgs describes it. Quants move in groups of four; the low
// nibbles of q4_0 are inputs 0..15 of the block and the high ones 16..31, which are the panel's groups 0..3 and 4..7
// already.
void pack_block_panel(const Panel& panel, const CpuLinear& linear, const KernelTable& kernels, std::byte* out) {
  const bool is_q8 = linear.block_format == BlockFormat::kQ8;
  const int64_t groups = is_q8 ? 8 : 4;
  const int64_t block_bytes = 2 + groups * 4;
  const int64_t lanes = kernels.lanes;
  const uint32_t flip =
      is_q8 ? static_cast<uint32_t>(kernels.q8_bias) * 0x01010101U : 0;  // adding 128 is flipping the top bit
  if (panel.row_count < lanes) std::memset(out, 0, static_cast<size_t>(linear.panel_bytes));
  for (int64_t block = 0; block < linear.in_features / kBlockInputs; ++block, out += lanes * block_bytes) {
    for (int64_t lane = 0; lane < panel.row_count; ++lane) {
      const std::byte* from = panel.rows + lane * linear.row_stride + block * block_bytes;
      std::memcpy(out + lane * 2, from, 2);
      std::byte* quants = out + lanes * 2 + lane * 4;
      for (int64_t group = 0; group < groups; ++group, quants += lanes * 4) {
        uint32_t four;
        std::memcpy(&four, from + 2 + group * 4, 4);
        four ^= flip;
        std::memcpy(quants, &four, 4);
      }
    }
  }
}

Status repack_blocks(CpuLinear& linear, const KernelTable& kernels, ThreadPool& pool) {
  const auto panels = static_cast<int64_t>(linear.panels.size());
  TRY_ASSIGN(linear.packed, AlignedBytes::allocate(static_cast<size_t>(panels * linear.panel_bytes)));
  pool.parallel_for(panels, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      Panel& panel = linear.panels[static_cast<size_t>(i)];
      std::byte* out = linear.packed.data() + i * linear.panel_bytes;
      pack_block_panel(panel, linear, kernels, out);
      panel.rows = out;
    }
  });
  return {};
}

// Parts in different dtypes (some GGUF files mix them) become f32: twice to eight times the bytes, but rare and always
// right.
Result<LinearWeightDesc> widen(const LinearWeightDesc& desc, AlignedBytes& memory) {
  LinearWeightDesc wide = desc;
  int64_t elements = 0;
  for (const LinearPart& part : desc.parts) elements += part.weight.shape.elements();
  TRY_ASSIGN(memory, AlignedBytes::allocate(static_cast<size_t>(elements) * sizeof(float)));
  float* to = memory.as<float>();
  for (LinearPart& part : wide.parts) {
    const auto count = static_cast<size_t>(part.weight.shape.elements());
    decode_view(part.weight, to);
    part.weight.data = to;
    part.weight.dtype = DType::kF32;
    to += count;
  }
  return wide;
}

void list_panels(CpuLinear& linear, const LinearWeightDesc& desc, int64_t lanes) {
  for (const LinearPart& part : desc.parts) {
    linear.part_begin.push_back(linear.panels.size());
    for (int64_t row = 0; row < part.weight.shape[0]; row += lanes) {
      linear.panels.push_back({.rows = part.weight.as<const std::byte>() + row * linear.row_stride,
                               .row_count = std::min(lanes, part.weight.shape[0] - row),
                               .first_output = linear.out_features + row});
    }
    linear.out_features += part.weight.shape[0];
  }
  linear.part_begin.push_back(linear.panels.size());
}

}  // namespace

Result<std::unique_ptr<CpuLinear>> load_cpu_linear(const LinearWeightDesc& desc, const KernelTable& kernels,
                                                   ThreadPool& pool) {
  COVE_CHECK_MSG(!desc.parts.empty(), desc.name);
  auto linear = std::make_unique<CpuLinear>();
  LinearWeightDesc parts = desc;
  if (!all_same_dtype(desc)) {
    TRY_ASSIGN(parts, widen(desc, linear->packed));
  }
  linear->dtype = parts.parts[0].weight.dtype;
  linear->in_features = parts.parts[0].weight.shape[1];
  for (const LinearPart& part : parts.parts) {
    COVE_CHECK_MSG(part.weight.shape.rank == 2 && part.weight.shape[1] == linear->in_features, desc.name);
  }
  choose_path(*linear, linear->dtype, kernels);
  list_panels(*linear, parts, kernels.lanes);
  TRY(load_bias(*linear, parts, kernels));
  if (is_block_format(linear->dtype)) TRY(repack_blocks(*linear, kernels, pool));
  linear->borrows_host = linear->packed.data() == nullptr;
  linear->bytes_read = static_cast<uint64_t>(linear->row_stride) * static_cast<uint64_t>(linear->out_features);
  return linear;
}

}  // namespace cove::cpu

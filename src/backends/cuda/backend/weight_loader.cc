#include "backends/cuda/backend/weight_loader.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "base/check.h"
#include "tensor/formats/codec.h"

namespace cove::cuda {
namespace {

constexpr size_t kPieceMost = size_t{32} << 20;
constexpr size_t kBytesPerThread = size_t{4} << 20;  // below this a second thread costs more than it saves
constexpr size_t kThreadsMost = 8;

// Reading a mapping is bound by page faults: several threads take them at once.
void copy_in_parallel(std::byte* to, const std::byte* from, size_t bytes) {
  const size_t threads = std::clamp<size_t>(bytes / kBytesPerThread, 1,
                                            std::min<size_t>(kThreadsMost, std::thread::hardware_concurrency()));
  const size_t share = (bytes + threads - 1) / threads;
  std::vector<std::thread> others;
  for (size_t begin = share; begin < bytes; begin += share) {
    others.emplace_back([=] { std::memcpy(to + begin, from + begin, std::min(share, bytes - begin)); });
  }
  std::memcpy(to, from, std::min(share, bytes));
  for (std::thread& other : others) other.join();
}

bool is_plain(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16; }

// The output layer keeps 8 bits where others get 4: its rounding goes straight into the logits.
bool is_output_layer(const LinearWeightDesc& desc) { return desc.name == "lm_head" || desc.name == "embed"; }

WeightFormat rounded_format(const LinearWeightDesc& desc, CudaWeightFormat format) {
  switch (format) {
    case CudaWeightFormat::kFp8: return WeightFormat::kE4M3;
    case CudaWeightFormat::kInt8: return WeightFormat::kInt8;
    case CudaWeightFormat::kW4A16: return is_output_layer(desc) ? WeightFormat::kInt8 : WeightFormat::kQ4;
    case CudaWeightFormat::kAsStored: break;
  }
  return WeightFormat::kBF16;
}

int64_t scale_bytes_of(const WeightLayout& layout) {
  return layout.has_row_scales() ? layout.rows * 4 : layout.group_scale_bytes();
}

}  // namespace

WeightLayout choose_layout(const LinearWeightDesc& desc, CudaWeightFormat format) {
  std::vector<int64_t> part_rows;
  bool same = true;
  bool plain = true;
  const DType dtype = desc.parts[0].weight.dtype;
  for (const LinearPart& part : desc.parts) {
    part_rows.push_back(part.weight.shape[0]);
    same = same && part.weight.dtype == dtype;
    plain = plain && is_plain(part.weight.dtype);
  }
  const int64_t inputs = desc.parts[0].weight.shape[1];
  if (same && dtype == DType::kQ8_0) return plan_weight(WeightFormat::kQ8, part_rows, inputs, 32);
  if (same && dtype == DType::kQ4_0) return plan_weight(WeightFormat::kQ4, part_rows, inputs, 32);
  // Parts of different formats (some GGUF files mix them) become bf16.
  return plan_weight(plain ? rounded_format(desc, format) : WeightFormat::kBF16, part_rows, inputs, 128);
}

Status WeightLoader::reserve(size_t bytes) {
  if (bytes <= piece_) return {};
  finish();
  for (size_t i = 0; i < pinned_.size(); ++i) {
    TRY_ASSIGN(pinned_[i], PinnedBuffer::make(*device_, bytes));
    TRY_ASSIGN(staged_[i], CudaBuffer::make(*device_, bytes));
  }
  piece_ = bytes;
  return {};
}

void WeightLoader::finish() {
  if (piece_ == 0) return;
  (void)device_->synchronize();  // an error sticks and is reported by whoever waits next
  pinned_ = {};
  staged_ = {};
  piece_ = 0;
}

Status WeightLoader::stream(const Rows& rows, const Use& use) {
  const auto row_bytes = static_cast<size_t>(rows.row_bytes);
  const size_t all = row_bytes * static_cast<size_t>(rows.count);
  if (all == 0) return {};
  TRY(reserve(std::max(row_bytes, std::min(all, kPieceMost))));
  const auto step = static_cast<int64_t>(piece_ / row_bytes);
  int slot = 0;
  for (int64_t first = 0; first < rows.count; first += step, slot ^= 1) {
    const int64_t count = std::min(step, rows.count - first);
    const size_t bytes = static_cast<size_t>(count) * row_bytes;
    TRY(device_->wait_for(slot));  // the upload that read this slot last
    copy_in_parallel(pinned_[static_cast<size_t>(slot)]->data(), rows.data + static_cast<size_t>(first) * row_bytes,
                     bytes);
    device_->upload(staged_[static_cast<size_t>(slot)]->data(), pinned_[static_cast<size_t>(slot)]->data(), bytes);
    use(staged_[static_cast<size_t>(slot)]->data(), first, count);
    device_->mark(slot);
  }
  return {};
}

uint64_t WeightLoader::bytes_of(const LinearWeightDesc& desc) const {
  const WeightLayout layout = choose_layout(desc, format_);
  const bool biased = std::ranges::any_of(desc.parts, [](const LinearPart& part) { return bool(part.bias); });
  return static_cast<uint64_t>(layout.weight_bytes() + scale_bytes_of(layout) + (biased ? layout.rows * 4 : 0));
}

Status WeightLoader::take_memory(CudaLinear& linear, const WeightLayout& layout) {
  linear.weight.layout = layout;
  TRY_ASSIGN(linear.values, CudaBuffer::make(*device_, static_cast<size_t>(layout.weight_bytes())));
  device_->clear(linear.values->data(), linear.values->bytes());
  linear.weight.weight = linear.values->data();
  const int64_t scale_bytes = scale_bytes_of(layout);
  if (scale_bytes == 0) return {};
  TRY_ASSIGN(linear.scales, CudaBuffer::make(*device_, static_cast<size_t>(scale_bytes)));
  device_->clear(linear.scales->data(), linear.scales->bytes());
  if (layout.has_row_scales()) {
    linear.weight.row_scale = static_cast<float*>(linear.scales->data());
  } else {
    linear.weight.group_scale = static_cast<uint16_t*>(linear.scales->data());
  }
  return {};
}

Status WeightLoader::load_bias(CudaLinear& linear, const LinearWeightDesc& desc) {
  const WeightLayout& layout = linear.weight.layout;
  std::vector<float> bias(static_cast<size_t>(layout.rows), 0.0F);
  int64_t part_begin = 0;
  bool any = false;
  for (size_t part = 0; part < desc.parts.size(); ++part) {
    const int64_t rows = desc.parts[part].weight.shape[0];
    const TensorView& view = desc.parts[part].bias;
    if (view) {
      COVE_CHECK_MSG(view.shape.elements() == rows, desc.name);
      std::vector<float> values(static_cast<size_t>(rows));
      decode(view.dtype, {view.as<const std::byte>(), static_cast<size_t>(view.bytes())}, values);
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t at = physical_row(layout.interleaved, static_cast<int64_t>(part), part_begin, row);
        bias[static_cast<size_t>(at)] = values[static_cast<size_t>(row)];
      }
      any = true;
    }
    part_begin += rows;
  }
  if (!any) return {};
  TRY_ASSIGN(linear.bias, vector(bias));
  linear.weight.bias = static_cast<float*>(linear.bias->data());
  return {};
}

Result<std::unique_ptr<CudaLinear>> WeightLoader::linear(const LinearWeightDesc& desc) {
  COVE_CHECK_MSG(!desc.parts.empty(), desc.name);
  auto linear = std::make_unique<CudaLinear>();
  TRY(take_memory(*linear, choose_layout(desc, format_)));
  linear->in_features = linear->weight.layout.inputs;
  linear->out_features = linear->weight.layout.outputs;
  linear->dtype = desc.parts[0].weight.dtype;
  linear->borrows_host = false;
  linear->bytes_read = linear->values->bytes() + (linear->scales ? linear->scales->bytes() : 0);
  int64_t part_begin = 0;
  for (size_t part = 0; part < desc.parts.size(); ++part) {
    const TensorView& view = desc.parts[part].weight;
    COVE_CHECK_MSG(view.shape.rank == 2 && view.shape[1] == linear->in_features, desc.name);
    PackLaunch pack{.to = linear->weight,
                    .dtype = view.dtype,
                    .row_bytes = dtype_bytes(view.dtype, view.shape[1]),
                    .part = static_cast<int64_t>(part),
                    .part_begin = part_begin};
    TRY(stream({.data = view.as<const std::byte>(), .row_bytes = pack.row_bytes, .count = view.shape[0]},
               [&](void* memory, int64_t first, int64_t count) {
                 pack.from = memory;
                 pack.first_row = first;
                 pack.count = count;
                 device_->note(launch_pack(pack, device_->stream()));
               }));
    part_begin += view.shape[0];
  }
  TRY(load_bias(*linear, desc));
  TRY(device_->synchronize());
  return linear;
}

Result<std::unique_ptr<CudaRowTable>> WeightLoader::row_table(const TensorView& view) {
  auto table = std::make_unique<CudaRowTable>();
  table->rows = view.shape[0];
  table->width = view.shape[1];
  table->dtype = view.dtype;
  table->row_bytes = dtype_bytes(view.dtype, view.shape[1]);
  table->borrows_host = false;
  TRY_ASSIGN(table->values, CudaBuffer::make(*device_, static_cast<size_t>(view.bytes())));
  auto* to = static_cast<std::byte*>(table->values->data());
  TRY(stream({.data = view.as<const std::byte>(), .row_bytes = table->row_bytes, .count = table->rows},
             [&](void* memory, int64_t first, int64_t count) {
               device_->copy_inside(to + first * table->row_bytes, memory,
                                    static_cast<size_t>(count * table->row_bytes));
             }));
  TRY(device_->synchronize());
  return table;
}

Result<std::unique_ptr<CudaBuffer>> WeightLoader::vector(std::span<const float> values) {
  TRY_ASSIGN(std::unique_ptr<CudaBuffer> buffer, CudaBuffer::make(*device_, values.size_bytes()));
  TRY(stream({.data = reinterpret_cast<const std::byte*>(values.data()), .row_bytes = 4, .count = std::ssize(values)},
             [&](void* memory, int64_t first, int64_t count) {
               device_->copy_inside(static_cast<float*>(buffer->data()) + first, memory,
                                    static_cast<size_t>(count) * 4);
             }));
  TRY(device_->synchronize());
  return buffer;
}

}  // namespace cove::cuda

#include "backends/cpu/cpu_backend.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "backends/cpu/cpu_attention.h"
#include "backends/cpu/cpu_linear.h"
#include "backends/cpu/dispatch.h"
#include "base/check.h"
#include "base/machine.h"
#include "compute/weight_support.h"
#include "tensor/formats/codec.h"

namespace cove {
namespace cpu {
namespace {

// Borrowed: the rows stay in the caller's mapping and are decoded as they are looked up.
struct CpuRowTable final : RowTable {
  DType dtype = DType::kF32;
  const std::byte* data = nullptr;
  size_t row_bytes = 0;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(const KernelTable& kernels, int threads, const std::vector<int>& processors)
      : kernels_(kernels), pool_(threads, processors), linear_(kernels, pool_), attention_(kernels, pool_) {
    scratch_.resize(static_cast<size_t>(threads));
  }

  DeviceInfo info() const override;
  DType activation_dtype() const override { return DType::kF32; }
  Status supports(const OpQuery& query) const override;

  Result<std::unique_ptr<DeviceBuffer>> allocate(size_t bytes) override;
  Result<std::unique_ptr<LinearWeight>> load_linear(const LinearWeightDesc& desc) override;
  Result<std::unique_ptr<RowTable>> load_row_table(const TensorView& table) override;
  Result<ConstantVector> load_vector(std::span<const float> values) override;
  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvLayout& layout, int64_t pages) override;

  void begin_step(const StepBatch&) override { attention_.begin_step(); }
  void embed(const EmbedArgs& args) override;
  void rms_norm(const RmsNormArgs& args) override;
  void linear(const LinearArgs& args) override { linear_.run(args); }
  void rope_kv(const RopeKvArgs& args) override { attention_.rope_kv(args); }
  void attention(const AttentionArgs& args) override { attention_.attention(args); }
  void gather_rows(const GatherRowsArgs& args) override;
  void sample(const SampleArgs& args) override;
  Status end_step() override { return {}; }

  void copy_page(const CopyPageArgs& args) override { copy_cpu_page(static_cast<CpuKvCache&>(*args.cache), args); }
  Status read_back(const TensorView& view, std::span<std::byte> out) override;

 private:
  const KernelTable& kernels_;
  ThreadPool pool_;
  LinearRunner linear_;
  AttentionRunner attention_;
  std::vector<SampleScratch> scratch_;  // one per thread
};

Error unsupported(std::string message) { return make_error(ErrorCode::kUnsupported, std::move(message)); }

DeviceInfo CpuBackend::info() const {
  const machine::CpuInfo processor = machine::probe_cpu();
  const machine::MemoryInfo memory = machine::probe_memory();
  return {.kind = "cpu",
          .description = fmt::format("{}, {} thread{}, {}", processor.model, pool_.threads(),
                                     pool_.threads() == 1 ? "" : "s", kernels_.name),
          .memory_total = static_cast<uint64_t>(memory.usable_bytes()),
          .memory_free = static_cast<uint64_t>(std::min(memory.available_bytes, memory.usable_bytes()))};
}

Status CpuBackend::supports(const OpQuery& query) const {
  const auto name = dtype_info(query.dtype).name;
  switch (query.kind) {
    case OpKind::kLinear:
    case OpKind::kEmbed: return weights_supported(query, "cpu");
    case OpKind::kAttention:
    case OpKind::kKvCache:
      if (query.dtype != DType::kF32 && query.dtype != DType::kF16 && query.dtype != DType::kBF16) {
        return unsupported(
            fmt::format("a key-value cache in {} is not supported by the cpu backend: use bf16, f16 or f32", name));
      }
      if (query.head_dim % 2 != 0) {
        return unsupported(
            fmt::format("attention with head_dim {} is not supported by the cpu backend", query.head_dim));
      }
      return {};
  }
  return unsupported("this operation is not known to the cpu backend");
}

Result<std::unique_ptr<DeviceBuffer>> CpuBackend::allocate(size_t bytes) {
  TRY_ASSIGN(AlignedBytes memory, AlignedBytes::allocate(bytes));
  std::memset(memory.data(), 0, memory.bytes());  // touched at start-up, not in the first step
  return std::make_unique<CpuBuffer>(std::move(memory), bytes);
}

Result<std::unique_ptr<LinearWeight>> CpuBackend::load_linear(const LinearWeightDesc& desc) {
  for (const LinearPart& part : desc.parts) {
    COVE_CHECK_MSG(part.weight.shape.rank == 2, desc.name);
    Status known = supports({.kind = OpKind::kLinear, .dtype = part.weight.dtype, .in_features = part.weight.shape[1]});
    if (!known) return with_context(std::move(known).error(), desc.name);
  }
  Result<std::unique_ptr<CpuLinear>> linear = load_cpu_linear(desc, kernels_, pool_);
  if (!linear) return with_context(std::move(linear).error(), desc.name);
  linear_.reserve(**linear, LinearRunner::kRowsPerPass);
  return std::unique_ptr<LinearWeight>(std::move(*linear));
}

Result<std::unique_ptr<RowTable>> CpuBackend::load_row_table(const TensorView& table) {
  COVE_CHECK(table.shape.rank == 2);
  TRY(supports({.kind = OpKind::kEmbed, .dtype = table.dtype, .in_features = table.shape[1]}));
  auto rows = std::make_unique<CpuRowTable>();
  rows->rows = table.shape[0];
  rows->width = table.shape[1];
  rows->dtype = table.dtype;
  rows->data = table.as<const std::byte>();
  rows->row_bytes = static_cast<size_t>(dtype_bytes(table.dtype, table.shape[1]));
  return std::unique_ptr<RowTable>(std::move(rows));
}

Result<ConstantVector> CpuBackend::load_vector(std::span<const float> values) {
  TRY_ASSIGN(AlignedBytes memory, AlignedBytes::allocate(values.size_bytes()));
  if (!values.empty()) std::memcpy(memory.data(), values.data(), values.size_bytes());
  return std::make_unique<CpuBuffer>(std::move(memory), values.size_bytes());
}

Result<std::unique_ptr<KvCache>> CpuBackend::make_kv_cache(const KvLayout& layout, int64_t pages) {
  TRY(supports({.kind = OpKind::kKvCache, .dtype = layout.dtype, .head_dim = layout.head_dim}));
  TRY_ASSIGN(std::unique_ptr<CpuKvCache> cache, make_cpu_kv_cache(layout, pages));
  return std::unique_ptr<KvCache>(std::move(cache));
}

void CpuBackend::embed(const EmbedArgs& args) {
  const auto& table = static_cast<const CpuRowTable&>(*args.table);
  const auto rows = static_cast<int64_t>(args.tokens.size());
  COVE_CHECK(args.out.dtype == DType::kF32 && args.out.shape == (Shape{rows, table.width}));
  pool_.parallel_for(rows, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const int32_t token = args.tokens[static_cast<size_t>(t)];
      COVE_CHECK(token >= 0 && token < table.rows);
      decode(table.dtype, {table.data + static_cast<size_t>(token) * table.row_bytes, table.row_bytes},
             {args.out.as<float>() + t * table.width, static_cast<size_t>(table.width)});
    }
  });
}

void CpuBackend::rms_norm(const RmsNormArgs& args) {
  const int64_t rows = args.residual.shape[0];
  const int64_t width = args.residual.shape[1];
  COVE_CHECK(args.residual.dtype == DType::kF32 && args.out.dtype == DType::kF32 &&
             args.out.shape == args.residual.shape);
  COVE_CHECK(!args.delta || args.delta.shape == args.residual.shape);
  COVE_CHECK(args.scale != nullptr && args.scale->bytes() == static_cast<size_t>(width) * sizeof(float));
  pool_.parallel_for(rows, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      kernels_.rms_norm({.residual = args.residual.as<float>() + t * width,
                         .delta = args.delta ? args.delta.as<const float>() + t * width : nullptr,
                         .scale = static_cast<const float*>(args.scale->data()),
                         .out = args.out.as<float>() + t * width,
                         .width = width,
                         .eps = args.eps});
    }
  });
}

void CpuBackend::gather_rows(const GatherRowsArgs& args) {
  const int64_t width = args.in.shape[1];
  COVE_CHECK(args.out.shape == (Shape{static_cast<int64_t>(args.rows.size()), width}));
  float* out = args.out.as<float>();
  for (const int32_t row : args.rows) {
    COVE_CHECK(row >= 0 && row < args.in.shape[0]);
    std::memcpy(out, args.in.as<const float>() + row * width, static_cast<size_t>(width) * sizeof(float));
    out += width;
  }
}

void CpuBackend::sample(const SampleArgs& args) {
  const auto rows = static_cast<int64_t>(args.params.size());
  const int64_t vocab = args.logits.shape[1];
  COVE_CHECK(args.logits.shape[0] == rows && args.results.size() == args.params.size());
  pool_.parallel_for(rows, 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t r = begin; r < end; ++r) {
      const std::span row(args.logits.as<const float>() + r * vocab, static_cast<size_t>(vocab));
      args.results[static_cast<size_t>(r)] =
          sample_row(row, args.params[static_cast<size_t>(r)], scratch_[static_cast<size_t>(worker)]);
    }
  });
}

Status CpuBackend::read_back(const TensorView& view, std::span<std::byte> out) {
  COVE_CHECK(out.size() == static_cast<size_t>(view.bytes()));
  if (!out.empty()) std::memcpy(out.data(), view.data, out.size());
  return {};
}

}  // namespace
}  // namespace cpu

std::vector<std::string> cpu_isas() {
  std::vector<std::string> names;
  for (const cpu::IsaEntry& entry : cpu::isa_entries()) {
    if (entry.runs_here) names.emplace_back(entry.name);
  }
  return names;
}

Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options) {
  TRY_ASSIGN(const cpu::Choice choice, cpu::choose(options.isa, options.threads));
  return std::make_unique<cpu::CpuBackend>(*choice.kernels, choice.threads, choice.processors);
}

}  // namespace cove

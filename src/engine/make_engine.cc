#include "engine/make_engine.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "engine/engine.h"
#include "engine/memory_plan.h"
#include "model/decoder.h"

namespace cove::engine {
namespace {

constexpr int64_t kPageTokens = 16;
// A machine's own memory has other users: without a wish of the operator the CPU backend keeps this many positions (64
// conversations of 2048 tokens, or one of the longest context that models have today), not all that
// engine.memory_fraction would allow.
constexpr int64_t kCpuKvTokens = 131'072;

Status supports_cache(const ModelSpec& spec, const Backend& backend, DType dtype) {
  const int64_t head_dim = spec.layers.front().head_dim;
  TRY(backend.supports({.kind = OpKind::kKvCache, .dtype = dtype, .head_dim = head_dim}));
  return backend.supports({.kind = OpKind::kAttention, .dtype = dtype, .head_dim = head_dim});
}

// As asked for; with auto the weights' own precision, else the smallest that the backend has.
Result<DType> choose_kv_format(const ModelParts& parts, const Backend& backend, const std::string& wanted) {
  if (wanted != "auto") {
    const DType dtype = *dtype_from_name(wanted);  // validate(options) allows only known names
    const Status supported = supports_cache(parts.spec, backend, dtype);
    if (!supported) return with_context(supported.error(), fmt::format("engine.kv_format '{}'", wanted));
    return dtype;
  }
  const TensorView weight = parts.tensors("layers.0.q.weight");
  std::vector<DType> candidates = {DType::kBF16, DType::kF16, DType::kF32};
  if (weight && (weight.dtype == DType::kF32 || weight.dtype == DType::kF16)) {
    candidates.insert(candidates.begin(), weight.dtype);
  }
  Status last;
  for (const DType dtype : candidates) {
    last = supports_cache(parts.spec, backend, dtype);
    if (last) return dtype;
  }
  return last.error();
}

Result<MemoryPlan> plan_for(const ModelParts& parts, const Backend& backend, const EngineOptions& options,
                            const model::DecoderLimits& limits, const KvLayout& layout) {
  const DeviceInfo device = backend.info();
  // Decrypted weights lie in memory already, so what is free does not count them a second time.
  const uint64_t held = device.kind == "cpu" ? parts.held_bytes : 0;
  TRY_ASSIGN(const std::optional<uint64_t> rounded, model::plan_weights(parts.spec, parts.tensors, backend));
  const int64_t kv_tokens_default = device.kind == "cpu" ? std::max(kCpuKvTokens, options.context_max) : 0;
  return plan_memory(
      {.memory_total = device.memory_total,
       .memory_free = device.memory_free + held,
       .memory_fraction = options.memory_fraction,
       .weight_bytes = rounded.value_or(static_cast<uint64_t>(parts.info.weight_bytes)),
       .workspace_bytes = model::Decoder::workspace_bytes(parts.spec, backend.activation_dtype(), limits),
       .page_bytes = layout.page_bytes(),
       .page_tokens = layout.page_tokens,
       .sequences_max = options.sequences_max,
       .context_model = parts.spec.context_max,
       .context_wanted = options.context_max,
       .kv_tokens_max = options.kv_tokens_max > 0 ? options.kv_tokens_max : kv_tokens_default});
}

void log_loaded(const ModelInfo& info, const MemoryPlan& plan, DType kv_format, const ModelSpec& spec) {
  if (plan.context_max < spec.context_max) {
    log::info("engine.context", {{"context_max", plan.context_max}, {"model_context", spec.context_max}});
  }
  log::info("engine.loaded", {{"model", info.name},
                              {"device", info.device},
                              {"weights", format_bytes(plan.weight_bytes)},
                              {"workspace", format_bytes(plan.workspace_bytes)},
                              {"kv", format_bytes(plan.kv_bytes)},
                              {"kv_format", dtype_info(kv_format).name},
                              {"pages", plan.pages},
                              {"context_max", plan.context_max}});
}

}  // namespace

Result<std::unique_ptr<Engine>> make_engine(ModelParts parts, std::unique_ptr<Backend> backend,
                                            const EngineOptions& options) {
  TRY(validate(options));
  TRY(model::check_supported(parts.spec, parts.tensors, *backend));
  TRY_ASSIGN(const DType kv_format, choose_kv_format(parts, *backend, options.kv_format));
  const model::DecoderLimits limits{.batch_tokens_max = options.batch_tokens_max,
                                    .logit_rows_max = std::min(options.sequences_max, options.batch_tokens_max)};
  const KvLayout layout = model::Decoder::kv_layout(parts.spec, kPageTokens, kv_format);
  TRY_ASSIGN(const MemoryPlan plan, plan_for(parts, *backend, options, limits, layout));

  EngineParts engine{.files = std::move(parts.files),
                     .tokenizer = std::move(parts.tokenizer),
                     .backend = std::move(backend),
                     .decoder = nullptr,
                     .cache = nullptr,
                     .eos_ids = std::move(parts.eos_ids),
                     .info = std::move(parts.info)};
  TRY_ASSIGN(engine.decoder, model::Decoder::load(parts.spec, parts.tensors, *engine.backend, limits, parts.release));
  TRY_ASSIGN(engine.cache, engine.backend->make_kv_cache(layout, plan.pages));
  const DeviceInfo device = engine.backend->info();
  engine.info.device = fmt::format("{}: {}", device.kind, device.description);
  engine.info.context_max = plan.context_max;
  engine.info.vocab = parts.spec.vocab;
  if (engine.info.family.empty()) engine.info.family = parts.spec.family;
  log_loaded(engine.info, plan, kv_format, parts.spec);
  return std::unique_ptr<Engine>(std::make_unique<LoopEngine>(std::move(engine), options));
}

}  // namespace cove::engine

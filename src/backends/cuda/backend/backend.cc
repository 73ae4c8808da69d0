#include "backends/cuda/backend/backend.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "backends/cuda/backend/buffers.h"
#include "backends/cuda/backend/drawn_tokens.h"
#include "backends/cuda/backend/fusion.h"
#include "backends/cuda/backend/linear_planner.h"
#include "backends/cuda/backend/step_arrays.h"
#include "backends/cuda/backend/step_work.h"
#include "backends/cuda/backend/supported.h"
#include "backends/cuda/backend/unpacked_pages.h"
#include "backends/cuda/backend/weight_loader.h"
#include "base/check.h"

namespace cove::cuda {
namespace {

// Results of attention splits: what decoding a few long sequences needs to keep every multiprocessor busy; beyond that
// a block takes a whole sequence.
constexpr size_t kPartialBytes = size_t{64} << 20;
constexpr int64_t kCountersMax = 65536;
constexpr int64_t kGraphTokensMax = 512;  // decoding steps up to this size are recorded
constexpr size_t kReadBackPiece = size_t{8} << 20;

const float* vector_data(const DeviceBuffer* buffer, int64_t count) {
  if (buffer == nullptr) return nullptr;
  COVE_CHECK(buffer->bytes() == static_cast<size_t>(count) * sizeof(float));
  return static_cast<const float*>(buffer->data());
}

class CudaBackend final : public Backend {
 public:
  CudaBackend(std::unique_ptr<Device> device, const CudaOptions& options)
      : device_(std::move(device)),
        options_(options),
        loader_(*device_, options.format),
        linears_(*device_, options),
        arrays_(*device_),
        graphs_(*device_),
        drawn_(*device_) {}
  ~CudaBackend() override { (void)device_->synchronize(); }

  Status take_workspace();

  DeviceInfo info() const override;
  DType activation_dtype() const override { return DType::kBF16; }
  Status supports(const OpQuery& query) const override { return supported(query); }

  Result<std::unique_ptr<DeviceBuffer>> allocate(size_t bytes) override;
  std::optional<LinearMemory> plan_linear(const LinearWeightDesc& desc) const override;
  Result<std::unique_ptr<LinearWeight>> load_linear(const LinearWeightDesc& desc) override;
  Result<std::unique_ptr<RowTable>> load_row_table(const TensorView& table) override;
  Result<ConstantVector> load_vector(std::span<const float> values) override;
  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvLayout& layout, int64_t pages) override;

  void begin_step(const StepBatch& step) override;
  void embed(const EmbedArgs& args) override;
  void rms_norm(const RmsNormArgs& args) override;
  void linear(const LinearArgs& args) override;
  void rope_kv(const RopeKvArgs& args) override;
  void attention(const AttentionArgs& args) override;
  void gather_rows(const GatherRowsArgs& args) override;
  void sample(const SampleArgs& args) override;
  Status end_step() override;
  bool runs_ahead() const override { return true; }
  Status submit_step() override;
  Status wait_step() override;

  void copy_page(const CopyPageArgs& args) override;
  Status read_back(const TensorView& view, std::span<std::byte> out) override;

 private:
  // A step's attention, planned once for all layers of the same shape.
  struct PlannedAttention {
    int64_t heads = 0;
    int64_t kv_heads = 0;
    int64_t head_dim = 0;
    AttentionPlan plan;
    const AttentionTile* tiles = nullptr;  // device
    DecodePlan decode;
    const DecodeTile* decode_tiles = nullptr;  // device
    int64_t prefill_count = 0;
    const AttentionTile* prefill = nullptr;  // device
    UnpackedPages::Plan unpacked;            // of an e4m3 cache, for prefill
  };
  // {cos, sin} of a step's positions, for all layers of the same frequencies.
  struct Turns {
    const float* inv_freq = nullptr;
    float rope_scale = 1.0F;
    std::unique_ptr<CudaBuffer> values;
    bool in_step = false;  // computed by the step under way
  };
  const PlannedAttention& plan_for(const AttentionArgs& args);
  const float* turns_for(const RopeKvArgs& args);
  void prefill_attention(const AttentionArgs& args, const PlannedAttention& planned);
  void decode_attention(const AttentionArgs& args, const PlannedAttention& planned);
  Status take_attention_workspace();
  bool is_decoding() const;
  bool may_use_hopper() const { return !options_.reproducible && device_->facts().compute_major == 9; }

  std::unique_ptr<Device> device_;
  CudaOptions options_;
  WeightLoader loader_;
  LinearPlanner linears_;
  StepArrays arrays_;
  GraphCache graphs_;

  std::unique_ptr<CudaBuffer> partials_;
  std::unique_ptr<CudaBuffer> counters_;
  UnpackedPages unpacked_;
  DrawnTokens drawn_;
  std::unique_ptr<PinnedBuffer> host_piece_;  // for read_back

  // Of the step that is collected.
  const StepBatch* step_ = nullptr;
  Status step_status_;
  const int32_t* positions_ = nullptr;
  const int32_t* slots_ = nullptr;
  const SequenceSlice* sequences_ = nullptr;
  const int32_t* page_table_ = nullptr;
  std::vector<PlannedAttention> planned_;
  std::vector<Turns> turns_;
  std::vector<Work> list_;
  bool norm_is_transient_ = false;  // what the last norm in the list makes is read by the next product alone
};

Status CudaBackend::take_workspace() {
  TRY(linears_.take_workspace());
  TRY(drawn_.take_workspace());
  TRY_ASSIGN(host_piece_, PinnedBuffer::make(*device_, kReadBackPiece));
  return device_->synchronize();
}

// With the first cache: without one there is no attention.
Status CudaBackend::take_attention_workspace() {
  if (partials_ != nullptr) return {};
  TRY_ASSIGN(partials_, CudaBuffer::make(*device_, kPartialBytes));
  TRY_ASSIGN(counters_, CudaBuffer::make(*device_, kCountersMax * sizeof(unsigned)));
  device_->clear(counters_->data(), counters_->bytes());
  return device_->synchronize();
}

DeviceInfo CudaBackend::info() const {
  const DeviceFacts& facts = device_->facts();
  return {.kind = "cuda",
          .description =
              fmt::format("{}, compute capability {}.{}, {} multiprocessors{}", facts.name, facts.compute_major,
                          facts.compute_minor, facts.multiprocessors, options_.reproducible ? ", reproducible" : ""),
          .memory_total = facts.memory_total,
          .memory_free = device_->memory_free()};
}

// --- Loading ---

Result<std::unique_ptr<DeviceBuffer>> CudaBackend::allocate(size_t bytes) {
  TRY_ASSIGN(std::unique_ptr<CudaBuffer> buffer, CudaBuffer::make(*device_, bytes));
  return std::unique_ptr<DeviceBuffer>(std::move(buffer));
}

std::optional<LinearMemory> CudaBackend::plan_linear(const LinearWeightDesc& desc) const {
  return LinearMemory{.own = loader_.bytes_of(desc),
                      .shared = linears_.bytes_for(choose_layout(desc, options_.format))};
}

Result<std::unique_ptr<LinearWeight>> CudaBackend::load_linear(const LinearWeightDesc& desc) {
  for (const LinearPart& part : desc.parts) {
    COVE_CHECK_MSG(part.weight.shape.rank == 2, desc.name);
    const Status known =
        supports({.kind = OpKind::kLinear, .dtype = part.weight.dtype, .in_features = part.weight.shape[1]});
    if (!known) return with_context(known.error(), desc.name);
  }
  Result<std::unique_ptr<CudaLinear>> linear = loader_.linear(desc);
  if (!linear) return with_context(std::move(linear).error(), desc.name);
  TRY(linears_.reserve_for((*linear)->weight.layout));
  return std::unique_ptr<LinearWeight>(std::move(*linear));
}

Result<std::unique_ptr<RowTable>> CudaBackend::load_row_table(const TensorView& table) {
  COVE_CHECK(table.shape.rank == 2);
  TRY(supports({.kind = OpKind::kEmbed, .dtype = table.dtype, .in_features = table.shape[1]}));
  TRY_ASSIGN(std::unique_ptr<CudaRowTable> rows, loader_.row_table(table));
  return std::unique_ptr<RowTable>(std::move(rows));
}

Result<ConstantVector> CudaBackend::load_vector(std::span<const float> values) {
  TRY_ASSIGN(std::unique_ptr<CudaBuffer> buffer, loader_.vector(values));
  return ConstantVector(std::move(buffer));
}

Result<std::unique_ptr<KvCache>> CudaBackend::make_kv_cache(const KvLayout& layout, int64_t pages) {
  COVE_CHECK(layout.layers > 0 && layout.kv_heads > 0 && layout.page_tokens > 0 && pages > 0);
  TRY(supports({.kind = OpKind::kKvCache, .dtype = layout.dtype, .head_dim = layout.head_dim}));
  loader_.finish();
  auto cache = std::make_unique<CudaKvCache>();
  cache->layout = layout;
  cache->pages = pages;
  TRY_ASSIGN(cache->values, CudaBuffer::make(*device_, layout.page_bytes() * static_cast<uint64_t>(pages)));
  TRY(take_attention_workspace());
  if (layout.dtype == DType::kE4M3 && may_use_hopper()) TRY(unpacked_.reserve(*device_, layout, pages));
  return std::unique_ptr<KvCache>(std::move(cache));
}

// --- A step ---

void CudaBackend::begin_step(const StepBatch& step) {
  device_->bind();
  step_ = &step;
  list_.clear();
  planned_.clear();
  for (Turns& turns : turns_) turns.in_step = false;
  // Tokens, positions, slots, gathered rows twice, sampling; slices and tiles (as many as tokens at most, twice); pages
  // to unpack and their table.
  const size_t tokens = step.tokens.size();
  const size_t spare = size_t{1} << 20;  // operations that come without a batch, in tests
  const size_t bytes = tokens * (8 * sizeof(int32_t) + 2 * sizeof(AttentionTile) + sizeof(DecodeTile)) +
                       2 * step.page_table.size_bytes() + step.sequences.size() * sizeof(SequenceSlice) +
                       step.logit_rows.size() * (sizeof(SampleRow) + 8) + spare;
  step_status_ = drawn_.begin(step.logit_rows.size());
  if (!step_status_) return;
  const Result<bool> moved = arrays_.begin(bytes, step.page_table.size_bytes());
  step_status_ = moved ? Status{} : Status(moved.error());
  if (!moved) return;
  if (*moved) graphs_.clear();
  positions_ = arrays_.add(step.positions);
  slots_ = arrays_.add(step.slots);
  sequences_ = arrays_.add(step.sequences);
  page_table_ = arrays_.set_page_table(step.page_table);
}

void CudaBackend::embed(const EmbedArgs& args) {
  if (!step_status_) return;
  const auto& table = static_cast<const CudaRowTable&>(*args.table);
  const auto rows = static_cast<int64_t>(args.tokens.size());
  COVE_CHECK(args.out.dtype == DType::kBF16 && args.out.shape == (Shape{rows, table.width}));
  for (const int32_t token : args.tokens) COVE_CHECK(token < table.rows);
  drawn_.check_fed(args.tokens);
  list_.emplace_back(EmbedLaunch{.table = table.values->data(),
                                 .dtype = table.dtype,
                                 .row_bytes = table.row_bytes,
                                 .tokens = arrays_.add(args.tokens),
                                 .drawn = drawn_.tokens(),
                                 .count = rows,
                                 .width = table.width,
                                 .out = args.out.data});
}

void CudaBackend::rms_norm(const RmsNormArgs& args) {
  COVE_CHECK(args.residual.dtype == DType::kBF16 && args.out.shape == args.residual.shape);
  COVE_CHECK(!args.delta || args.delta.shape == args.residual.shape);
  RmsNormLaunch launch{.residual = args.residual.data,
                       .delta = args.delta.data,
                       .scale = vector_data(args.scale, args.residual.shape[1]),
                       .eps = args.eps,
                       .out = args.out.data,
                       .rows = args.residual.shape[0],
                       .width = args.residual.shape[1]};
  if (args.is_transient && add_in_product(list_, launch)) launch.delta = nullptr;
  norm_is_transient_ = args.is_transient;
  list_.emplace_back(launch);
}

void CudaBackend::linear(const LinearArgs& args) {
  const auto& weight = static_cast<const CudaLinear&>(*args.weight);
  const WeightLayout& layout = weight.weight.layout;
  const bool swiglu = args.epilogue == LinearArgs::Epilogue::kSwiGlu;
  COVE_CHECK(args.x.dtype == DType::kBF16 && args.x.shape[1] == layout.inputs);
  COVE_CHECK(!swiglu || layout.interleaved);
  COVE_CHECK(args.out.shape == (Shape{args.x.shape[0], swiglu ? layout.outputs / 2 : layout.outputs}));
  COVE_CHECK(args.out.dtype == DType::kBF16 || args.out.dtype == DType::kF32);
  LinearWork work{.launch = {.weight = weight.weight,
                             .x = args.x.data,
                             .tokens = args.x.shape[0],
                             .swiglu = swiglu,
                             .out = args.out.data,
                             .out_f32 = args.out.dtype == DType::kF32,
                             .multiprocessors = device_->facts().multiprocessors}};
  if (work.launch.tokens == 0) return;
  linears_.plan(work);
  if (norm_is_transient_ && work.path == LinearPath::kVector) norm_in_product(list_, work.launch);
  if (norm_is_transient_ && work.path == LinearPath::kHopper8) round_in_norm(list_, work);
  list_.emplace_back(work);
}

// The table of the step's angles, made where the list is now unless it has been made already. Null: no memory.
const float* CudaBackend::turns_for(const RopeKvArgs& args) {
  const float* inv_freq = vector_data(args.inv_freq, args.head_dim / 2);
  auto turns = std::find_if(turns_.begin(), turns_.end(), [&](const Turns& known) {
    return known.inv_freq == inv_freq && known.rope_scale == args.rope_scale;
  });
  if (turns == turns_.end())
    turns = turns_.insert(turns, {.inv_freq = inv_freq, .rope_scale = args.rope_scale, .values = nullptr});
  const auto bytes = static_cast<size_t>(step_->token_count() * args.head_dim) * sizeof(float);
  if (turns->values == nullptr || turns->values->bytes() < bytes) {
    // A step under way and recorded ones name the old memory.
    step_status_ = device_->synchronize();
    if (!step_status_) return nullptr;
    graphs_.clear();
    turns->values = nullptr;
    Result<std::unique_ptr<CudaBuffer>> grown = CudaBuffer::make(*device_, std::bit_ceil(bytes));
    if (!grown) {
      step_status_ = Status(grown.error());
      return nullptr;
    }
    turns->values = std::move(*grown);
  }
  auto* out = static_cast<float*>(turns->values->data());
  if (!turns->in_step) {
    list_.emplace_back(TurnsLaunch{.inv_freq = inv_freq,
                                   .half = args.head_dim / 2,
                                   .rope_scale = args.rope_scale,
                                   .positions = positions_,
                                   .tokens = step_->token_count(),
                                   .out = out});
    turns->in_step = true;
  }
  return out;
}

void CudaBackend::rope_kv(const RopeKvArgs& args) {
  if (!step_status_) return;
  const auto& cache = static_cast<const CudaKvCache&>(*args.cache);
  COVE_CHECK(args.step == step_ && args.qkv.dtype == DType::kBF16);
  COVE_CHECK(cache.layout.kv_heads == args.kv_heads && cache.layout.head_dim == args.head_dim);
  COVE_CHECK(args.qkv.shape == (Shape{step_->token_count(), (args.heads + 2 * args.kv_heads) * args.head_dim}));
  for (const int32_t slot : step_->slots) COVE_CHECK(slot >= 0 && slot < cache.pages * cache.layout.page_tokens);
  const float* turns = turns_for(args);
  if (turns == nullptr) return;
  list_.emplace_back(RopeKvLaunch{.qkv = args.qkv.data,
                                  .tokens = step_->token_count(),
                                  .heads = args.heads,
                                  .cache = cache.layer(args.layer),
                                  .q_norm = vector_data(args.q_norm, args.head_dim),
                                  .k_norm = vector_data(args.k_norm, args.head_dim),
                                  .norm_eps = args.norm_eps,
                                  .turns = turns,
                                  .interleaved = args.interleaved,
                                  .slots = slots_});
}

const CudaBackend::PlannedAttention& CudaBackend::plan_for(const AttentionArgs& args) {
  for (const PlannedAttention& planned : planned_) {
    if (planned.heads == args.heads && planned.kv_heads == args.kv_heads && planned.head_dim == args.head_dim)
      return planned;
  }
  const KvLayout& layout = args.cache->layout;
  const bool unpacks = layout.dtype == DType::kE4M3;
  const int64_t prefill_tokens =
      may_use_hopper() && layout.dtype != DType::kF32
          ? hopper::prefill_tile_tokens(args.heads, args.kv_heads, args.head_dim, layout.page_tokens)
          : 0;
  // How the decode kernel splits a sequence depends on the batch.
  const bool may_decode =
      !options_.reproducible && layout.dtype != DType::kF32 && layout.page_tokens % kDecodeStepKeys == 0;
  const int64_t partial = attention_partial_bytes(kTileRows, args.head_dim);
  AttentionWork work = plan_attention(step_->sequences,
                                      {.heads = args.heads,
                                       .kv_heads = args.kv_heads,
                                       .multiprocessors = device_->facts().multiprocessors,
                                       .partials_max = static_cast<int64_t>(kPartialBytes) / partial,
                                       .decode_kernel = may_decode,
                                       .page_tokens = layout.page_tokens,
                                       .prefill_pages_max = unpacks ? unpacked_.pages_max(layout) : INT64_MAX},
                                      prefill_tokens);
  PlannedAttention planned;
  planned.heads = args.heads;
  planned.kv_heads = args.kv_heads;
  planned.head_dim = args.head_dim;
  planned.tiles = arrays_.add(std::span<const AttentionTile>(work.plan.tiles));
  for (DecodeTile& tile : work.decode.tiles) tile.slot = step_->slots[static_cast<size_t>(tile.token)];
  planned.decode_tiles = arrays_.add(std::span<const DecodeTile>(work.decode.tiles));
  planned.decode = std::move(work.decode);
  planned.prefill = arrays_.add(std::span<const AttentionTile>(work.prefill));
  planned.prefill_count = std::ssize(work.prefill);
  if (unpacks) planned.unpacked = UnpackedPages::plan(*step_, work.prefill, layout.page_tokens, arrays_);
  planned.plan = std::move(work.plan);
  if (std::ssize(planned.plan.tiles) * args.kv_heads > kCountersMax) planned.plan.splits = 0;
  COVE_CHECK(planned.decode.splits == 1 || std::ssize(planned.decode.tiles) * args.kv_heads <= kCountersMax);
  planned_.push_back(std::move(planned));
  return planned_.back();
}

void CudaBackend::prefill_attention(const AttentionArgs& args, const PlannedAttention& planned) {
  const auto& cache = static_cast<const CudaKvCache&>(*args.cache);
  const LayerCache layer = cache.layer(args.layer);
  hopper::PrefillArgs launch{.q = args.qkv.data,
                             .q_pitch = args.qkv.shape[1] * 2,
                             .keys = layer.keys,
                             .values = layer.values,
                             .pages = cache.pages,
                             .page_tokens = cache.layout.page_tokens,
                             .heads = args.heads,
                             .kv_heads = args.kv_heads,
                             .head_dim = args.head_dim,
                             .sequences = sequences_,
                             .page_table = page_table_,
                             .tiles = planned.prefill,
                             .tile_count = planned.prefill_count,
                             .scale = args.scale,
                             .out = args.out.data,
                             .multiprocessors = device_->facts().multiprocessors};
  if (layer.powers != nullptr) list_.emplace_back(unpacked_.unpack(planned.unpacked, layer, launch));
  list_.emplace_back(launch);
}

// Sequences that add one token. Where the whole step is that and rope_kv came right before, both as one kernel.
void CudaBackend::decode_attention(const AttentionArgs& args, const PlannedAttention& planned) {
  DecodeAttentionLaunch launch{.qkv = args.qkv.data,
                               .heads = args.heads,
                               .cache = static_cast<const CudaKvCache&>(*args.cache).layer(args.layer),
                               .scale = args.scale,
                               .page_table = page_table_,
                               .tiles = planned.decode_tiles,
                               .tile_count = std::ssize(planned.decode.tiles),
                               .split_keys = planned.decode.split_keys,
                               .splits = planned.decode.splits,
                               .partials = static_cast<float*>(partials_->data()),
                               .counters = static_cast<unsigned*>(counters_->data()),
                               .out = args.out.data};
  const auto* rope = list_.empty() ? nullptr : std::get_if<RopeKvLaunch>(&list_.back());
  if (rope != nullptr && rope->qkv == launch.qkv && rope->heads == launch.heads && rope->cache == launch.cache &&
      rope->tokens == launch.tile_count && rope->q_norm == nullptr && rope->k_norm == nullptr && !rope->interleaved &&
      decode_rotates(args.head_dim)) {
    launch.turns = rope->turns;
    list_.pop_back();
  }
  list_.emplace_back(launch);
}

void CudaBackend::attention(const AttentionArgs& args) {
  if (!step_status_) return;
  const auto& cache = static_cast<const CudaKvCache&>(*args.cache);
  COVE_CHECK(args.step == step_ && args.qkv.dtype == DType::kBF16 && args.out.dtype == DType::kBF16);
  COVE_CHECK(args.out.shape == (Shape{step_->token_count(), args.heads * args.head_dim}));
  const PlannedAttention& planned = plan_for(args);
  const LayerCache layer = cache.layer(args.layer);
  if (planned.prefill_count > 0) prefill_attention(args, planned);
  if (!planned.decode.tiles.empty()) decode_attention(args, planned);
  if (planned.plan.tiles.empty()) return;
  list_.emplace_back(AttentionLaunch{.qkv = args.qkv.data,
                                     .heads = args.heads,
                                     .cache = layer,
                                     .scale = args.scale,
                                     .sequences = sequences_,
                                     .page_table = page_table_,
                                     .tiles = planned.tiles,
                                     .tile_count = std::ssize(planned.plan.tiles),
                                     .warps = planned.plan.warps,
                                     .splits = planned.plan.splits,
                                     .partials = static_cast<float*>(partials_->data()),
                                     .counters = static_cast<unsigned*>(counters_->data()),
                                     .out = args.out.data});
}

void CudaBackend::gather_rows(const GatherRowsArgs& args) {
  if (!step_status_) return;
  const auto count = static_cast<int64_t>(args.rows.size());
  COVE_CHECK(args.in.dtype == DType::kBF16 && args.out.shape == (Shape{count, args.in.shape[1]}));
  for (const int32_t row : args.rows) COVE_CHECK(row >= 0 && row < args.in.shape[0]);
  list_.emplace_back(GatherLaunch{.in = args.in.data,
                                  .rows = arrays_.add(args.rows),
                                  .count = count,
                                  .width = args.in.shape[1],
                                  .out = args.out.data});
}

// --- Sampling ---

void CudaBackend::sample(const SampleArgs& args) {
  if (!step_status_ || args.params.empty()) return;
  const Result<SampleLaunch> launch = drawn_.add(args, arrays_);
  step_status_ = launch ? Status() : Status(launch.error());
  if (launch) list_.emplace_back(*launch);
}

bool CudaBackend::is_decoding() const {
  if (step_->sequences.empty() || step_->token_count() > kGraphTokensMax) return false;
  return step_->token_count() == std::ssize(step_->sequences);
}

Status CudaBackend::end_step() {
  TRY(submit_step());
  return wait_step();
}

Status CudaBackend::submit_step() {
  TRY(step_status_);
  arrays_.upload();
  if (is_decoding()) {
    graphs_.run(list_);
  } else {
    run_list(list_, *device_);
  }
  drawn_.submit();
  return {};
}

Status CudaBackend::wait_step() {
  return drawn_.wait([this](const TensorView& view, std::span<std::byte> out) { return read_back(view, out); });
}

// --- Outside a step ---

void CudaBackend::copy_page(const CopyPageArgs& args) {
  device_->bind();
  auto& cache = static_cast<CudaKvCache&>(*args.cache);
  const KvLayout& layout = cache.layout;
  COVE_CHECK(args.count >= 0 && args.count <= layout.page_tokens);
  COVE_CHECK(args.from >= 0 && args.from < cache.pages && args.to >= 0 && args.to < cache.pages);
  device_->note(launch_copy_page({.cache = cache.values->data(),
                                  .layers = layout.layers,
                                  .pages = cache.pages,
                                  .kv_heads = layout.kv_heads,
                                  .page_tokens = layout.page_tokens,
                                  .head_bytes = cache.row_bytes(),
                                  .powers = cache.powers(),
                                  .from = args.from,
                                  .to = args.to,
                                  .count = args.count},
                                 device_->stream()));
}

Status CudaBackend::read_back(const TensorView& view, std::span<std::byte> out) {
  COVE_CHECK(out.size() == static_cast<size_t>(view.bytes()));
  device_->bind();
  for (size_t begin = 0; begin < out.size(); begin += kReadBackPiece) {
    const size_t bytes = std::min(kReadBackPiece, out.size() - begin);
    device_->download(host_piece_->data(), view.as<const std::byte>() + begin, bytes);
    TRY(device_->synchronize());
    std::memcpy(out.data() + begin, host_piece_->data(), bytes);
  }
  return device_->synchronize();
}

}  // namespace

Result<std::unique_ptr<Backend>> make_backend(std::unique_ptr<Device> device, const CudaOptions& options) {
  auto backend = std::make_unique<CudaBackend>(std::move(device), options);
  TRY(backend->take_workspace());
  return std::unique_ptr<Backend>(std::move(backend));
}

}  // namespace cove::cuda

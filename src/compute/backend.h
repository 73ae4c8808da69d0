#pragma once
// The operation contract: about fifteen operations at fused granularity, which model/ emits and each backend implements
// (compute/reference: naive fp32, the oracle; backends/cpu; backends/cuda). compute/conformance holds one suite for
// all.
//
// Calls come from one thread, between begin_step and end_step (or submit_step), in program order. A backend may compute
// at once, or record and lower a whole step. Pointers inside Args are valid until end_step (or wait_step) returns.
// Shapes are the caller's promise (a wrong one is a bug: COVE_CHECK); what a backend cannot do is said by supports() at
// load, before anything is served.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "compute/sampling.h"
#include "compute/step.h"
#include "tensor/tensor_view.h"

namespace cove {

struct DeviceInfo {
  std::string kind{};         // "cpu", "cuda"
  std::string description{};  // "AMD EPYC, 2 threads, avx512_bf16"
  uint64_t memory_total = 0;
  uint64_t memory_free = 0;
};

// Memory of a backend, given back when destroyed. Taken at start-up, never in a step.
class DeviceBuffer {
 public:
  virtual ~DeviceBuffer() = default;
  virtual void* data() const = 0;
  virtual size_t bytes() const = 0;
};

// A linear layer's weights in the backend's own layout (maybe repacked, maybe just borrowed from the mapping).
class LinearWeight {
 public:
  virtual ~LinearWeight() = default;
  int64_t out_features = 0;  // sum over the parts
  int64_t in_features = 0;
  DType dtype = DType::kF32;
  uint64_t bytes_read = 0;   // bytes a matrix-vector product reads; for GB/s figures
  bool borrows_host = true;  // false: has its own copy, the host tensors may go once it is loaded
};

// Parts are stacked along the output dimension in this order: {q, k, v} or {gate, up}, or one.
struct LinearPart {
  TensorView
      weight{};       // [out, in], any dtype that is float-like, host memory, valid as long as the weight borrows_host
  TensorView bias{};  // [out], any float-like dtype; may be null
};
struct LinearWeightDesc {
  std::string name{};  // for messages
  std::vector<LinearPart> parts{};
};

// What a linear layer takes of the device's memory.
struct LinearMemory {
  uint64_t own = 0;     // weights, scales and biases as the backend lays them out
  uint64_t shared = 0;  // buffers that layers use one after the other: the largest counts, once
};

// Rows that are looked up, never multiplied: the embedding table. [rows, width]
class RowTable {
 public:
  virtual ~RowTable() = default;
  int64_t rows = 0;
  int64_t width = 0;
  bool borrows_host = true;  // as of LinearWeight
};

// Small constant vectors: norm scales, rope tables. f32, device memory.
using ConstantVector = std::unique_ptr<DeviceBuffer>;

// The key-value cache of all layers. Pages are numbered from 0; a page holds page_tokens positions of every layer.
struct KvLayout {
  int64_t layers = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t page_tokens = 16;
  // f32, f16, bf16; or fp8: the bf16 values of a head's keys (or values) of one position in e4m3, with one power of two
  // 2^e for all of them, the smallest with which the largest is at most 448, from 2^-30 on. value = e4m3 * 2^e, rounded
  // to nearest even. A head with an infinity or a NaN becomes NaN.
  DType dtype = DType::kF32;

  // Of one head's keys, or values, of one position; fp8 has a byte for the power of two beside.
  int64_t head_bytes() const { return dtype_bytes(dtype, head_dim) + (dtype == DType::kE4M3 ? 1 : 0); }
  uint64_t page_bytes() const { return static_cast<uint64_t>(2 * layers * page_tokens * kv_heads * head_bytes()); }
};
class KvCache {  // layout inside is the backend's business
 public:
  virtual ~KvCache() = default;
  KvLayout layout;
  int64_t pages = 0;
};

enum class OpKind : uint8_t { kLinear, kEmbed, kAttention, kKvCache };
struct OpQuery {
  OpKind kind = OpKind::kLinear;
  DType dtype = DType::kF32;  // of weights, table or cache
  int64_t head_dim = 0;       // kAttention
  int64_t in_features = 0;    // kLinear
};

// out[t] = table[tokens[t]]
struct EmbedArgs {
  const RowTable* table = nullptr;
  std::span<const int32_t> tokens{};  // [T] host ids: those of the StepBatch, drawn_in_row included
  TensorView out{};                   // [T, width] activation dtype
};

// residual += delta (when delta is given); out = residual / sqrt(mean(residual^2) + eps) * scale
struct RmsNormArgs {
  TensorView residual{};                // [T, width] activation dtype, changed when delta is given
  TensorView delta{};                   // [T, width] or null
  const DeviceBuffer* scale = nullptr;  // [width] f32
  float eps = 1e-6F;
  TensorView out{};  // [T, width]
  // delta and out are read by nobody but this operation and the next one, which is linear: a backend that computes them
  // as part of the linears on both sides need not write them.
  bool is_transient = false;
};

// out = epilogue(x W^T + bias)
struct LinearArgs {
  enum class Epilogue : uint8_t {
    kNone,    // out [T, out_features]
    kSwiGlu,  // two equal parts {gate, up}: out [T, out_features / 2] = silu(gate) * up
  };
  TensorView x{};  // [T, in_features] activation dtype
  const LinearWeight* weight = nullptr;
  Epilogue epilogue = Epilogue::kNone;
  TensorView out{};  // activation dtype, or f32 for logits
};

// For each token: optional RMS norm of every head of q and k, rotation of q and k, k and v into the cache, q in place.
// attention() of the same qkv may follow in the step and do both at once: after it the content of qkv is unspecified.
struct RopeKvArgs {
  TensorView qkv{};  // [T, (heads + 2 kv_heads) * head_dim]: q | k | v; the q part is overwritten with the rotated q
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  const DeviceBuffer* q_norm = nullptr;  // [head_dim] f32, or null
  const DeviceBuffer* k_norm = nullptr;
  float norm_eps = 1e-6F;
  const DeviceBuffer* inv_freq = nullptr;  // [head_dim / 2] f32: angle = position * inv_freq
  float rope_scale = 1.0F;                 // multiplies cos and sin (yarn's attention factor)
  bool interleaved = false;                // see RopeSpec
  const StepBatch* step = nullptr;         // positions, slots
  KvCache* cache = nullptr;
  int64_t layer = 0;
};

// Causal attention of each sequence's new tokens over its pages. Softmax in f32, scale 1/sqrt(head_dim).
struct AttentionArgs {
  TensorView qkv{};  // as RopeKv left it; the q part is read; unspecified afterwards
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  float scale = 1.0F;
  const StepBatch* step = nullptr;
  const KvCache* cache = nullptr;
  int64_t layer = 0;
  TensorView out{};  // [T, heads * head_dim]
};

// out[i] = in[rows[i]]
struct GatherRowsArgs {
  TensorView in{};                  // [T, width]
  std::span<const int32_t> rows{};  // [R] host
  TensorView out{};                 // [R, width]
};

struct SampleArgs {
  TensorView logits{};                     // [R, vocab] f32
  std::span<const SampleParams> params{};  // [R]
  std::span<SampleResult> results{};       // [R] host, filled when end_step returns
};

// Moves cached positions inside the cache (copy on write of a partly filled page): tokens [0, count) of page `from` to
// `to`.
struct CopyPageArgs {
  KvCache* cache = nullptr;
  int32_t from = 0;
  int32_t to = 0;
  int32_t count = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual DeviceInfo info() const = 0;
  virtual DType activation_dtype() const = 0;
  // Ok, or why not (kUnsupported: "attention with head_dim 96 is not supported by the cpu backend").
  virtual Status supports(const OpQuery& query) const = 0;

  // Memory that load_linear will take, told before anything is loaded: shapes and dtypes count, the weights are not
  // read. nullopt: it borrows host memory or keeps weights as they are stored.
  virtual std::optional<LinearMemory> plan_linear(const LinearWeightDesc&) const { return std::nullopt; }

  // Loading. Errors: kFailedPrecondition when memory is short, kUnsupported.
  virtual Result<std::unique_ptr<DeviceBuffer>> allocate(size_t bytes) = 0;
  virtual Result<std::unique_ptr<LinearWeight>> load_linear(const LinearWeightDesc& desc) = 0;
  virtual Result<std::unique_ptr<RowTable>> load_row_table(const TensorView& table) = 0;  // [rows, width] host
  virtual Result<ConstantVector> load_vector(std::span<const float> values) = 0;
  virtual Result<std::unique_ptr<KvCache>> make_kv_cache(const KvLayout& layout, int64_t pages) = 0;

  // A step. begin_step's batch stays valid until its end; end_step returns when all results are there.
  virtual void begin_step(const StepBatch& step) = 0;
  virtual void embed(const EmbedArgs& args) = 0;
  virtual void rms_norm(const RmsNormArgs& args) = 0;
  virtual void linear(const LinearArgs& args) = 0;
  virtual void rope_kv(const RopeKvArgs& args) = 0;
  virtual void attention(const AttentionArgs& args) = 0;
  virtual void gather_rows(const GatherRowsArgs& args) = 0;
  virtual void sample(const SampleArgs& args) = 0;
  virtual Status end_step() = 0;  // a device error surfaces here

  // The same end in two halves: submit_step returns when the step will run, wait_step when the results of the oldest
  // step submitted are there. Where runs_ahead(), one more step may be begun and submitted while one is under way
  // (unless a row of that one needs the host: draws_unaided), and feed on its tokens: drawn_in_row. Steps run one after
  // the other in the order in which they were submitted. Both halves report a device error.
  virtual bool runs_ahead() const { return false; }
  virtual Status submit_step() { return end_step(); }
  virtual Status wait_step() { return {}; }

  // Outside a step.
  virtual void copy_page(const CopyPageArgs& args) = 0;
  // Device memory to host; for tests and golden logits. `out` has the view's bytes.
  virtual Status read_back(const TensorView& view, std::span<std::byte> out) = 0;
};

// The naive oracle: fp32 activations, one loop nest per operation. compute/reference/.
std::unique_ptr<Backend> make_reference_backend();

}  // namespace cove

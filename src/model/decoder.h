#pragma once
// How a decoder-only transformer computes: grouped-query attention and a gated FFN, layer by layer as its LayerSpec
// says. Emits the operations of compute/backend.h and knows no device. Made once by the engine; one thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "compute/backend.h"
#include "model/weights.h"
#include "spec/model_spec.h"

namespace cove::model {

struct DecoderLimits {
  int64_t batch_tokens_max = 512;  // tokens of one forward
  int64_t logit_rows_max = 64;     // rows whose logits one forward gives
};

class Decoder {
 public:
  // Asks the backend for every operation first, then loads weights and takes the workspace. Errors: kUnsupported (which
  // operation), kDataCorrupt (missing tensor or wrong shape, named), kFailedPrecondition (memory).
  static Result<std::unique_ptr<Decoder>> load(const ModelSpec& spec, const TensorLookup& tensors, Backend& backend,
                                               const DecoderLimits& limits, const TensorRelease& release = {});

  // Bytes of activations that load() will take; for the memory plan, before anything is loaded.
  static uint64_t workspace_bytes(const ModelSpec& spec, DType activation, const DecoderLimits& limits);
  static KvLayout kv_layout(const ModelSpec& spec, int64_t page_tokens, DType dtype);

  // One step between the backend's begin_step(step) and end_step(). Returns logits [step.logit_count(), vocab] f32 in
  // device memory, valid until the next forward.
  TensorView forward(const StepBatch& step, KvCache& cache);

  const ModelSpec& spec() const { return spec_; }
  // Bytes of weights that one decode step reads, and the parameters they hold.
  uint64_t bytes_read_per_step() const { return weights_.bytes_read; }

 private:
  Decoder(ModelSpec spec, Backend& backend, const DecoderLimits& limits, DecoderWeights weights);
  Status take_workspace();

  TensorView normed(TensorView residual, TensorView delta, const DeviceBuffer& scale, TensorView out);
  TensorView attend(const StepBatch& step, KvCache& cache, int64_t layer, TensorView x);
  TensorView feed_forward(int64_t layer, TensorView x);
  bool keep_logit_rows(const StepBatch& step, TensorView& residual, TensorView& attended);

  struct Workspace {
    std::unique_ptr<DeviceBuffer> memory;
    // [batch_tokens_max, ...] in the activation dtype
    TensorView residual, normed, qkv, attended, delta, gated;
    // [logit_rows_max, ...]: the rows that go on to the logits
    TensorView residual_kept, attended_kept;
    TensorView logits;  // [logit_rows_max, vocab] f32
  };

  ModelSpec spec_;
  Backend* backend_;
  DecoderLimits limits_;
  DecoderWeights weights_;
  Workspace workspace_;
};

}  // namespace cove::model

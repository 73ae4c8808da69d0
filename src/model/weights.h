#pragma once
// A decoder's weights in a backend's layout, read by canonical name (spec/model_spec.h) and checked against the spec's
// shapes.

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "compute/backend.h"
#include "spec/model_spec.h"

namespace cove::model {

// Canonical name -> host tensor; a null view when the model has no such tensor. The memory stays valid as long as the
// weights.
using TensorLookup = std::function<TensorView(std::string_view canonical_name)>;

// Told a canonical name once the backend holds its own copy of that tensor; may be empty.
using TensorRelease = std::function<void(std::string_view canonical_name)>;

struct LayerWeights {
  ConstantVector attention_norm;  // [hidden]
  std::unique_ptr<LinearWeight> qkv;
  ConstantVector q_norm;  // [head_dim], or null
  ConstantVector k_norm;
  std::shared_ptr<const DeviceBuffer> inv_freq;  // [head_dim / 2]; layers with equal ones share it
  float rope_scale = 1.0F;
  std::unique_ptr<LinearWeight> output;
  ConstantVector ffn_norm;  // [hidden]
  std::unique_ptr<LinearWeight> gate_up;
  std::unique_ptr<LinearWeight> down;
};

struct DecoderWeights {
  std::unique_ptr<RowTable> embedding;  // [vocab, hidden]
  std::vector<LayerWeights> layers;
  ConstantVector final_norm;  // [hidden]
  std::unique_ptr<LinearWeight> lm_head;
  uint64_t bytes_read = 0;  // by one decode step
};

// Whether the backend can run this model with these tensors' formats; asked before anything is loaded.
Status check_supported(const ModelSpec& spec, const TensorLookup& tensors, const Backend& backend);

// Device memory that load_weights will take but for norms (some kilobytes a layer); nullopt when the backend keeps the
// weights as they are stored. Errors: of the files, as load_weights.
Result<std::optional<uint64_t>> plan_weights(const ModelSpec& spec, const TensorLookup& tensors,
                                             const Backend& backend);

Result<DecoderWeights> load_weights(const ModelSpec& spec, const TensorLookup& tensors, Backend& backend,
                                    const TensorRelease& release = {});

}  // namespace cove::model

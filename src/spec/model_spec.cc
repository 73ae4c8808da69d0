#include "spec/model_spec.h"

#include "spec/expected_tensors.h"

namespace cove {

int64_t active_parameters(const ModelSpec& spec) {
  int64_t parameters = 0;
  for (const ExpectedTensor& tensor : expected_tensors(spec)) {
    const bool counted = tensor.name != "embed.weight" || spec.tied_embeddings;  // tied: it is the output layer
    if (counted) parameters += tensor.shape.elements();
  }
  return parameters;
}

int64_t total_parameters(const ModelSpec& spec) {
  int64_t parameters = 0;
  for (const ExpectedTensor& tensor : expected_tensors(spec)) parameters += tensor.shape.elements();
  return parameters;
}

int64_t kv_elements_per_token(const ModelSpec& spec) {
  int64_t elements = 0;
  for (const LayerSpec& layer : spec.layers) elements += 2 * layer.kv_heads * layer.head_dim;
  return elements;
}

}  // namespace cove

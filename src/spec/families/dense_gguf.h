#pragma once
// What the dense families share in GGUF metadata. Internal to families/.

#include <string_view>

#include "base/result.h"
#include "spec/model_spec.h"
#include "tensor/io/gguf.h"

namespace cove {

// Sizes from "<architecture>.*" keys, the vocabulary from the embedding's shape, biases and tied embeddings from which
// tensors there are. All layers alike.
Result<ModelSpec> read_dense_gguf(std::string_view architecture, const GgufMetadata& metadata,
                                  const WeightSource& weights);

}  // namespace cove

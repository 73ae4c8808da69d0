#pragma once
// Which tensors a model must have, under canonical names (model_spec.h), and what they are called in each container.
// Loading and verifying compare files with this before any memory is committed.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "spec/model_spec.h"
#include "tensor/io/weight_source.h"

namespace cove {

struct ExpectedTensor {
  std::string name;  // canonical
  Shape shape;
};

// In the order of use: embedding, layers, final norm, output.
std::vector<ExpectedTensor> expected_tensors(const ModelSpec& spec);

enum class Container : uint8_t { kHuggingFace, kGguf };

// "layers.3.q.weight" -> "model.layers.3.self_attn.q_proj.weight" or "blk.3.attn_q.weight". The name must be canonical.
std::string container_name(Container container, std::string_view canonical_name);

using NamesByCanonical = std::map<std::string, std::string, std::less<>>;

// The container's name of every expected tensor. Errors: kDataCorrupt for a missing tensor or a wrong shape (both
// named), kUnsupported for a type that cannot be decoded. A vector may be stored as [1, n].
Result<NamesByCanonical> match_tensors(const ModelSpec& spec, const WeightSource& source, Container container);

}  // namespace cove

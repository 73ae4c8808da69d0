#include "export/read_weights.h"

#include "tensor/decode.h"
#include "tensor/io/safetensors.h"

namespace cove::trainer {
namespace {

Status read_tensor(const WeightSource& source, const NamedTensor& wanted) {
  const TensorInfo* found = source.find(wanted.name);
  if (found == nullptr) return make_error(ErrorCode::kNotFound, "there is no tensor '" + wanted.name + "'");
  Shape shape;
  for (const int64_t dim : wanted.value.sizes()) shape.dims[static_cast<size_t>(shape.rank++)] = dim;
  if (!(found->shape == shape)) {
    return invalid_argument("tensor '" + wanted.name + "' has shape " + to_string(found->shape) +
                            ", but the shape options say " + to_string(shape));
  }
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  TRY(decode_to_f32(view_of(source, *found), values));
  const torch::NoGradGuard guard;
  torch::Tensor target = wanted.value;
  target.copy_(torch::from_blob(values.data(), target.sizes(), torch::kFloat));
  return {};
}

}  // namespace

Status read_weights(const std::filesystem::path& path, Student& student) {
  TRY_ASSIGN(const auto source, open_safetensors(path));
  for (const NamedTensor& tensor : student.named_views()) {
    const Status done = read_tensor(*source, tensor);
    if (!done) return with_context(done.error(), path.string());
  }
  return {};
}

}  // namespace cove::trainer

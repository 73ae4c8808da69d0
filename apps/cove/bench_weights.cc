#include "bench_weights.h"

#include <algorithm>
#include <cstring>
#include <random>

#include <fmt/format.h>

#include "base/machine.h"
#include "doctor_fit.h"
#include "tensor/formats/codec.h"

namespace cove::app {
namespace {

ModelSpec spec_of(const ModelShape& shape) {
  ModelSpec spec;
  spec.family = "qwen2";
  spec.name = shape.name;
  spec.hidden = shape.hidden;
  spec.vocab = shape.vocab;
  spec.context_max = 131072;
  spec.tied_embeddings = shape.tied;
  LayerSpec layer;
  layer.heads = shape.heads;
  layer.kv_heads = shape.kv_heads;
  layer.head_dim = shape.head_dim;
  layer.ffn_dim = shape.ffn;
  spec.layers.assign(static_cast<size_t>(shape.layers), layer);
  return spec;
}

// Every tensor of a spec, made when it is first asked for. A block of random values is encoded once and repeated: what
// is computed does not depend on the values, and encoding billions of them would take minutes.
class RandomTensors {
 public:
  RandomTensors(ModelSpec spec, DType format) : spec_(std::move(spec)), format_(format) {
    constexpr size_t kValues = size_t{1} << 16;
    std::mt19937 generator(1);
    std::normal_distribution<float> normal(0.0F, 0.02F);
    std::vector<float> values(kValues);
    for (float& value : values) value = normal(generator);
    pattern_.resize(static_cast<size_t>(dtype_bytes(format, kValues)));
    (void)encode(format, values, pattern_);  // finite by construction
  }

  TensorView find(std::string_view name) {
    const std::optional<Shape> shape = shape_of(name);
    if (!shape) return {};
    const DType dtype = shape->rank == 1 ? DType::kF32 : format_;
    std::vector<std::byte>& bytes = tensors_[std::string(name)];
    const auto wanted = static_cast<size_t>(dtype_bytes(dtype, shape->elements()));
    if (bytes.empty() && shape->rank > 1) bytes = take_released(wanted);
    if (bytes.empty()) {
      bytes.resize(wanted);
      if (dtype == DType::kF32 && shape->rank == 1) {
        std::fill_n(reinterpret_cast<float*>(bytes.data()), shape->elements(), 1.0F);
      } else {
        for (size_t at = 0; at < bytes.size(); at += pattern_.size()) {
          std::memcpy(bytes.data() + at, pattern_.data(), std::min(pattern_.size(), bytes.size() - at));
        }
      }
    }
    return {.data = bytes.data(), .dtype = dtype, .shape = *shape};
  }

  // The backend has a copy of its own.
  void release(std::string_view name) {
    const auto found = tensors_.find(std::string(name));
    if (found == tensors_.end()) return;
    released_.push_back(std::move(found->second));
    tensors_.erase(found);
  }

 private:
  // All matrices begin alike, so that the memory of one serves the next as it is. Empty: none is large enough.
  std::vector<std::byte> take_released(size_t wanted) {
    const auto found = std::find_if(released_.begin(), released_.end(),
                                    [&](const std::vector<std::byte>& bytes) { return bytes.size() >= wanted; });
    if (found == released_.end()) return {};
    std::vector<std::byte> bytes = std::move(*found);
    released_.erase(found);
    return bytes;
  }

  std::optional<Shape> shape_of(std::string_view name) const {
    const LayerSpec& layer = spec_.layers.front();
    const int64_t q = layer.heads * layer.head_dim;
    const int64_t kv = layer.kv_heads * layer.head_dim;
    const std::string_view last = name.starts_with("layers.") ? name.substr(name.find('.', 7) + 1) : name;
    if (last == "embed.weight") return Shape{spec_.vocab, spec_.hidden};
    if (last == "lm_head.weight" && !spec_.tied_embeddings) return Shape{spec_.vocab, spec_.hidden};
    if (last == "final_norm.weight" || last == "attn_norm.weight" || last == "ffn_norm.weight")
      return Shape{spec_.hidden};
    if (last == "q.weight") return Shape{q, spec_.hidden};
    if (last == "k.weight" || last == "v.weight") return Shape{kv, spec_.hidden};
    if (last == "o.weight") return Shape{spec_.hidden, q};
    if (last == "gate.weight" || last == "up.weight") return Shape{layer.ffn_dim, spec_.hidden};
    if (last == "down.weight") return Shape{spec_.hidden, layer.ffn_dim};
    return std::nullopt;
  }

  ModelSpec spec_;
  DType format_;
  std::vector<std::byte> pattern_;
  std::map<std::string, std::vector<std::byte>> tensors_;
  std::vector<std::vector<std::byte>> released_;
};

std::string shape_names() {
  std::string names;
  for (const ModelShape& shape : known_models()) {
    if (shape.served) names += (names.empty() ? "" : ", ") + shape.name;
  }
  return names;
}

}  // namespace

Result<BenchWeights> open_bench_weights(const std::filesystem::path& path, const std::optional<SealKey>& key) {
  TRY_ASSIGN(engine::ModelFiles opened,
             engine::open_model_files(path, {.tokenizer = engine::OpenModelOptions::TokenizerUse::kNone, .key = key}));
  auto files = std::make_shared<engine::ModelFiles>(std::move(opened));
  return BenchWeights{.spec = files->spec,
                      .name = std::filesystem::weakly_canonical(path).filename().string(),
                      .format = files->weight_format,
                      .bytes = files->weight_bytes,
                      .tensors = [files](std::string_view name) { return files->find(name); },
                      .release = [files](std::string_view name) { files->release(name); },
                      .keep = files};
}

Result<BenchWeights> random_bench_weights(std::string_view name, std::string_view format, HostUse host_use) {
  const std::vector<ModelShape>& models = known_models();
  const auto shape =
      std::find_if(models.begin(), models.end(), [&](const ModelShape& s) { return s.served && s.name == name; });
  if (shape == models.end()) {
    return make_error(ErrorCode::kNotFound, fmt::format("there is no shape '{}'; there are: {}", name, shape_names()));
  }
  const std::optional<DType> dtype = dtype_from_name(format);
  if (!dtype || !dtype_info(*dtype).is_float_like) {
    return invalid_argument(fmt::format("'{}' is no weight format; use f32, f16, bf16, q8_0 or q4_0", format));
  }
  // Block formats are repacked, so for a moment a layer exists twice; one and a half times is on the safe side.
  const double needed = static_cast<double>(shape->parameters()) * static_cast<double>(dtype_info(*dtype).block_bytes) /
                        static_cast<double>(dtype_info(*dtype).block_elements) *
                        (dtype_info(*dtype).block_elements > 1 ? 2.1 : 1.1);
  const int64_t available = machine::probe_memory().available_bytes;
  if (host_use == HostUse::kAllTensors && needed > static_cast<double>(available)) {
    return make_error(
        ErrorCode::kFailedPrecondition,
        fmt::format(
            "random weights of {} in {} take {:.1f} GB and {:.1f} GB are available; choose a smaller shape or format",
            name, format, needed / 1e9, static_cast<double>(available) / 1e9));
  }
  ModelSpec spec = spec_of(*shape);
  auto tensors = std::make_shared<RandomTensors>(spec, *dtype);
  return BenchWeights{.spec = std::move(spec),
                      .name = fmt::format("{} (random weights)", name),
                      .format = std::string(format),
                      .bytes = 0,
                      .tensors = [tensors](std::string_view tensor) { return tensors->find(tensor); },
                      .release = [tensors](std::string_view tensor) { tensors->release(tensor); },
                      .keep = tensors};
}

}  // namespace cove::app

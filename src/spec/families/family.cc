#include "spec/families/family.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <boost/json/array.hpp>

#include "spec/validate.h"

namespace cove {
namespace {

constexpr std::array<const Family*, 3> kFamilies = {&kLlama, &kQwen2, &kQwen3};

Result<const Family*> find_family(std::string_view name, std::string_view where) {
  const auto found =
      std::find_if(kFamilies.begin(), kFamilies.end(), [&](const Family* family) { return family->name == name; });
  if (found != kFamilies.end()) return *found;
  constexpr size_t kShownMax = 60;
  return make_error(ErrorCode::kUnsupported, fmt::format("{} is '{}', a family that Cove does not run; it runs {}",
                                                         where, name.substr(0, kShownMax), supported_families()));
}

// A classifier or reward model of a known family has no output layer over the vocabulary.
Status check_architecture(const ConfigReader& config) {
  const json::value* list = config.find("architectures");
  if (list == nullptr || !list->is_array() || list->get_array().empty()) return {};
  const json::value& first = list->get_array().front();
  if (!first.is_string()) return config.corrupt("architectures", "holds something else than names");
  const std::string_view name = first.get_string();
  if (name.ends_with("ForCausalLM") || name.ends_with("Model")) return {};
  return config.unsupported("architectures", fmt::format("is '{}'; Cove runs ...ForCausalLM models", name));
}

}  // namespace

std::string supported_families() {
  std::string text;
  for (const Family* family : kFamilies) text += fmt::format("{}{}", text.empty() ? "" : ", ", family->name);
  return text;
}

Result<ModelSpec> spec_from_config(const json::value& root) {
  const ConfigReader config(root, "config.json");
  if (!root.is_object()) return data_corrupt("config.json: is not an object");
  TRY_ASSIGN(const std::optional<std::string> type, config.string("model_type"));
  if (!type) return config.corrupt("model_type", "is missing");
  TRY_ASSIGN(const Family* family, find_family(*type, "config.json: model_type"));
  TRY(check_architecture(config));
  if (config.find("quantization_config") != nullptr) {
    return config.unsupported("quantization_config",
                              "says the weights are quantised, which Cove cannot read in safetensors yet; take the "
                              "unquantised model, or a GGUF file in Q8_0 or Q4_0");
  }
  TRY_ASSIGN(ModelSpec spec, family->from_config(config));
  const Status valid = validate_spec(spec);
  if (!valid) return with_context(valid.error(), "config.json");
  return spec;
}

Result<ModelSpec> spec_from_gguf(const GgufMetadata& metadata, const WeightSource& weights) {
  const std::optional<std::string_view> architecture = metadata.string("general.architecture");
  if (!architecture) return data_corrupt("metadata 'general.architecture' is missing");
  TRY_ASSIGN(const Family* family, find_family(*architecture, "metadata 'general.architecture'"));
  TRY_ASSIGN(ModelSpec spec, family->from_gguf(metadata, weights));
  TRY(validate_spec(spec));
  return spec;
}

}  // namespace cove

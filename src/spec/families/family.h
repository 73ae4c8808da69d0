#pragma once
// The model families Cove runs. A family is two parsers: from Hugging Face's config.json and from GGUF metadata to a
// ModelSpec. It computes nothing; what they share is in dense_config.h and dense_gguf.h.

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "spec/config_reader.h"
#include "spec/model_spec.h"
#include "tensor/io/gguf.h"

namespace cove {

struct Family {
  std::string_view name;  // config.json's model_type and GGUF's general.architecture
  Result<ModelSpec> (*from_config)(const ConfigReader& config);
  Result<ModelSpec> (*from_gguf)(const GgufMetadata& metadata, const WeightSource& weights);
};

extern const Family kQwen2;
extern const Family kLlama;
extern const Family kQwen3;

// `config` is the parsed config.json. Errors: kUnsupported naming the family or feature, kDataCorrupt naming the key.
Result<ModelSpec> spec_from_config(const json::value& config);
Result<ModelSpec> spec_from_gguf(const GgufMetadata& metadata, const WeightSource& weights);

std::string supported_families();  // "llama, qwen2, qwen3"

}  // namespace cove

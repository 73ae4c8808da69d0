#pragma once
// The request fields that /v1/chat/completions and /v1/completions share: model, lengths, sampling, stop, streaming.
// Ranges are checked here; what depends on the model (vocabulary, context) is checked in generation/.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/dto/field_reader.h"

namespace cove::server {

inline constexpr int64_t kChoicesMax = 16;
inline constexpr int64_t kStopStringsMax = 16;
inline constexpr int64_t kTokensMax = 100'000'000;

// Unset values take the model's defaults.
struct SamplingFields {
  std::optional<double> temperature;         // [0, 2]
  std::optional<double> top_p;               // (0, 1]
  std::optional<int64_t> top_k;              // 0 or -1 = off
  std::optional<double> min_p;               // [0, 1]
  std::optional<double> presence_penalty;    // [-2, 2]
  std::optional<double> frequency_penalty;   // [-2, 2]
  std::optional<double> repetition_penalty;  // (0, 10]
  std::optional<uint64_t> seed;              // a negative seed counts as its two's complement
  std::vector<std::pair<int32_t, float>> logit_bias;
};

struct GenerationFields {
  std::string model;  // empty = whatever is served
  bool stream = false;
  bool include_usage = false;
  int32_t choices = 1;  // n
  std::optional<int32_t> tokens_max;
  int32_t tokens_min = 0;
  SamplingFields sampling;
  std::vector<std::string> stop;
  std::vector<int32_t> stop_tokens;
  bool ignore_eos = false;
};

// Errors are left in the reader.
GenerationFields read_generation_fields(FieldReader& reader);

// Refuses fields that would change the answer and that this version cannot honour; ignoring them would be worse.
// `names` are refused when present and neither false, null, empty text, empty list nor empty object.
void refuse_fields(FieldReader& reader,
                   std::initializer_list<std::pair<std::string_view, std::string_view>> names_and_reasons);

}  // namespace cove::server

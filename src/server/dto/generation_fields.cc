#include "server/dto/generation_fields.h"

#include <charconv>

#include <fmt/format.h>

namespace cove::server {
namespace {

constexpr size_t kStopBytesMax = 4096;
constexpr size_t kStopTokensMax = 128;
constexpr size_t kLogitBiasMax = 4096;

void read_seed(FieldReader& reader, SamplingFields& sampling) {
  const json::value* value = reader.find("seed");
  if (value == nullptr) return;
  if (const auto* large = value->if_uint64()) {
    sampling.seed = *large;
  } else if (const auto seed = reader.integer("seed", INT64_MIN, INT64_MAX)) {
    sampling.seed = static_cast<uint64_t>(*seed);
  }
}

void read_logit_bias(FieldReader& reader, SamplingFields& sampling) {
  const json::object* biases = reader.object("logit_bias");
  if (biases == nullptr) return;
  if (biases->size() > kLogitBiasMax) {
    reader.fail(ApiErrorKind::kInvalidValue, "logit_bias",
                fmt::format("'logit_bias' holds more than {} tokens", kLogitBiasMax));
  }
  FieldReader values(*biases, "logit_bias.");
  for (const auto& member : *biases) {
    const std::string_view key(member.key().data(), member.key().size());
    int32_t token = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (error != std::errc() || end != key.data() + key.size() || token < 0) {
      reader.fail(ApiErrorKind::kInvalidValue, "logit_bias",
                  fmt::format("'logit_bias' maps token ids to numbers, and '{}' is no token id", key));
      return;
    }
    if (const auto bias = values.number(key, {-100, 100}))
      sampling.logit_bias.emplace_back(token, static_cast<float>(*bias));
  }
  if (values.error()) {
    reader.fail({values.error()->kind, values.error()->message, "logit_bias"});
  }
}

SamplingFields read_sampling(FieldReader& reader) {
  SamplingFields sampling;
  sampling.temperature = reader.number("temperature", {0, 2});
  sampling.top_p = reader.number("top_p", {0, 1, NumberRange::Bounds::kOpenBelow});
  sampling.top_k = reader.integer("top_k", -1, INT32_MAX);
  sampling.min_p = reader.number("min_p", {0, 1});
  sampling.presence_penalty = reader.number("presence_penalty", {-2, 2});
  sampling.frequency_penalty = reader.number("frequency_penalty", {-2, 2});
  sampling.repetition_penalty = reader.number("repetition_penalty", {0, 10, NumberRange::Bounds::kOpenBelow});
  read_seed(reader, sampling);
  read_logit_bias(reader, sampling);
  return sampling;
}

void add_stop(FieldReader& reader, const json::value& value, std::vector<std::string>& out) {
  const json::string* text = value.if_string();
  if (text == nullptr) {
    reader.fail(ApiErrorKind::kInvalidType, "stop",
                fmt::format("'stop' must be a string or an array of strings, but holds {}", json_kind(value)));
  } else if (text->empty() || text->size() > kStopBytesMax) {
    reader.fail(ApiErrorKind::kInvalidValue, "stop",
                fmt::format("each 'stop' must be 1 to {} bytes long", kStopBytesMax));
  } else {
    out.emplace_back(*text);
  }
}

void read_stop(FieldReader& reader, GenerationFields& fields) {
  const json::value* value = reader.find("stop");
  if (value == nullptr) return;
  const json::array* list = value->if_array();
  if (list == nullptr) return add_stop(reader, *value, fields.stop);
  if (list->size() > static_cast<size_t>(kStopStringsMax)) {
    reader.fail(ApiErrorKind::kInvalidValue, "stop", fmt::format("'stop' holds at most {} strings", kStopStringsMax));
    return;
  }
  for (const json::value& item : *list) add_stop(reader, item, fields.stop);
}

void read_stop_tokens(FieldReader& reader, GenerationFields& fields) {
  const json::array* list = reader.array("stop_token_ids");
  if (list == nullptr) return;
  if (list->size() > kStopTokensMax) {
    reader.fail(ApiErrorKind::kInvalidValue, "stop_token_ids",
                fmt::format("'stop_token_ids' holds at most {} ids", kStopTokensMax));
    return;
  }
  for (const json::value& item : *list) {
    const auto* id = item.if_int64();
    if (id == nullptr || *id < 0 || *id > INT32_MAX) {
      reader.fail(ApiErrorKind::kInvalidValue, "stop_token_ids", "'stop_token_ids' must hold token ids");
      return;
    }
    fields.stop_tokens.push_back(static_cast<int32_t>(*id));
  }
}

void read_streaming(FieldReader& reader, GenerationFields& fields) {
  fields.stream = reader.boolean("stream").value_or(false);
  const json::object* options = reader.object("stream_options");
  if (options == nullptr) return;
  if (!fields.stream) {
    reader.fail(ApiErrorKind::kInvalidValue, "stream_options",
                "'stream_options' is only allowed together with 'stream': true");
    return;
  }
  FieldReader inner(*options, "stream_options.");
  fields.include_usage = inner.boolean("include_usage").value_or(false);
  if (inner.error()) reader.fail(*inner.error());
}

void read_lengths(FieldReader& reader, GenerationFields& fields) {
  const auto old_name = reader.integer("max_tokens", 1, kTokensMax);
  const auto new_name = reader.integer("max_completion_tokens", 1, kTokensMax);
  if (old_name) fields.tokens_max = static_cast<int32_t>(*old_name);
  if (new_name) fields.tokens_max = static_cast<int32_t>(*new_name);
  fields.tokens_min = static_cast<int32_t>(reader.integer("min_tokens", 0, kTokensMax).value_or(0));
  if (fields.tokens_max && fields.tokens_min > *fields.tokens_max) {
    reader.fail(ApiErrorKind::kInvalidValue, "min_tokens", "'min_tokens' is more than 'max_tokens'");
  }
}

bool is_off(const json::value& value) {
  if (const bool* flag = value.if_bool()) return !*flag;
  if (const auto* text = value.if_string()) return text->empty();
  if (const auto* list = value.if_array()) return list->empty();
  if (const auto* object = value.if_object()) return object->empty();
  return value.is_null();
}

}  // namespace

GenerationFields read_generation_fields(FieldReader& reader) {
  GenerationFields fields;
  fields.model = reader.string("model").value_or("");
  read_streaming(reader, fields);
  fields.choices = static_cast<int32_t>(reader.integer("n", 1, kChoicesMax).value_or(1));
  read_lengths(reader, fields);
  fields.sampling = read_sampling(reader);
  read_stop(reader, fields);
  read_stop_tokens(reader, fields);
  fields.ignore_eos = reader.boolean("ignore_eos").value_or(false);
  return fields;
}

void refuse_fields(FieldReader& reader,
                   std::initializer_list<std::pair<std::string_view, std::string_view>> names_and_reasons) {
  for (const auto& [name, reason] : names_and_reasons) {
    const json::value* value = reader.find(name);
    if (value != nullptr && !is_off(*value)) {
      reader.fail(ApiErrorKind::kUnsupportedParameter, name, fmt::format("'{}' is not supported: {}", name, reason));
    }
  }
}

}  // namespace cove::server

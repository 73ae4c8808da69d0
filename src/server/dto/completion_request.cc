#include "server/dto/completion_request.h"

#include <fmt/format.h>

namespace cove::server {
namespace {

constexpr std::string_view kShape =
    "'prompt' must be a string, an array of strings, an array of token ids, or an array of those";

std::optional<std::vector<int32_t>> token_ids(const json::array& list) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const json::value& item : list) {
    const auto* id = item.if_int64();
    if (id == nullptr || *id < 0 || *id > INT32_MAX) return std::nullopt;
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

void add_prompt(FieldReader& reader, const json::value& value, std::vector<Prompt>& out) {
  if (const json::string* text = value.if_string()) {
    out.emplace_back(std::string(*text));
    return;
  }
  const json::array* list = value.if_array();
  auto ids = list == nullptr ? std::nullopt : token_ids(*list);
  if (!ids) {
    reader.fail(ApiErrorKind::kInvalidType, "prompt", std::string(kShape));
  } else if (ids->empty()) {
    reader.fail(ApiErrorKind::kInvalidValue, "prompt", "'prompt' must not be empty");
  } else {
    out.emplace_back(std::move(*ids));
  }
}

void read_prompts(FieldReader& reader, std::vector<Prompt>& out) {
  const json::value* value = reader.find("prompt");
  if (value == nullptr) {
    reader.fail(ApiErrorKind::kMissingParameter, "prompt", "'prompt' is required");
    return;
  }
  const json::array* list = value->if_array();
  const bool one_prompt = list == nullptr || list->empty() || list->front().is_number();
  if (one_prompt) return add_prompt(reader, *value, out);
  if (list->size() > kPromptsMax) {
    reader.fail(ApiErrorKind::kInvalidValue, "prompt", fmt::format("'prompt' holds at most {} prompts", kPromptsMax));
    return;
  }
  for (const json::value& item : *list) add_prompt(reader, item, out);
}

void read_best_of(FieldReader& reader, const GenerationFields& fields) {
  const auto best_of = reader.integer("best_of", 1, kChoicesMax);
  if (best_of && *best_of != fields.choices) {
    reader.fail(ApiErrorKind::kUnsupportedParameter, "best_of",
                "'best_of' is not supported: every choice is returned, see 'n'");
  }
}

}  // namespace

ApiResult<CompletionRequest> parse_completion_request(std::string_view body) {
  auto object = parse_body(body);
  if (!object) return tl::make_unexpected(object.error());
  FieldReader reader(*object);
  CompletionRequest request;
  read_prompts(reader, request.prompts);
  request.fields = read_generation_fields(reader);
  read_best_of(reader, request.fields);
  request.logprobs = static_cast<int32_t>(reader.integer("logprobs", 0, 20).value_or(-1));
  request.constraint = read_constraint(reader);
  refuse_fields(reader, {{"echo", "the prompt is not repeated in the answer"},
                         {"suffix", "this model does not fill in the middle"},
                         {"use_beam_search", "only sampling is available"}});
  if (request.prompts.size() * static_cast<size_t>(request.fields.choices) > kPromptsMax) {
    reader.fail(ApiErrorKind::kInvalidValue, "n", fmt::format("prompts times 'n' may be at most {}", kPromptsMax));
  }
  if (reader.error()) return tl::make_unexpected(*reader.error());
  return request;
}

}  // namespace cove::server

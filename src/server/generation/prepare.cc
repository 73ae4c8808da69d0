#include "server/generation/prepare.h"

#include <random>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "server/generation/constraint.h"

namespace cove::server {
namespace {

constexpr int32_t kCompletionTokensDefault = 16;  // as OpenAI's /v1/completions

tl::unexpected<ApiError> refuse(ApiErrorKind kind, std::string param, std::string message) {
  return tl::make_unexpected(ApiError{kind, std::move(message), std::move(param)});
}

uint64_t random_seed() {
  static thread_local std::mt19937_64 generator{std::random_device{}()};
  return generator() >> 1;  // fits in a signed 64-bit number, so that every client can send it back
}

engine::SamplingOptions sampling_of(const SamplingFields& fields, const SamplingDefaults& defaults) {
  engine::SamplingOptions options;
  options.temperature = static_cast<float>(fields.temperature.value_or(defaults.temperature));
  options.top_p = static_cast<float>(fields.top_p.value_or(defaults.top_p));
  options.top_k = static_cast<int32_t>(std::max<int64_t>(fields.top_k.value_or(defaults.top_k), 0));
  options.min_p = static_cast<float>(fields.min_p.value_or(defaults.min_p));
  options.presence_penalty = static_cast<float>(fields.presence_penalty.value_or(0));
  options.frequency_penalty = static_cast<float>(fields.frequency_penalty.value_or(0));
  options.repetition_penalty = static_cast<float>(fields.repetition_penalty.value_or(defaults.repetition_penalty));
  options.logit_bias = fields.logit_bias;
  options.seed = fields.seed ? *fields.seed : random_seed();
  return options;
}

// The parts of an engine request that come from the shared fields.
ApiResult<engine::Request> request_of(const ServedModel& model, const GenerationFields& fields) {
  if (!model.answers_to(fields.model)) {
    return refuse(ApiErrorKind::kModelNotFound, "model",
                  fmt::format("the model '{}' does not exist here; this server serves '{}'", fields.model, model.name));
  }
  const int64_t vocab = model.engine->model().vocab;
  for (const auto& [token, bias] : fields.sampling.logit_bias) {
    if (token >= vocab) {
      return refuse(ApiErrorKind::kInvalidValue, "logit_bias",
                    fmt::format("'logit_bias' names token {}, but the vocabulary ends at {}", token, vocab - 1));
    }
  }
  for (const int32_t token : fields.stop_tokens) {
    if (token >= vocab)
      return refuse(ApiErrorKind::kInvalidValue, "stop_token_ids", fmt::format("token {} does not exist", token));
  }
  engine::Request request;
  request.tokens_max = fields.tokens_max.value_or(0);
  request.tokens_min = fields.tokens_min;
  request.sampling = sampling_of(fields.sampling, model.defaults);
  request.stop = fields.stop;
  request.stop_tokens = fields.stop_tokens;
  request.ignore_eos = fields.ignore_eos;
  return request;
}

std::optional<ApiError> check_length(const ServedModel& model, size_t prompt_tokens, int32_t tokens_max,
                                     std::string_view param) {
  const int64_t context = model.engine->model().context_max;
  const auto prompt = static_cast<int64_t>(prompt_tokens);
  if (prompt == 0)
    return ApiError{ApiErrorKind::kInvalidValue, fmt::format("'{}' gives an empty prompt", param), std::string(param)};
  if (prompt >= context) {
    return ApiError{
        ApiErrorKind::kContextLengthExceeded,
        fmt::format("this model's maximum context length is {} tokens, but the prompt alone has {}; shorten it",
                    context, prompt),
        std::string(param)};
  }
  if (prompt + tokens_max > context) {
    return ApiError{
        ApiErrorKind::kContextLengthExceeded,
        fmt::format(
            "this model's maximum context length is {} tokens, but {} were asked for ({} in the prompt, {} in the "
            "answer); shorten the prompt or lower max_tokens",
            context, prompt + tokens_max, prompt, tokens_max),
        std::string(param)};
  }
  return std::nullopt;
}

// Tokenizing megabytes only to refuse them would hold up everybody: what cannot fit even in the longest tokens is
// refused by its size. Normalisation may shorten a text, but not to a quarter.
std::optional<ApiError> check_size(const ServedModel& model, size_t bytes, std::string_view param) {
  const auto context = static_cast<size_t>(model.engine->model().context_max);
  const size_t per_token = 4 * std::max<size_t>(model.token_bytes_max, 1);
  if (bytes / per_token <= context) return std::nullopt;
  return ApiError{ApiErrorKind::kContextLengthExceeded,
                  fmt::format("this model's maximum context length is {} tokens, but the prompt has {} bytes, at least "
                              "{} tokens; shorten it",
                              context, bytes, bytes / per_token),
                  std::string(param)};
}

void add_choices(const engine::Request& request, int32_t choices, std::vector<engine::Request>& out) {
  for (int32_t i = 0; i < choices; ++i) {
    out.push_back(request);
    out.back().sampling.seed += static_cast<uint64_t>(i);
  }
}

// Templates that serialise arguments themselves get objects.
void fit_tool_arguments(json::array& messages, ToolArguments wanted) {
  for (json::value& message : messages) {
    json::value* calls = message.as_object().if_contains("tool_calls");
    if (calls == nullptr) continue;
    for (json::value& call : calls->as_array()) {
      json::value& arguments = call.as_object()["function"].as_object()["arguments"];
      if (wanted == ToolArguments::kText && !arguments.is_string()) {
        arguments = json::serialize(arguments);
      } else if (wanted == ToolArguments::kObject && arguments.is_string()) {
        const json::string& text = arguments.get_string();
        if (auto parsed = parse_json({text.data(), text.size()})) arguments = std::move(*parsed);
      }
    }
  }
}

json::object template_variables(const ServedModel& model, const ChatRequest& request) {
  json::object variables;
  if (request.thinking.enabled) {
    variables["thinking"] = *request.thinking.enabled;
    variables["enable_thinking"] = *request.thinking.enabled;
  }
  if (!request.reasoning_effort.empty()) variables["reasoning_effort"] = request.reasoning_effort;
  for (const auto& member : request.template_variables) variables[member.key()] = member.value();
  json::array messages = request.messages;
  fit_tool_arguments(messages, model.tool_arguments);
  variables["messages"] = std::move(messages);
  if (!request.tools.empty() && request.tool_choice != ToolChoice::kNone) variables["tools"] = request.tools;
  variables["add_generation_prompt"] = true;
  variables["bos_token"] = model.bos_token;
  variables["eos_token"] = model.eos_token;
  return variables;
}

// The engine counts from the first generated token, so a limit makes sense only where the prompt has opened the
// thinking.
ApiResult<std::optional<engine::ThinkingBudget>> thinking_budget(const ServedModel& model, const ChatRequest& request,
                                                                 text::ReasoningStart start) {
  const ThinkingFields& thinking = request.thinking;
  std::optional<int32_t> tokens = thinking.budget ? thinking.budget : thinking.effort_budget;
  if (thinking.enabled == false) tokens = 0;
  if (!tokens) return std::nullopt;
  const bool possible =
      start == text::ReasoningStart::kInside && model.think_close_token && !model.think_close_tokens.empty();
  if (possible) {
    const auto& close = *tokens == 0 ? model.no_thinking_tokens : model.think_close_tokens;
    return engine::ThinkingBudget{*tokens, *model.think_close_token, close};
  }
  if (!thinking.budget || thinking.enabled == false) return std::nullopt;
  return refuse(ApiErrorKind::kUnsupportedParameter, "thinking_budget",
                "this model's template does not open its thinking, so it cannot be limited to a number of tokens");
}

}  // namespace

ApiResult<Prepared> prepare_chat(const ServedModel& model, const ChatRequest& request, int64_t now_s) {
  auto base = request_of(model, request.fields);
  if (!base) return tl::make_unexpected(base.error());
  if (model.chat_template == nullptr) {
    return refuse(ApiErrorKind::kUnsupportedParameter, "messages",
                  "this model has no chat template; use /v1/completions");
  }
  auto prompt = model.chat_template->render(template_variables(model, request), now_s);
  if (!prompt) {
    return refuse(ApiErrorKind::kInvalidPrompt, "messages",
                  fmt::format("the model's chat template refused the messages: {}", prompt.error().message));
  }
  if (auto error = check_size(model, prompt->size(), "messages")) return tl::make_unexpected(*error);
  auto ids = model.tokenizer->encode(*prompt, {.parse_special = true, .add_special = false});
  if (!ids) return tl::make_unexpected(from_error(ids.error()));
  if (auto error = check_length(model, ids->size(), base->tokens_max, "messages")) return tl::make_unexpected(*error);
  Prepared prepared;
  prepared.reasoning_start = text::reasoning_start(*prompt);
  auto thinking = thinking_budget(model, request, prepared.reasoning_start);
  if (!thinking) return tl::make_unexpected(thinking.error());
  auto constraint = chat_constraint(model, request, prepared.reasoning_start);
  if (!constraint) return tl::make_unexpected(constraint.error());
  base->prompt = std::move(*ids);
  base->thinking = std::move(*thinking);
  base->constraint = std::move(*constraint);
  if (request.logprobs) base->sampling.top_logprobs = request.top_logprobs;
  prepared.rendered = std::move(*prompt);
  add_choices(*base, request.fields.choices, prepared.requests);
  return prepared;
}

ApiResult<Prepared> prepare_completion(const ServedModel& model, const CompletionRequest& request) {
  auto base = request_of(model, request.fields);
  if (!base) return tl::make_unexpected(base.error());
  if (base->tokens_max == 0) base->tokens_max = std::max(kCompletionTokensDefault, base->tokens_min);
  base->sampling.top_logprobs = request.logprobs;
  auto constraint = completion_constraint(model, request.constraint);
  if (!constraint) return tl::make_unexpected(constraint.error());
  base->constraint = std::move(*constraint);
  Prepared prepared;
  for (const Prompt& prompt : request.prompts) {
    engine::Request one = *base;
    if (const auto* ids = std::get_if<std::vector<int32_t>>(&prompt)) {
      one.prompt = *ids;
    } else {
      const std::string& text = std::get<std::string>(prompt);
      if (auto error = check_size(model, text.size(), "prompt")) return tl::make_unexpected(*error);
      auto encoded = model.tokenizer->encode(text, {.parse_special = true, .add_special = true});
      if (!encoded) return tl::make_unexpected(from_error(encoded.error()));
      one.prompt = std::move(*encoded);
    }
    if (auto error = check_length(model, one.prompt.size(), one.tokens_max, "prompt"))
      return tl::make_unexpected(*error);
    add_choices(one, request.fields.choices, prepared.requests);
  }
  return prepared;
}

}  // namespace cove::server

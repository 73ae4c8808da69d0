#include "engine/request_check.h"

#include <cmath>

#include <fmt/format.h>

#include "base/utf8.h"

namespace cove::engine {
namespace {

Status check_range(std::string_view name, double value, double low, double high) {
  if (value >= low && value <= high) return {};
  return invalid_argument(fmt::format("{} is {}, must be from {} to {}", name, value, low, high));
}

Status check_token(std::string_view what, int32_t token, int64_t vocab) {
  if (token >= 0 && token < vocab) return {};
  return invalid_argument(fmt::format("{} {} is outside the vocabulary of {} tokens", what, token, vocab));
}

Status check_sampling(const SamplingOptions& sampling, int64_t vocab) {
  constexpr double kUnbounded = 1e6;
  TRY(check_range("temperature", sampling.temperature, 0, kUnbounded));
  TRY(check_range("top_p", sampling.top_p, 1e-9, 1));
  TRY(check_range("top_k", sampling.top_k, 0, 2147483647));
  TRY(check_range("min_p", sampling.min_p, 0, 1));
  TRY(check_range("presence_penalty", sampling.presence_penalty, -2, 2));
  TRY(check_range("frequency_penalty", sampling.frequency_penalty, -2, 2));
  TRY(check_range("repetition_penalty", sampling.repetition_penalty, 1e-3, 1e3));
  TRY(check_range("top_logprobs", sampling.top_logprobs, -1, 20));
  for (const auto& [token, bias] : sampling.logit_bias) {
    TRY(check_token("logit_bias token", token, vocab));
    TRY(check_range("logit_bias", bias, -1e4, 1e4));
  }
  return {};
}

Status check_prompt(const Request& request, const ModelInfo& model) {
  if (request.prompt.empty()) return invalid_argument("the prompt is empty");
  if (static_cast<int64_t>(request.prompt.size()) >= model.context_max) {
    return invalid_argument(fmt::format(
        "the prompt has {} tokens, the context holds {} and at least one is needed for the answer: shorten the prompt",
        request.prompt.size(), model.context_max));
  }
  for (const int32_t token : request.prompt) TRY(check_token("prompt token", token, model.vocab));
  return {};
}

}  // namespace

Status check_request(const Request& request, const ModelInfo& model) {
  TRY(check_prompt(request, model));
  TRY(check_sampling(request.sampling, model.vocab));
  if (request.tokens_max < 0) return invalid_argument(fmt::format("tokens_max is {}", request.tokens_max));
  if (request.tokens_min < 0) return invalid_argument(fmt::format("tokens_min is {}", request.tokens_min));
  for (const std::string& stop : request.stop) {
    if (stop.empty()) return invalid_argument("a stop string is empty");
    if (!is_valid_utf8(stop)) return invalid_argument("a stop string is not UTF-8");
  }
  if (request.constraint && request.ignore_eos)
    return invalid_argument("ignore_eos cannot hold together with a constraint, which ends the answer");
  if (!request.thinking) return {};
  if (request.thinking->tokens < 0) return invalid_argument("the thinking budget is negative");
  for (const int32_t token : request.thinking->close_tokens) TRY(check_token("close token", token, model.vocab));
  return {};
}

}  // namespace cove::engine

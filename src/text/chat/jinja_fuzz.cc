// Hostile templates and conversations: whatever the source, compiling and rendering end within their limits, without a
// crash. Input: template source, a zero byte, then the variables as JSON (or anything).
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/utf8.h"
#include "text/chat/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cove;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t zero = input.find('\0');
  const text::TemplateLimits limits{.output_bytes_max = 1 << 16, .steps_max = 100'000};
  const auto compiled = text::ChatTemplate::compile(input.substr(0, zero), limits);
  if (!compiled) return 0;
  const std::string_view rest = zero == std::string_view::npos ? "{}" : input.substr(zero + 1);
  const Result<json::value> parsed = parse_json(rest);
  json::object variables = parsed && parsed->is_object() ? parsed->get_object() : json::object{{"x", rest}};
  const Result<std::string> prompt = (*compiled)->render(variables, 1752148800);
  if (prompt && (prompt->size() > limits.output_bytes_max || !is_valid_utf8(*prompt))) __builtin_trap();
  return 0;
}

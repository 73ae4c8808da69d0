#pragma once
// Chat templates: the Jinja source published with a model, compiled once, rendered per request. The interpreter is in
// jinja/.

#include <memory>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/json.h"
#include "base/result.h"

namespace cove::text {

struct TemplateLimits {
  size_t output_bytes_max = size_t{64} << 20;
  int64_t steps_max = 20'000'000;  // evaluated nodes
  int depth_max = 128;             // nesting of expressions and macro calls
};

class ChatTemplate {
 public:
  // Errors: kInvalidArgument "line 12: ...".
  static Result<std::unique_ptr<ChatTemplate>> compile(std::string_view source, const TemplateLimits& limits = {});
  virtual ~ChatTemplate() = default;

  // `variables` is the template's whole context: messages, tools, add_generation_prompt, bos_token, eos_token and
  // whatever the request's chat_template_kwargs hold. Undefined names are Jinja's Undefined, as in transformers'
  // sandbox. `now_unix_s` feeds strftime_now. Errors: kInvalidArgument with the message of raise_exception or the line
  // that failed.
  virtual Result<std::string> render(const json::object& variables, int64_t now_unix_s) const = 0;
};

}  // namespace cove::text

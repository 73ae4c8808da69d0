#include "text/chat/chat_template.h"

#include "text/chat/jinja/interpreter.h"
#include "text/chat/jinja/parser.h"

namespace cove::text {
namespace {

class JinjaChatTemplate final : public ChatTemplate {
 public:
  JinjaChatTemplate(jinja::Program program, const TemplateLimits& limits)
      : program_(std::move(program)), limits_(limits) {}

  Result<std::string> render(const json::object& variables, int64_t now_unix_s) const override {
    return jinja::Interpreter(program_, limits_, variables, now_unix_s).run();
  }

 private:
  jinja::Program program_;
  TemplateLimits limits_;
};

}  // namespace

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::compile(std::string_view source, const TemplateLimits& limits) {
  TRY_ASSIGN(jinja::Program program, jinja::parse(source, limits.depth_max));
  return std::make_unique<JinjaChatTemplate>(std::move(program), limits);
}

}  // namespace cove::text

// The prompt template: a system prompt in front of the request's own, and a frame around the last user message.
#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "services/plugins/plugin_set.h"

namespace cove::plugins {
namespace {

constexpr std::string_view kVariables[] = {"text", "date", "model", "route", "identity", "role"};

struct Part {
  std::string literal;
  std::string variable;  // after the literal; empty = none
};

// "{{name}}" is a variable; everything else stands for itself.
Result<std::vector<Part>> parse(std::string_view text, std::string_view key) {
  std::vector<Part> parts;
  for (;;) {
    const size_t open = text.find("{{");
    if (open == std::string_view::npos) {
      parts.push_back({std::string(text), {}});
      return parts;
    }
    const size_t close = text.find("}}", open);
    if (close == std::string_view::npos) return invalid_argument(fmt::format("{}: '{{{{' without '}}}}'", key));
    std::string_view name = text.substr(open + 2, close - open - 2);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    if (std::ranges::find(kVariables, name) == std::end(kVariables)) {
      return invalid_argument(
          fmt::format("{}: unknown variable '{}'; there are {}", key, name, fmt::join(kVariables, ", ")));
    }
    parts.push_back({std::string(text.substr(0, open)), std::string(name)});
    text.remove_prefix(close + 2);
  }
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  return fmt::format("{:04}-{:02}-{:02}", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday);
}

std::string fill(const std::vector<Part>& parts, const RequestInfo& request, std::string_view text) {
  std::string out;
  for (const Part& part : parts) {
    out += part.literal;
    if (part.variable == "text") out += text;
    if (part.variable == "date") out += today();
    if (part.variable == "model") out += request.model;
    if (part.variable == "route") out += request.route;
    if (part.variable == "identity") out += request.identity;
    if (part.variable == "role") out += request.role;
  }
  return out;
}

struct Template {
  std::vector<Part> system;
  std::vector<Part> user;
  bool has_system = false;
  bool has_user = false;
};

class TemplatePlugin final : public PluginBase {
 public:
  TemplatePlugin(const Template& parts, RequestInfo request) : template_(&parts), request_(std::move(request)) {}

  Result<Verdict> preprocess(Input& input) override {
    changed_ = 1;
    if (template_->has_system) {
      const std::string system = fill(template_->system, request_, {});
      input.system = input.system.empty() ? system : system + "\n\n" + input.system;
    }
    if (!template_->has_user) return Verdict{};
    for (auto text = input.texts.rbegin(); text != input.texts.rend(); ++text) {
      if (text->role != "user" && text->role != "prompt") continue;
      text->text = fill(template_->user, request_, text->text);
      if (text->role == "user") break;  // of a chat the last message only; of completions every prompt
    }
    return Verdict{};
  }
  void take_notes(NoteTaker& notes) override { notes.add("changed", std::exchange(changed_, 0)); }

 private:
  const Template* template_;
  RequestInfo request_;
  uint64_t changed_ = 0;
};

class TemplateFactory final : public PluginFactory {
 public:
  explicit TemplateFactory(Template parts) : template_(std::move(parts)) {}
  Result<std::unique_ptr<PluginBase>> open(const RequestInfo& request) override {
    return std::unique_ptr<PluginBase>(std::make_unique<TemplatePlugin>(template_, request));
  }

 private:
  Template template_;
};

}  // namespace

Result<std::unique_ptr<PluginFactory>> make_template_plugin(const PluginOptions& options) {
  const TemplateOptions& wanted = options.prompt_template;
  if (wanted.system.empty() && wanted.user.empty()) return invalid_argument("needs 'system', 'user' or both");
  for (const Stage stage : options.stages) {
    if (stage != Stage::kPrompt) return invalid_argument("a template acts at the stage 'prompt' only");
  }
  Template parts{.system = {}, .user = {}, .has_system = !wanted.system.empty(), .has_user = !wanted.user.empty()};
  TRY_ASSIGN(parts.system, parse(wanted.system, "system"));
  TRY_ASSIGN(parts.user, parse(wanted.user, "user"));
  const auto uses_text = [](const std::vector<Part>& all) {
    return std::ranges::any_of(all, [](const Part& part) { return part.variable == "text"; });
  };
  if (uses_text(parts.system)) return invalid_argument("system: {{text}} has a meaning in 'user' only");
  if (parts.has_user && !uses_text(parts.user))
    return invalid_argument("user: lacks {{text}}, so the user's message would be lost");
  return std::unique_ptr<PluginFactory>(std::make_unique<TemplateFactory>(std::move(parts)));
}

}  // namespace cove::plugins

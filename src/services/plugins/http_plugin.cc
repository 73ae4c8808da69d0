// The HTTP hook: texts are posted as JSON to an address of the configuration, which allows, refuses or changes them. A
// stream is posted whole, when it is complete: nothing of it is shown before.
#include <map>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "base/json.h"
#include "base/utf8.h"
#include "services/outbound/http_client.h"
#include "services/plugins/plugin_set.h"

namespace cove::plugins {
namespace {

constexpr size_t kReplyBytesMax = size_t{64} << 20;

struct Hook {
  HttpOptions options;
  std::chrono::milliseconds timeout;
};

json::object describe(const RequestInfo& request) {
  return {{"id", request.request_id},
          {"route", request.route},
          {"model", request.model},
          {"identity", request.identity},
          {"role", request.role}};
}

Result<json::value> post(const Hook& hook, const json::object& body) {
  outbound::HttpRequest request{.method = "POST",
                                .url = hook.options.url,
                                .headers = {{"Content-Type", "application/json"}},
                                .body = json::serialize(body),
                                .ca_file = hook.options.ca_file,
                                .timeout = hook.timeout,
                                .response_bytes_max = kReplyBytesMax};
  if (!hook.options.token.empty()) request.headers.emplace_back("Authorization", "Bearer " + hook.options.token);
  TRY_ASSIGN(const outbound::HttpResponse response, outbound::send(request));
  if (response.status != 200)
    return make_error(ErrorCode::kUnavailable,
                      fmt::format("{} answered with status {}", hook.options.url, response.status));
  auto reply = parse_json(response.body);
  if (!reply) return with_context(reply.error(), hook.options.url);
  return std::move(*reply);
}

Error bad_reply(const Hook& hook, std::string_view what) {
  return make_error(ErrorCode::kUnavailable, fmt::format("{}: the reply {}", hook.options.url, what));
}

enum class Action : uint8_t { kAllow, kRefuse, kModify };

Result<Action> action_of(const Hook& hook, const json::value& reply) {
  const json::value* action = find_member(reply, "action");
  if (action != nullptr && *action == "allow") return Action::kAllow;
  if (action != nullptr && *action == "refuse") return Action::kRefuse;
  if (action != nullptr && *action == "modify") return Action::kModify;
  return bad_reply(hook, R"(needs "action": "allow", "refuse" or "modify")");
}

std::string text_member(const json::value& reply, std::string_view name) {
  const json::value* text = find_member(reply, name);
  if (text == nullptr || !text->is_string()) return {};
  return std::string(text->get_string());
}

class HttpPlugin final : public PluginBase {
 public:
  HttpPlugin(const Hook& hook, RequestInfo request) : hook_(&hook), request_(std::move(request)) {}

  Result<Verdict> preprocess(Input& input) override {
    json::array texts;
    for (const InputText& text : input.texts) texts.push_back(json::object{{"role", text.role}, {"text", text.text}});
    TRY_ASSIGN(const json::value reply, post(*hook_, {{"stage", "prompt"},
                                                      {"request", describe(request_)},
                                                      {"system", input.system},
                                                      {"texts", std::move(texts)}}));
    TRY_ASSIGN(const Action action, action_of(*hook_, reply));
    if (action == Action::kRefuse) {
      ++blocked_;
      return Verdict{Decision::kBlock, text_member(reply, "message")};
    }
    if (action == Action::kModify) TRY(take_texts(reply, input));
    return Verdict{};
  }

  Result<Verdict> postprocess(const Piece& piece, std::string& out) override {
    std::string& held = held_[piece.text_id];
    held += piece.text;
    if (piece.end == End::kMore) return Verdict{};
    const std::string text = std::move(held);
    held_.erase(piece.text_id);
    if (text.empty()) return Verdict{};
    out = text;  // what is shown after an error that is skipped
    TRY_ASSIGN(const json::value reply, post(*hook_, {{"stage", to_string(piece.stage)},
                                                      {"request", describe(request_)},
                                                      {"choice", piece.choice},
                                                      {"text", text}}));
    TRY_ASSIGN(const Action action, action_of(*hook_, reply));
    if (action == Action::kAllow) return Verdict{};
    const json::value* changed = find_member(reply, "text");
    if (action == Action::kModify && (changed == nullptr || !changed->is_string()))
      return bad_reply(*hook_, R"(modifies, but has no "text")");
    out = text_member(reply, "text");
    ++(action == Action::kRefuse ? blocked_ : changed_);
    return Verdict{action == Action::kRefuse ? Decision::kBlock : Decision::kPass};
  }

  void take_notes(NoteTaker& notes) override {
    notes.add("changed", std::exchange(changed_, 0));
    notes.add("blocked", std::exchange(blocked_, 0));
  }
  bool survives_errors() const override { return true; }

 private:
  // "texts": as many as were sent, each a string or {"text"}; "system" may change too.
  Status take_texts(const json::value& reply, Input& input) {
    const json::value* texts = find_member(reply, "texts");
    if (texts == nullptr || !texts->is_array() || texts->get_array().size() != input.texts.size()) {
      return bad_reply(*hook_, fmt::format(R"(modifies, but has no "texts" with {} members)", input.texts.size()));
    }
    for (size_t i = 0; i < input.texts.size(); ++i) {
      const json::value& item = texts->get_array()[i];
      const json::value* text = item.is_string() ? &item : find_member(item, "text");
      if (text == nullptr || !text->is_string()) return bad_reply(*hook_, fmt::format("has no text in texts[{}]", i));
      const std::string_view fresh(text->get_string().data(), text->get_string().size());
      if (fresh == input.texts[i].text) continue;
      input.texts[i].text = fresh;
      ++changed_;
    }
    if (find_member(reply, "system") != nullptr) input.system = text_member(reply, "system");
    return {};
  }

  const Hook* hook_;
  RequestInfo request_;
  std::map<uint64_t, std::string> held_;
  uint64_t changed_ = 0;
  uint64_t blocked_ = 0;
};

class HttpFactory final : public PluginFactory {
 public:
  explicit HttpFactory(Hook hook) : hook_(std::move(hook)) {}
  Result<std::unique_ptr<PluginBase>> open(const RequestInfo& request) override {
    return std::unique_ptr<PluginBase>(std::make_unique<HttpPlugin>(hook_, request));
  }
  Pace pace() const override { return Pace::kMayWait; }

 private:
  Hook hook_;
};

}  // namespace

Result<std::unique_ptr<PluginFactory>> make_http_plugin(const PluginOptions& options) {
  const std::string& url = options.http.url;
  if (!url.starts_with("http://") && !url.starts_with("https://"))
    return invalid_argument("needs 'url', an http:// or https:// address");
  return std::unique_ptr<PluginFactory>(
      std::make_unique<HttpFactory>(Hook{.options = options.http, .timeout = options.timeout}));
}

}  // namespace cove::plugins

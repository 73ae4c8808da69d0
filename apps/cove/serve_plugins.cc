#include "serve_plugins.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include <fmt/format.h>

#include "base/file.h"
#include "server/gateway.h"
#include "services/auth/api_keys.h"

namespace cove::app {
namespace {

using plugins::PluginOptions;
using plugins::PluginType;

constexpr size_t kTokenBytesMax = 16384;

struct TypeRow {
  std::string_view name;
  PluginType type;
  std::vector<std::string_view> keys;  // besides those that every plugin has
};

const std::vector<TypeRow>& types() {
  static const std::vector<TypeRow> kTypes = {
      {"words", PluginType::kWords, {"block", "replace", "log", "gap_max", "whole_words", "replacement", "message"}},
      {"mask", PluginType::kMask, {"kinds", "style", "restore"}},
      {"template", PluginType::kTemplate, {"system", "user"}},
      {"lua", PluginType::kLua, {"file", "settings", "memory_mb", "instructions_max", "timeout_ms"}},
      {"so", PluginType::kSharedObject, {"file", "settings", "timeout_ms"}},
      {"http", PluginType::kHttp, {"url", "token_file", "ca_file", "timeout_ms"}},
  };
  return kTypes;
}

Status check_keys(const Config& item, const TypeRow& own) {
  for (const TypeRow& other : types()) {
    for (const std::string_view key : other.keys) {
      if (!item.has(key) || std::ranges::find(own.keys, key) != own.keys.end()) continue;
      return invalid_argument(fmt::format("'{}' is a key of type {}, not of {}", key, other.name, own.name));
    }
  }
  return {};
}

// Paths that plugins can be limited to: where answers are made.
Status check_routes(const std::vector<std::string>& wanted) {
  for (const std::string& path : wanted) {
    const bool known = std::ranges::any_of(server::routes(), [&](const server::Route& route) {
      return route.path == path && route.needs == server::Needs::kModel;
    });
    if (!known) return invalid_argument(fmt::format("routes: no answers are made at '{}'", path));
  }
  return {};
}

Result<plugins::Stage> parse_stage(std::string_view text) {
  for (const auto stage : {plugins::Stage::kPrompt, plugins::Stage::kReasoning, plugins::Stage::kAnswer}) {
    if (text == to_string(stage)) return stage;
  }
  return invalid_argument(fmt::format("stages: '{}' is none of prompt, reasoning, answer", text));
}

std::vector<std::filesystem::path> paths(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

plugins::MaskStyle parse_style(std::string_view text) {
  if (text == "stars") return plugins::MaskStyle::kStars;
  return text == "partial" ? plugins::MaskStyle::kPartial : plugins::MaskStyle::kPlaceholder;
}

Status read_http(const Config& item, plugins::HttpOptions& options) {
  options.url = item.string("url");
  options.ca_file = item.string("ca_file");
  const std::string& token_file = item.string("token_file");
  if (token_file.empty()) return {};
  TRY_ASSIGN(options.token, read_file(token_file, kTokenBytesMax));
  while (!options.token.empty() && std::isspace(static_cast<unsigned char>(options.token.back())) != 0)
    options.token.pop_back();
  const bool one_line = !options.token.empty() && options.token.find_first_of("\r\n") == std::string::npos;
  if (!one_line) return invalid_argument(fmt::format("token_file: {} must hold one line", token_file));
  return {};
}

Status read_own_keys(const Config& item, PluginOptions& options) {
  switch (options.type) {
    case PluginType::kWords:
      options.words = {.block = paths(item.list("block")),
                       .replace = paths(item.list("replace")),
                       .log = paths(item.list("log")),
                       .gap_max = static_cast<uint32_t>(item.integer("gap_max")),
                       .whole_words = item.boolean("whole_words"),
                       .replacement = item.string("replacement"),
                       .message = item.string("message")};
      return {};
    case PluginType::kMask:
      options.mask = {
          .kinds = item.list("kinds"), .style = parse_style(item.string("style")), .restore = item.boolean("restore")};
      return {};
    case PluginType::kTemplate:
      options.prompt_template = {.system = item.string("system"), .user = item.string("user")};
      return {};
    case PluginType::kLua:
      options.lua = {.file = item.string("file"),
                     .settings = item.string("settings"),
                     .memory_bytes = static_cast<size_t>(item.integer("memory_mb")) << 20,
                     .instructions_max = item.integer("instructions_max")};
      return {};
    case PluginType::kSharedObject:
      options.shared_object = {.file = item.string("file"), .settings = item.string("settings")};
      return {};
    case PluginType::kHttp: return read_http(item, options.http);
  }
  return {};
}

Result<PluginOptions> read_plugin(const Config& item) {
  PluginOptions options;
  const auto row = std::ranges::find(types(), item.string("type"), &TypeRow::name);
  options.name = item.string("name");
  options.type = row->type;
  TRY(check_keys(item, *row));
  options.routes = item.list("routes");
  TRY(check_routes(options.routes));
  options.roles = item.list("roles");
  for (const std::string& role : options.roles) {
    if (const auto known = auth::parse_role(role); !known) return with_context(known.error(), "roles");
  }
  for (const std::string& stage : item.list("stages")) {
    TRY_ASSIGN(const plugins::Stage parsed, parse_stage(stage));
    options.stages.push_back(parsed);
  }
  options.on_error = item.string("on_error") == "skip" ? plugins::OnError::kSkip : plugins::OnError::kRefuse;
  options.timeout = std::chrono::milliseconds(item.integer("timeout_ms"));
  TRY(read_own_keys(item, options));
  return options;
}

}  // namespace

Result<std::unique_ptr<plugins::PluginSet>> open_plugins(const Config& config) {
  std::vector<PluginOptions> all;
  for (const Config& item : config.maps("plugins")) {
    const std::string where = fmt::format("plugins[{}]", all.size());
    const std::string& name = item.string("name");
    const bool plain = !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
    if (!plain) return invalid_argument(where + ".name: needs a name of at most 64 letters, digits, '-' and '_'");
    if (!item.has("type")) return invalid_argument(fmt::format("{} ('{}'): needs a type", where, name));
    auto options = read_plugin(item);
    if (!options) return with_context(options.error(), fmt::format("{} ('{}')", where, name));
    all.push_back(std::move(*options));
  }
  if (all.empty()) return std::unique_ptr<plugins::PluginSet>();
  return plugins::PluginSet::create(std::move(all));
}

}  // namespace cove::app

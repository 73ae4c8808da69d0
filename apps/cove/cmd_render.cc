// cove render: a conversation to the prompt that a model's chat template makes of it.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <boost/json/array.hpp>

#include "base/file.h"
#include "commands.h"
#include "engine/loading/model_files.h"
#include "engine/loading/model_source.h"
#include "json_lines.h"
#include "model_key.h"
#include "text/chat/chat_template.h"

namespace cove::app {
namespace {

constexpr const char* kName = "render";
constexpr size_t kTemplateBytesMax = size_t{4} << 20;

struct Renderer {
  std::unique_ptr<text::ChatTemplate> chat_template;
  json::object defaults;  // bos_token and eos_token of the model
};

Result<Renderer> open_renderer(const std::filesystem::path& path, const std::string& key_file) {
  Renderer renderer;
  std::string source;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    return make_error(ErrorCode::kNotFound, fmt::format("{}: there is no such file or directory", path.string()));
  }
  TRY_ASSIGN(const std::optional<SealKey> key, ModelKeys(key_places(key_file)).key_of(path));
  const bool is_template = std::filesystem::is_regular_file(path, ignored) && path.extension() != ".gguf";
  if (is_template && !engine::needs_key(path)) {
    TRY_ASSIGN(source, read_file(path, kTemplateBytesMax));
  } else {
    TRY_ASSIGN(const engine::ChatTemplateSource found, engine::open_chat_template(path, key));
    if (found.source.empty()) {
      return make_error(ErrorCode::kNotFound, fmt::format("{} has no chat template: neither chat_template.jinja nor "
                                                          "\"chat_template\" in tokenizer_config.json",
                                                          path.string()));
    }
    source = found.source;
    if (!found.bos_token.empty()) renderer.defaults["bos_token"] = found.bos_token;
    if (!found.eos_token.empty()) renderer.defaults["eos_token"] = found.eos_token;
  }
  Result<std::unique_ptr<text::ChatTemplate>> compiled = text::ChatTemplate::compile(source);
  if (!compiled) return with_context(compiled.error(), path.string());
  renderer.chat_template = *std::move(compiled);
  return renderer;
}

// "+08:00", "-0330", "+08", "Z": seconds east of UTC.
std::optional<int64_t> parse_zone(const std::string& zone) {
  if (zone == "Z" || zone == "z") return 0;
  int hours = 0;
  int minutes = 0;
  char sign = 0;
  int used = 0;
  const bool parsed = (std::sscanf(zone.c_str(), "%c%2d:%2d%n", &sign, &hours, &minutes, &used) == 3) ||
                      (std::sscanf(zone.c_str(), "%c%2d%2d%n", &sign, &hours, &minutes, &used) == 3) ||
                      (std::sscanf(zone.c_str(), "%c%2d%n", &sign, &hours, &used) == 2);
  if (!parsed || (sign != '+' && sign != '-') || static_cast<size_t>(used) != zone.size()) return std::nullopt;
  const int64_t seconds = int64_t{hours} * 3600 + int64_t{minutes} * 60;
  return sign == '-' ? -seconds : seconds;
}

// ISO 8601: "2025-07-10", "2025-07-10T12:00:00", with fraction and zone. Without a zone it is local time, as in
// transformers.
Result<int64_t> parse_time(const std::string& text) {
  const Error error =
      invalid_argument(fmt::format("\"now\" is not a time: '{}' (wanted Unix seconds or 2025-07-10T12:00:00)", text));
  std::tm parts{};
  const char* end = strptime(text.c_str(), "%Y-%m-%d", &parts);
  if (end == nullptr) return error;
  if (*end == 'T' || *end == ' ') {
    const char* clock = end + 1;
    end = strptime(clock, "%H:%M:%S", &parts);
    if (end == nullptr) end = strptime(clock, "%H:%M", &parts);
    if (end == nullptr) return error;
    if (*end == '.') {
      do ++end;
      while (*end >= '0' && *end <= '9');
    }
  }
  if (*end == '\0') {
    parts.tm_isdst = -1;
    return static_cast<int64_t>(std::mktime(&parts));
  }
  const std::optional<int64_t> zone = parse_zone(end);
  if (!zone) return error;
  return static_cast<int64_t>(timegm(&parts)) - *zone;
}

Result<int64_t> time_of(const json::object& input) {
  const json::value* now = input.if_contains("now");
  if (now == nullptr || now->is_null()) {
    return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  }
  if (now->is_int64()) return now->get_int64();
  if (now->is_double() && std::abs(now->get_double()) < 1e15)
    return static_cast<int64_t>(std::floor(now->get_double()));
  if (now->is_string()) return parse_time(std::string(now->get_string()));
  return invalid_argument("\"now\" must be Unix seconds or an ISO 8601 time");
}

// What transformers gives a template: messages, tools (None when there are none), add_generation_prompt and the special
// tokens; kwargs come last and win.
Result<json::object> variables_of(const json::object& input, const json::object& defaults) {
  const json::value* messages = input.if_contains("messages");
  if (messages == nullptr || !messages->is_array()) return invalid_argument("\"messages\" is missing or not an array");
  json::object variables = defaults;
  variables["tools"] = nullptr;
  variables["add_generation_prompt"] = false;
  for (const auto& [key, value] : input) {
    if (key != "kwargs" && key != "now") variables[key] = value;
  }
  const json::value* kwargs = input.if_contains("kwargs");
  if (kwargs == nullptr || kwargs->is_null()) return variables;
  if (!kwargs->is_object()) return invalid_argument("\"kwargs\" must be an object");
  for (const auto& [key, value] : kwargs->get_object()) variables[key] = value;
  return variables;
}

Result<json::object> render(const Renderer& renderer, const json::object& input) {
  TRY_ASSIGN(const json::object variables, variables_of(input, renderer.defaults));
  TRY_ASSIGN(const int64_t now, time_of(input));
  TRY_ASSIGN(const std::string prompt, renderer.chat_template->render(variables, now));
  return json::object{{"prompt", prompt}};
}

int run(int argc, const char* const* argv) {
  std::string model;
  std::string key_file;
  bool jsonl = false;
  Flags flags(
      kName,
      "A conversation on standard input to the prompt that the model's chat template makes of it. The input is JSON: "
      "{\"messages\", \"tools\", \"add_generation_prompt\", \"kwargs\", \"bos_token\", \"eos_token\", \"now\"}; all "
      "but "
      "messages may be left out.");
  flags.add("model", model, "a model or tokenizer directory, a .gguf file, or a Jinja template");
  flags.require("model");
  add_key_flag(flags, key_file);
  flags.add_switch("--jsonl", jsonl, "one input a line to one {\"prompt\"} a line; a bad one gives {\"error\"}");
  flags.footer(
      "Example:\n  echo '{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"add_generation_prompt\":true}' | "
      "cove render "
      "models/cove-mini");
  if (const auto code = flags.parse(argc, argv)) return *code;

  const Result<Renderer> renderer = open_renderer(model, key_file);
  if (!renderer) return fail(kName, renderer.error().message);
  const auto convert = [&](const json::object& input) { return render(*renderer, input); };
  if (jsonl) return convert_lines(kName, convert);
  const Result<json::object> result = convert_document(convert);
  if (!result) return fail(kName, result.error().message);
  const json::string& prompt = result->at("prompt").get_string();
  std::fwrite(prompt.data(), 1, prompt.size(), stdout);
  return finish_output(kName, kDone);
}

}  // namespace

extern const Command kRender;
const Command kRender{kName, "a conversation to the prompt its chat template makes", run};

}  // namespace cove::app

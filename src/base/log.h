#pragma once
// Structured log, one event a line on standard error. Called from every layer and thread.
//   log::info("engine.loaded", {{"model", name}, {"weights_gb", 3.1}});
// error = someone must act; warn = degraded; info = lifecycle; debug = development.
// Never log prompts, keys or tokens.

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

namespace cove::log {

enum class Level { kDebug, kInfo, kWarn, kError, kOff };
enum class Style { kText, kJson };

// One key and its value, already formatted; strings are quoted when written.
struct Field {
  template <std::integral T>
  Field(std::string_view k, T v) : key(k), value(std::to_string(v)), quoted(false) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), quoted(false) {}
  Field(std::string_view k, double v);
  Field(std::string_view k, std::string_view v) : key(k), value(v), quoted(true) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v), quoted(true) {}
  Field(std::string_view k, const char* v) : key(k), value(v), quoted(true) {}
  std::string_view key;
  std::string value;
  bool quoted;
};

using Fields = std::initializer_list<Field>;

// Called once by apps/ before threads start; the default is text at info.
void configure(Level level, Style style);

void debug(std::string_view event, Fields fields = {});
void info(std::string_view event, Fields fields = {});
void warn(std::string_view event, Fields fields = {});
void error(std::string_view event, Fields fields = {});

}  // namespace cove::log

#include "base/log.h"

#include <atomic>
#include <chrono>
#include <memory>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace cove::log {
namespace {

std::atomic<Style> style_now{Style::kText};

// Never destroyed: threads of static objects may log while the process ends.
spdlog::logger& logger() {
  static spdlog::logger* const instance = [] {
    auto* made = new spdlog::logger("cove", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *instance;
}

void append_escaped(fmt::memory_buffer& out, std::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out.append(std::string_view("\\n"));
    } else if (u < 0x20) {
      fmt::format_to(fmt::appender(out), "\\u{:04x}", u);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

bool is_plain(std::string_view text) {
  return !text.empty() && text.find_first_of(" \"\\\n\t=") == std::string_view::npos;
}

void append_field(fmt::memory_buffer& out, const Field& field, Style style) {
  if (style == Style::kJson) {
    out.push_back(',');
    append_escaped(out, field.key);
    out.push_back(':');
  } else {
    fmt::format_to(fmt::appender(out), " {}=", field.key);
  }
  const bool bare = !field.quoted || (style == Style::kText && is_plain(field.value));
  if (bare) {
    out.append(field.value);
  } else {
    append_escaped(out, field.value);
  }
}

void write(spdlog::level::level_enum level, std::string_view event, Fields fields) {
  if (!logger().should_log(level)) return;
  const Style style = style_now.load(std::memory_order_relaxed);
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto ms = now.time_since_epoch().count() % 1000;
  const auto name = spdlog::level::to_string_view(level);
  const std::string_view level_name(name.data(), name.size());
  fmt::memory_buffer out;
  const auto seconds = fmt::gmtime(std::chrono::system_clock::to_time_t(now));
  if (style == Style::kJson) {
    fmt::format_to(fmt::appender(out), R"({{"ts":"{:%Y-%m-%dT%H:%M:%S}.{:03}Z","level":"{}","event":)", seconds, ms,
                   level_name);
    append_escaped(out, event);
  } else {
    fmt::format_to(fmt::appender(out), "{:%Y-%m-%dT%H:%M:%S}.{:03}Z {:<5} {}", seconds, ms, level_name, event);
  }
  for (const Field& field : fields) append_field(out, field, style);
  if (style == Style::kJson) out.push_back('}');
  logger().log(level, spdlog::string_view_t(out.data(), out.size()));
}

}  // namespace

Field::Field(std::string_view k, double v) : key(k), value(fmt::format("{:.6g}", v)), quoted(false) {}

void configure(Level level, Style style) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                   spdlog::level::err, spdlog::level::off};
  logger().set_level(kLevels[static_cast<int>(level)]);
  style_now = style;
}

void debug(std::string_view event, Fields fields) { write(spdlog::level::debug, event, fields); }
void info(std::string_view event, Fields fields) { write(spdlog::level::info, event, fields); }
void warn(std::string_view event, Fields fields) { write(spdlog::level::warn, event, fields); }
void error(std::string_view event, Fields fields) { write(spdlog::level::err, event, fields); }

}  // namespace cove::log

// Filters that give numbers.
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

#include <fmt/format.h>

#include "text/chat/jinja/filter_functions.h"
#include "text/chat/jinja/interpreter.h"
#include "text/chat/jinja/operators.h"
#include "text/chat/jinja/unicode.h"

namespace cove::text::jinja {
namespace {

using Args = const Arguments&;

// What Python's int() and float() accept besides the digits: white space around, single underscores between digits.
std::optional<std::string> plain_digits(std::string_view text) {
  std::string out;
  const std::string_view inner = strip(text, Side::kBoth);
  for (size_t i = 0; i < inner.size(); ++i) {
    if (inner[i] != '_') {
      out += inner[i];
      continue;
    }
    const auto alphanumeric = [](char c) { return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'); };
    if (i == 0 || i + 1 == inner.size() || !alphanumeric(inner[i - 1]) || !alphanumeric(inner[i + 1]))
      return std::nullopt;
  }
  return out;
}

std::optional<double> parse_float(std::string_view text) {
  const std::optional<std::string> digits = plain_digits(text);
  if (!digits || digits->empty()) return std::nullopt;
  // strtod also reads hexadecimal and "nan(...)", which Python does not.
  if (digits->find_first_of("xX(") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(digits->c_str(), &end);
  if (end != digits->c_str() + digits->size()) return std::nullopt;
  return value;
}

enum class IntParse { kOk, kNotANumber, kTooLarge };
IntParse parse_int(std::string_view text, int base, int64_t& out) {
  std::optional<std::string> digits = plain_digits(text);
  if (!digits) return IntParse::kNotANumber;
  std::string_view rest = *digits;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest.size() > 2 && rest[0] == '0') {
    const char mark = static_cast<char>(rest[1] | 0x20);
    const int marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked != 0 && (base == marked || base == 0)) {
      rest.remove_prefix(2);
      base = marked;
    }
  }
  if (base == 0) base = 10;
  if (rest.empty() || rest[0] == '-' || rest[0] == '+') return IntParse::kNotANumber;
  const std::string number = (negative ? "-" : "") + std::string(rest);
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), out, base);
  if (parsed.ptr != number.data() + number.size()) return IntParse::kNotANumber;
  return parsed.ec == std::errc() ? IntParse::kOk : IntParse::kTooLarge;
}

Result<Value> truncated(double value, const Value& fallback) {
  if (!std::isfinite(value)) return fallback;
  if (std::abs(value) >= 9.2233720368547758e18) return invalid_argument("an integer does not fit in 64 bits");
  return Value::integer(static_cast<int64_t>(value));
}

Result<Value> to_int(Interpreter&, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("int", args, {"default", "base"}));
  TRY_ASSIGN(const int64_t base, p.integer(1, 10));
  if (base != 0 && (base < 2 || base > 36)) return invalid_argument("int() base must be >= 2 and <= 36, or 0");
  TRY(Interpreter::require_defined(subject));
  const Value fallback = p.has(0) ? *p.get(0) : Value::integer(0);
  if (subject.is_integer()) return Value::integer(subject.as_int());
  if (subject.is_float()) return truncated(subject.as_float(), fallback);
  if (!subject.is_string()) return fallback;
  int64_t value = 0;
  const IntParse parsed = parse_int(subject.as_string(), static_cast<int>(base), value);
  if (parsed == IntParse::kOk) return Value::integer(value);
  if (parsed == IntParse::kTooLarge) return invalid_argument("an integer does not fit in 64 bits");
  const std::optional<double> as_float = parse_float(subject.as_string());
  return as_float ? truncated(*as_float, fallback) : fallback;
}

Result<Value> to_float(Interpreter&, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("float", args, {"default"}));
  TRY(Interpreter::require_defined(subject));
  if (subject.is_number()) return Value::real(subject.to_double());
  const std::optional<double> value = subject.is_string() ? parse_float(subject.as_string()) : std::nullopt;
  if (value) return Value::real(*value);
  return p.has(0) ? *p.get(0) : Value::real(0.0);
}

Result<Value> absolute(Interpreter&, const Value& subject, Args args) {
  TRY(Parameters::bind("abs", args, {}));
  TRY(Interpreter::require_defined(subject));
  if (subject.is_float()) return Value::real(std::abs(subject.as_float()));
  if (!subject.is_integer())
    return invalid_argument(fmt::format("bad operand type for abs(): '{}'", subject.type_name()));
  if (subject.as_int() < 0) return negate(subject);
  return Value::integer(subject.as_int());
}

// Python's round(): to even, on the exact value of the double.
double round_common(double value, int64_t precision) {
  if (!std::isfinite(value) || precision > 300) return value;
  if (precision >= 0) return std::strtod(fmt::format("{:.{}f}", value, precision).c_str(), nullptr);
  if (precision < -300) return std::copysign(0.0, value);
  const double scale = std::pow(10.0, static_cast<double>(-precision));
  return std::nearbyint(value / scale) * scale;
}

Result<Value> round_integer(int64_t value, int64_t precision) {
  if (precision >= 0) return Value::integer(value);
  if (precision < -18) return Value::integer(0);
  int64_t scale = 1;
  for (int64_t i = 0; i < -precision; ++i) scale *= 10;
  int64_t quotient = value / scale;
  const int64_t rest = std::abs(value % scale);
  if (rest > scale / 2 || (rest == scale / 2 && quotient % 2 != 0)) quotient += value < 0 ? -1 : 1;
  int64_t result = 0;
  if (__builtin_mul_overflow(quotient, scale, &result)) return invalid_argument("an integer does not fit in 64 bits");
  return Value::integer(result);
}

Result<Value> round(Interpreter&, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("round", args, {"precision", "method"}));
  TRY_ASSIGN(const int64_t precision, p.integer(0, 0));
  TRY_ASSIGN(const std::string_view method, p.string(1, "common"));
  TRY(Interpreter::require_defined(subject));
  if (!subject.is_number()) {
    return invalid_argument(fmt::format("type {} doesn't define __round__ method", subject.type_name()));
  }
  if (method == "common") {
    if (subject.is_integer()) return round_integer(subject.as_int(), precision);
    return Value::real(round_common(subject.as_float(), precision));
  }
  if (method != "ceil" && method != "floor") return invalid_argument("method must be common, ceil or floor");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = subject.to_double() * scale;
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Result<Value> filesizeformat(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("filesizeformat", args, {"binary"}));
  Arguments no_default;
  no_default.positional.push_back(Value::none());
  TRY_ASSIGN(const Value number, to_float(in, subject, no_default));
  if (number.is_none()) return invalid_argument("filesizeformat(): not a number");
  const bool binary = p.truthy(0, false);
  const double base = binary ? 1024 : 1000;
  const double bytes = number.to_double();
  if (bytes == 1) return Value::string("1 Byte");
  if (bytes < base) return Value::string(fmt::format("{} Bytes", static_cast<int64_t>(bytes)));
  double unit = base;
  std::string text;
  for (const char prefix : std::string_view("kMGTPEZY")) {
    unit *= base;
    const char shown = binary && prefix == 'k' ? 'K' : prefix;
    text = fmt::format("{:.1f} {}{}", base * bytes / unit, shown, binary ? "iB" : "B");
    if (bytes < unit) break;
  }
  return Value::string(text);
}

constexpr FilterEntry kFilters[] = {
    {"int", to_int}, {"float", to_float}, {"abs", absolute}, {"round", round}, {"filesizeformat", filesizeformat},
};

}  // namespace

std::span<const FilterEntry> number_filters() { return kFilters; }

}  // namespace cove::text::jinja

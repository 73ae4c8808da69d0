#include "text/chat/jinja/format.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/chat/jinja/interpreter.h"
#include "text/chat/jinja/print.h"
#include "text/chat/jinja/unicode.h"

namespace cove::text::jinja {
namespace {

constexpr int64_t kWidthMax = 65536;

struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ = ; 0: the type's own
  char sign = '-';
  bool alternate = false;
  char grouping = 0;  // , or _
  int64_t width = 0;
  std::optional<int64_t> precision;
  char type = 0;
};

// Puts a number's sign and body, or a text, into the width.
std::string pad(std::string_view sign, std::string_view body, const Spec& spec, char default_align) {
  const char align = spec.align != 0 ? spec.align : default_align;
  const auto size = static_cast<int64_t>(count_code_points(sign) + count_code_points(body));
  const int64_t missing = std::max<int64_t>(spec.width - size, 0);
  const int64_t before = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string out;
  if (align == '=') out += sign;
  for (int64_t i = 0; i < before; ++i) out += spec.fill;
  if (align != '=') out += sign;
  out += body;
  for (int64_t i = before; i < missing; ++i) out += spec.fill;
  return out;
}

std::string_view sign_text(bool negative, char sign) {
  if (negative) return "-";
  if (sign == '+') return "+";
  return sign == ' ' ? " " : "";
}

std::string grouped(std::string digits, char separator, size_t group) {
  if (separator == 0) return digits;
  const size_t end = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  for (size_t at = end; at > group;) {
    at -= group;
    digits.insert(at, 1, separator);
  }
  return digits;
}

Result<std::string> format_integer(int64_t value, const Spec& spec) {
  const bool negative = value < 0;
  const uint64_t magnitude = negative ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string sign(sign_text(negative, spec.sign));
  std::string body;
  switch (spec.type) {
    case 'x': body = fmt::format("{:x}", magnitude); break;
    case 'X': body = fmt::format("{:X}", magnitude); break;
    case 'o': body = fmt::format("{:o}", magnitude); break;
    case 'b': body = fmt::format("{:b}", magnitude); break;
    default: body = fmt::format("{}", magnitude); break;
  }
  const bool radix = spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || spec.type == 'b';
  if (spec.alternate && radix) sign += std::string("0") + spec.type;
  return pad(sign, grouped(std::move(body), spec.grouping, radix ? 4 : 3), spec, '>');
}

// 'g' without trailing zeros, as Python writes floats.
std::string general(double value, int64_t precision, bool keep_zeros) {
  const std::string text =
      keep_zeros ? fmt::format("{:#.{}g}", value, precision) : fmt::format("{:.{}g}", value, precision);
  return text;
}

Result<std::string> format_float(double value, const Spec& spec) {
  const bool negative = std::signbit(value) && !std::isnan(value);
  const double magnitude = std::abs(value);
  const int64_t precision = spec.precision.value_or(6);
  std::string body;
  if (std::isnan(value) || std::isinf(value)) {
    body = std::isnan(value) ? "nan" : "inf";
  } else {
    switch (spec.type) {
      case 'e': body = fmt::format("{:.{}e}", magnitude, precision); break;
      case 'E': body = fmt::format("{:.{}E}", magnitude, precision); break;
      case 'f':
      case 'F': body = fmt::format("{:.{}f}", magnitude, precision); break;
      case '%': body = fmt::format("{:.{}f}%", magnitude * 100, precision); break;
      case 'g':
      case 'G':
      case 'n': body = general(magnitude, std::max<int64_t>(precision, 1), spec.alternate); break;
      default:
        if (!spec.precision) {
          body = float_repr(magnitude);
        } else {
          body = general(magnitude, std::max<int64_t>(precision, 1), false);
          if (body.find_first_of(".e") == std::string::npos) body += ".0";
        }
    }
    if (spec.type == 'G') body = to_upper(body);
  }
  return pad(sign_text(negative, spec.sign), grouped(std::move(body), spec.grouping, 3), spec, '>');
}

std::string format_text(std::string_view text, const Spec& spec) {
  if (spec.precision) text = text.substr(0, byte_offset(text, static_cast<size_t>(*spec.precision)));
  return pad("", text, spec, '<');
}

Result<std::string> format_character(const Value& value, const Spec& spec) {
  if (value.is_string() && count_code_points(value.as_string()) == 1) return format_text(value.as_string(), spec);
  if (!value.is_integer()) return invalid_argument("%c requires int or char");
  const int64_t code = value.as_int();
  if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return invalid_argument("%c arg not in range");
  std::string text;
  append_utf8(text, static_cast<char32_t>(code));
  return format_text(text, spec);
}

Result<std::string> repr_of(Interpreter& in, const Value& value) {
  std::string text;
  Writer writer(text, in.output_bytes_max(), in.budget());
  write_repr(value, writer);
  if (!writer.ok()) return invalid_argument("a formatted value is too large");
  return text;
}

// Reads digits; refuses widths that only serve to fill memory.
Result<int64_t> read_number(std::string_view text, size_t& at) {
  int64_t number = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    number = number * 10 + (text[at++] - '0');
    if (number > kWidthMax) return invalid_argument(fmt::format("a width or precision is larger than {}", kWidthMax));
  }
  return number;
}

// --- "..." % values ---

class PercentFormatter {
 public:
  PercentFormatter(Interpreter& in, std::string_view format, const Value& values)
      : in_(in), format_(format), values_(values), tuple_(values.is_sequence(Sequence::kTuple)) {}

  Result<std::string> run() {
    while (at_ < format_.size()) {
      const size_t mark = std::min(format_.find('%', at_), format_.size());
      out_ += format_.substr(at_, mark - at_);
      at_ = mark + 1;
      if (mark < format_.size()) TRY(conversion());
      if (out_.size() > in_.output_bytes_max()) return invalid_argument("the formatted text is too long");
    }
    // CPython takes whatever can be indexed, but a string or tuple, for a mapping, and a mapping may go unused.
    const bool mapping = values_.is_dict() || values_.is_undefined() || (values_.is_list() && !tuple_);
    const bool unused = tuple_ ? used_ < values_.items().size() : !mapping && used_ == 0;
    if (unused) return invalid_argument("not all arguments converted during string formatting");
    return std::move(out_);
  }

 private:
  Result<Value> next_value() {
    if (tuple_ ? used_ < values_.items().size() : used_ == 0) {
      const size_t index = used_++;
      return tuple_ ? values_.items()[index] : values_;
    }
    return invalid_argument("not enough arguments for format string");
  }

  Status conversion() {
    std::optional<Value> named;
    if (at_ < format_.size() && format_[at_] == '(') {
      const size_t close = format_.find(')', at_);
      if (close == std::string_view::npos) return invalid_argument("incomplete format key");
      if (!values_.is_dict()) return invalid_argument("format requires a mapping");
      const std::string_view key = format_.substr(at_ + 1, close - at_ - 1);
      const Value* found = values_.dict_object().find(key);
      if (found == nullptr) return invalid_argument(fmt::format("format key '{}' is missing", key));
      named = *found;
      at_ = close + 1;
    }
    TRY_ASSIGN(Spec spec, read_spec());
    if (at_ >= format_.size()) return invalid_argument("incomplete format");
    spec.type = format_[at_++];
    if (spec.type == '%') {
      out_ += '%';
      return {};
    }
    Value value;
    if (named) {
      value = *std::move(named);
    } else {
      TRY_ASSIGN(value, next_value());
    }
    return convert(value, spec);
  }

  Result<Spec> read_spec() {
    Spec spec;
    spec.align = '>';
    for (; at_ < format_.size() && std::string_view("-+ #0").find(format_[at_]) != std::string_view::npos; ++at_) {
      const char flag = format_[at_];
      if (flag == '-') spec.align = '<';
      if (flag == '+' || (flag == ' ' && spec.sign != '+')) spec.sign = flag;
      if (flag == '#') spec.alternate = true;
      if (flag == '0') spec.fill = "0";
    }
    TRY_ASSIGN(spec.width, width_or_star());
    if (at_ < format_.size() && format_[at_] == '.') {
      ++at_;
      TRY_ASSIGN(const int64_t precision, width_or_star());
      spec.precision = std::max<int64_t>(precision, 0);
    }
    while (at_ < format_.size() && std::string_view("hlL").find(format_[at_]) != std::string_view::npos) ++at_;
    if (spec.align == '<') spec.fill = " ";
    return spec;
  }

  Result<int64_t> width_or_star() {
    if (at_ >= format_.size() || format_[at_] != '*') return read_number(format_, at_);
    ++at_;
    TRY_ASSIGN(const Value value, next_value());
    if (!value.is_integer() || value.as_int() > kWidthMax || value.as_int() < 0) {
      return invalid_argument("* wants a width between 0 and 65536");
    }
    return value.as_int();
  }

  Status convert(const Value& value, Spec spec) {
    if (spec.type == 's' || spec.type == 'r' || spec.type == 'a') {
      spec.fill = " ";
      TRY_ASSIGN(const std::string text, spec.type == 's' ? in_.to_text(value) : repr_of(in_, value));
      out_ += format_text(text, spec);
      return {};
    }
    if (spec.type == 'c') {
      TRY_ASSIGN(const std::string text, format_character(value, spec));
      out_ += text;
      return {};
    }
    TRY(Interpreter::require_defined(value));
    TRY_ASSIGN(const std::string text, number(value, spec));
    out_ += text;
    return {};
  }

  Result<std::string> number(const Value& value, Spec spec) {
    if (spec.fill == "0" && spec.align == '>') spec.align = '=';
    const bool integer = std::string_view("diuxXo").find(spec.type) != std::string_view::npos;
    if (!integer && std::string_view("eEfFgG").find(spec.type) == std::string_view::npos) {
      return invalid_argument(fmt::format("unsupported format character '{}'", printable(spec.type)));
    }
    if (!value.is_number()) {
      return invalid_argument(
          fmt::format("%{} format: a real number is required, not {}", spec.type, value.type_name()));
    }
    if (!integer) return format_float(value.to_double(), spec);
    if (value.is_integer()) return format_integer(value.as_int(), spec);
    if (spec.type == 'x' || spec.type == 'X' || spec.type == 'o') {
      return invalid_argument(fmt::format("%{} format: an integer is required, not float", spec.type));
    }
    const double truncated = std::trunc(value.as_float());
    if (!(std::abs(truncated) < 9.2e18)) return invalid_argument("an integer does not fit in 64 bits");
    return format_integer(static_cast<int64_t>(truncated), spec);
  }

  static std::string printable(char c) { return c >= 0x20 && c < 0x7F ? std::string(1, c) : std::string("?"); }

  Interpreter& in_;
  std::string_view format_;
  const Value& values_;
  const bool tuple_;
  size_t at_ = 0;
  size_t used_ = 0;
  std::string out_;
};

// --- "...".format(values) ---

// [[fill]align][sign][#][0][width][grouping][.precision][type]
Result<Spec> parse_spec(std::string_view text) {
  Spec spec;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  const size_t first = text.empty() ? 0 : byte_offset(text, 1);
  if (first < text.size() && is_align(text[first])) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    at = first + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[0];
    at = 1;
  }
  const auto take = [&](std::string_view any) -> char {
    return at < text.size() && any.find(text[at]) != std::string_view::npos ? text[at++] : '\0';
  };
  if (const char sign = take("+- ")) spec.sign = sign;
  spec.alternate = take("#") != 0;
  if (take("0") != 0 && spec.align == 0) {
    spec.fill = "0";
    spec.align = '=';
  }
  TRY_ASSIGN(spec.width, read_number(text, at));
  spec.grouping = take(",_");
  if (take(".") != 0) {
    TRY_ASSIGN(spec.precision, read_number(text, at));
  }
  spec.type = take("sdbcoxXneEfFgG%");
  if (at != text.size()) return invalid_argument(fmt::format("Invalid format specifier '{}'", text));
  return spec;
}

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& in, const Arguments& args) : in_(in), args_(args) {}

  Result<std::string> run(std::string_view format, int depth) {
    if (depth > 2) return invalid_argument("Max string recursion exceeded");
    std::string out;
    for (size_t at = 0; at < format.size();) {
      const char c = format[at];
      if (c != '{' && c != '}') {
        out += c;
        ++at;
        continue;
      }
      if (at + 1 < format.size() && format[at + 1] == c) {
        out += c;
        at += 2;
        continue;
      }
      if (c == '}') return invalid_argument("Single '}' encountered in format string");
      TRY_ASSIGN(const size_t end, field_end(format, at + 1));
      TRY_ASSIGN(const std::string text, field(format.substr(at + 1, end - at - 1), depth));
      out += text;
      if (out.size() > in_.output_bytes_max()) return invalid_argument("the formatted text is too long");
      at = end + 1;
    }
    return out;
  }

 private:
  static Result<size_t> field_end(std::string_view format, size_t at) {
    for (int open = 1; at < format.size(); ++at) {
      if (format[at] == '{') ++open;
      if (format[at] == '}' && --open == 0) return at;
    }
    return invalid_argument("expected '}' before end of string");
  }

  Result<std::string> field(std::string_view text, int depth) {
    const size_t name_end = std::min(text.find_first_of("!:"), text.size());
    TRY_ASSIGN(Value value, lookup(text.substr(0, name_end)));
    size_t at = name_end;
    if (at < text.size() && text[at] == '!') {
      if (at + 1 >= text.size()) return invalid_argument("end of string while looking for conversion specifier");
      const char conversion = text[at + 1];
      if (conversion != 's' && conversion != 'r') return invalid_argument("Unknown conversion specifier");
      TRY_ASSIGN(std::string converted, conversion == 's' ? in_.to_text(value) : repr_of(in_, value));
      value = Value::string(std::move(converted));
      at += 2;
    }
    std::string spec_text;
    if (at < text.size()) {
      if (text[at] != ':') return invalid_argument("expected ':' after conversion specifier");
      TRY_ASSIGN(spec_text, run(text.substr(at + 1), depth + 1));
    }
    return formatted(value, spec_text);
  }

  Result<Value> lookup(std::string_view name) {
    const size_t first_end = std::min(name.find_first_of(".["), name.size());
    TRY_ASSIGN(Value value, argument(name.substr(0, first_end)));
    std::string_view rest = name.substr(first_end);
    while (!rest.empty()) {
      const bool bracket = rest[0] == '[';
      const size_t end = bracket ? rest.find(']') : std::min(rest.find_first_of(".[", 1), rest.size());
      if (end == std::string_view::npos) return invalid_argument("Missing ']' in format string");
      const std::string key(rest.substr(1, end - 1));
      const bool index = !key.empty() && key.size() < 10 && key.find_first_not_of("0123456789") == std::string::npos;
      TRY_ASSIGN(value, in_.item(value, index && bracket ? Value::integer(std::stoll(key)) : Value::string(key)));
      rest.remove_prefix(end + (bracket ? 1 : 0));
    }
    return value;
  }

  Result<Value> argument(std::string_view name) {
    const bool automatic = name.empty();
    if (automatic || (name.size() < 10 && name.find_first_not_of("0123456789") == std::string_view::npos)) {
      const size_t index = automatic ? next_++ : static_cast<size_t>(std::stoll(std::string(name)));
      if (index < args_.positional.size()) return args_.positional[index];
      return invalid_argument(fmt::format("Replacement index {} out of range for positional args tuple", index));
    }
    for (const auto& [known, value] : args_.named) {
      if (known == name) return value;
    }
    return invalid_argument(fmt::format("format(): no argument named '{}'", name));
  }

  Result<std::string> formatted(const Value& value, std::string_view spec_text) {
    if (spec_text.empty()) return in_.to_text(value);
    TRY_ASSIGN(Spec spec, parse_spec(spec_text));
    if (value.is_string()) {
      if ((spec.type != 0 && spec.type != 's') || spec.align == '=') {
        return invalid_argument(fmt::format("Unknown format code '{}' for object of type 'str'", spec.type));
      }
      return format_text(value.as_string(), spec);
    }
    if (!value.is_number()) {
      return invalid_argument(fmt::format("unsupported format string passed to {}.__format__", value.type_name()));
    }
    if (spec.type == 's') return invalid_argument("Unknown format code 's' for a number");
    if (value.is_float() || std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos) {
      if (spec.type != 0) return format_float(value.to_double(), spec);
      return value.is_float() ? format_float(value.as_float(), spec) : format_integer(value.as_int(), spec);
    }
    if (spec.type == 'c') return format_character(value, spec);
    return format_integer(value.as_int(), spec);
  }

  Interpreter& in_;
  const Arguments& args_;
  size_t next_ = 0;
};

}  // namespace

Result<std::string> format_percent(Interpreter& interpreter, std::string_view format, const Value& values) {
  return PercentFormatter(interpreter, format, values).run();
}

Result<std::string> format_braces(Interpreter& interpreter, std::string_view format, const Arguments& args) {
  return BraceFormatter(interpreter, args).run(format, 0);
}

}  // namespace cove::text::jinja

#include "text/chat/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "text/chat/jinja/format.h"
#include "text/chat/jinja/interpreter.h"
#include "text/chat/jinja/unicode.h"

namespace cove::text::jinja {
namespace {

std::string_view sign_of(Op op) {
  switch (op) {
    case Op::kAdd: return "+";
    case Op::kSub: return "-";
    case Op::kMul: return "*";
    case Op::kDiv: return "/";
    case Op::kFloorDiv: return "//";
    case Op::kMod: return "%";
    case Op::kPow: return "** or pow()";
    case Op::kLt: return "<";
    case Op::kLe: return "<=";
    case Op::kGt: return ">";
    case Op::kGe: return ">=";
    default: return "?";
  }
}

Error unsupported(Op op, const Value& a, const Value& b) {
  if (op == Op::kAdd && (a.is_string() || a.is_sequence(Sequence::kList) || a.is_sequence(Sequence::kTuple))) {
    return invalid_argument(
        fmt::format("can only concatenate {} (not \"{}\") to {}", a.type_name(), b.type_name(), a.type_name()));
  }
  return invalid_argument(
      fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", sign_of(op), a.type_name(), b.type_name()));
}

Error overflow() { return invalid_argument("an integer does not fit in 64 bits"); }

Result<Value> integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return invalid_argument("0.0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return overflow();
  }
  return Value::integer(result);
}

Result<Value> integer_arithmetic(Op op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case Op::kAdd: return __builtin_add_overflow(a, b, &result) ? Result<Value>(overflow()) : Value::integer(result);
    case Op::kSub: return __builtin_sub_overflow(a, b, &result) ? Result<Value>(overflow()) : Value::integer(result);
    case Op::kMul: return __builtin_mul_overflow(a, b, &result) ? Result<Value>(overflow()) : Value::integer(result);
    case Op::kPow: return integer_power(a, b);
    default: break;
  }
  if (b == 0) return invalid_argument(op == Op::kDiv ? "division by zero" : "integer division or modulo by zero");
  if (op == Op::kDiv) return Value::real(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) {
    if (op == Op::kMod) return Value::integer(0);
    return a == INT64_MIN ? Result<Value>(overflow()) : Value::integer(-a);
  }
  const bool adjust = a % b != 0 && ((a < 0) != (b < 0));
  if (op == Op::kMod) return Value::integer(adjust ? a % b + b : a % b);
  return Value::integer(a / b - (adjust ? 1 : 0));
}

double float_mod(double a, double b) {
  double rest = std::fmod(a, b);
  if (rest != 0 && ((b < 0) != (rest < 0))) rest += b;
  return rest == 0 ? std::copysign(0.0, b) : rest;
}

Result<Value> float_arithmetic(Op op, double a, double b) {
  switch (op) {
    case Op::kAdd: return Value::real(a + b);
    case Op::kSub: return Value::real(a - b);
    case Op::kMul: return Value::real(a * b);
    case Op::kPow:
      if (a == 0 && b < 0) return invalid_argument("0.0 cannot be raised to a negative power");
      if (a < 0 && b != std::floor(b)) return invalid_argument("a complex number is not supported");
      return Value::real(std::pow(a, b));
    default: break;
  }
  if (b == 0) return invalid_argument(op == Op::kDiv ? "float division by zero" : "float floor division by zero");
  if (op == Op::kDiv) return Value::real(a / b);
  if (op == Op::kMod) return Value::real(float_mod(a, b));
  return Value::real(std::floor((a - float_mod(a, b)) / b + 0.5));
}

bool is_plain_sequence(const Value& value) {
  return value.is_sequence(Sequence::kList) || value.is_sequence(Sequence::kTuple);
}

Result<Value> repeat(Interpreter& interpreter, const Value& value, int64_t times) {
  const size_t size = value.is_string() ? value.as_string().size() : value.items().size() * sizeof(Value);
  const auto count = static_cast<size_t>(std::max<int64_t>(times, 0));
  if (size > 0 && count > interpreter.output_bytes_max() / size) {
    return invalid_argument(fmt::format("repeating {} times makes a value longer than the limit of {} bytes", times,
                                        interpreter.output_bytes_max()));
  }
  TRY(interpreter.charge(size * count));
  if (value.is_string()) {
    std::string text;
    text.reserve(size * count);
    for (size_t i = 0; size > 0 && i < count; ++i) text += value.as_string();
    return Value::string(std::move(text));
  }
  std::vector<Value> items;
  for (size_t i = 0; size > 0 && i < count; ++i) items.insert(items.end(), value.items().begin(), value.items().end());
  return Value::list(std::move(items), value.list_object().sequence);
}

Result<Value> add(Interpreter& interpreter, const Value& a, const Value& b) {
  if (a.is_string() && b.is_string()) {
    TRY(interpreter.charge(a.as_string().size() + b.as_string().size()));
    if (a.as_string().size() + b.as_string().size() > interpreter.output_bytes_max()) {
      return invalid_argument(
          fmt::format("a string is longer than the limit of {} bytes", interpreter.output_bytes_max()));
    }
    return concat_text(a, b);
  }
  if (is_plain_sequence(a) && b.is_list() && b.list_object().sequence == a.list_object().sequence) {
    TRY(interpreter.charge((a.items().size() + b.items().size()) * sizeof(Value)));
    std::vector<Value> items = a.items();
    items.insert(items.end(), b.items().begin(), b.items().end());
    return Value::list(std::move(items), a.list_object().sequence);
  }
  return unsupported(Op::kAdd, a, b);
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

Value concat_text(const Value& a, const Value& b) {
  const bool safe_a = a.string_object().safe;
  const bool safe_b = b.string_object().safe;
  std::string text;
  if (!safe_a && !safe_b) {
    text.reserve(a.as_string().size() + b.as_string().size());
    text += a.as_string();
    text += b.as_string();
    return Value::string(std::move(text));
  }
  text = safe_a ? std::string(a.as_string()) : escape_html(a.as_string());
  text += safe_b ? std::string(b.as_string()) : escape_html(b.as_string());
  return Value::safe_string(std::move(text));
}

Result<Value> arithmetic(Interpreter& interpreter, Op op, const Value& a, const Value& b) {
  TRY(Interpreter::require_defined(a));
  if (op == Op::kMod && a.is_string()) {
    TRY_ASSIGN(std::string text, format_percent(interpreter, a.as_string(), b));
    return interpreter.make_string(std::move(text));
  }
  TRY(Interpreter::require_defined(b));
  if (a.is_integer() && b.is_integer()) return integer_arithmetic(op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return float_arithmetic(op, a.to_double(), b.to_double());
  if (op == Op::kAdd) return add(interpreter, a, b);
  if (op == Op::kMul) {
    const bool repeats_a = a.is_string() || is_plain_sequence(a);
    const bool repeats_b = b.is_string() || is_plain_sequence(b);
    if (repeats_a && b.is_integer()) return repeat(interpreter, a, b.as_int());
    if (repeats_b && a.is_integer()) return repeat(interpreter, b, a.as_int());
  }
  return unsupported(op, a, b);
}

Result<Value> negate(const Value& value) {
  if (value.is_integer()) {
    if (value.as_int() == INT64_MIN) return overflow();
    return Value::integer(-value.as_int());
  }
  if (value.is_float()) return Value::real(-value.as_float());
  return invalid_argument(fmt::format("bad operand type for unary -: '{}'", value.type_name()));
}

Result<bool> holds(Interpreter& interpreter, Op op, const Value& a, const Value& b) {
  Budget& budget = interpreter.budget();
  if (op == Op::kEq) return equals(a, b, budget);
  if (op == Op::kNe) return !equals(a, b, budget);
  if (op == Op::kIn) return contains(interpreter, b, a);
  if (op == Op::kNotIn) {
    TRY_ASSIGN(const bool found, contains(interpreter, b, a));
    return !found;
  }
  TRY(Interpreter::require_defined(a));
  TRY(Interpreter::require_defined(b));
  TRY_ASSIGN(const int order, compare(a, b, sign_of(op), budget));
  if (op == Op::kLt) return order == -1;
  if (op == Op::kLe) return order == -1 || order == 0;
  if (op == Op::kGt) return order == 1;
  return order == 1 || order == 0;
}

Result<bool> contains(Interpreter& interpreter, const Value& container, const Value& item) {
  if (container.is_string()) {
    if (!item.is_string()) {
      return invalid_argument(fmt::format("'in <string>' requires string as left operand, not {}", item.type_name()));
    }
    TRY(interpreter.charge(container.as_string().size()));
    return container.as_string().find(item.as_string()) != std::string_view::npos;
  }
  if (container.is_dict()) {
    TRY(check_hashable(item));
    return container.dict_object().find(item, interpreter.budget()) != nullptr;
  }
  if (!container.is_list() && !container.is_undefined()) {
    return invalid_argument(fmt::format("argument of type '{}' is not iterable", container.type_name()));
  }
  TRY_ASSIGN(const std::vector<Value> items, interpreter.iterate(container));
  return std::any_of(items.begin(), items.end(), [&](const Value& v) { return equals(v, item, interpreter.budget()); });
}

namespace {

struct Steps {
  int64_t start = 0;
  int64_t count = 0;
  int64_t step = 1;
};

// Python's slice.indices().
Result<Steps> resolve(const SliceBounds& bounds, int64_t size) {
  Steps steps;
  steps.step = bounds.step.value_or(1);
  if (steps.step == 0) return invalid_argument("slice step cannot be zero");
  const bool forward = steps.step > 0;
  const int64_t low = forward ? 0 : -1;
  const int64_t high = forward ? size : size - 1;
  const auto clamp = [&](std::optional<int64_t> bound, int64_t fallback) {
    if (!bound) return fallback;
    return std::clamp(*bound < 0 ? *bound + size : *bound, low, high);
  };
  steps.start = clamp(bounds.start, forward ? low : high);
  const int64_t stop = clamp(bounds.stop, forward ? high : low);
  const int64_t distance = forward ? stop - steps.start : steps.start - stop;
  if (distance <= 0) return steps;
  // The magnitude of INT64_MIN does not fit; such a step takes one element like any other that is larger than the
  // distance.
  const int64_t magnitude = forward ? steps.step : steps.step == INT64_MIN ? INT64_MAX : -steps.step;
  steps.count = (distance - 1) / magnitude + 1;
  return steps;
}

std::string slice_text(std::string_view text, const Steps& steps) {
  if (steps.count == 0) return {};
  if (steps.step == 1) {
    const std::string_view rest = text.substr(byte_offset(text, static_cast<size_t>(steps.start)));
    return std::string(rest.substr(0, byte_offset(rest, static_cast<size_t>(steps.count))));
  }
  const std::vector<std::string_view> characters = split_code_points(text);
  std::string out;
  int64_t at = steps.start;
  for (int64_t i = 0; i < steps.count; ++i) {
    out += characters[static_cast<size_t>(at)];
    if (i + 1 < steps.count) at += steps.step;
  }
  return out;
}

}  // namespace

Result<Value> slice(Interpreter& interpreter, const Value& value, const SliceBounds& bounds) {
  TRY(Interpreter::require_defined(value));
  if (value.is_string()) {
    TRY(interpreter.charge(value.as_string().size() * (bounds.step.value_or(1) == 1 ? 1 : 16)));
    const auto size = static_cast<int64_t>(count_code_points(value.as_string()));
    TRY_ASSIGN(const Steps steps, resolve(bounds, size));
    return interpreter.make_string(slice_text(value.as_string(), steps));
  }
  const bool can_slice = value.is_list() && (value.list_object().sequence <= Sequence::kRange ||
                                             value.list_object().sequence == Sequence::kGroup);
  if (!can_slice) {
    // Jinja's getitem turns the TypeError of an unsliceable value into Undefined only for `[]` with a key; slices are
    // errors.
    return invalid_argument(fmt::format("'{}' object is not subscriptable", value.type_name()));
  }
  TRY_ASSIGN(const Steps steps, resolve(bounds, static_cast<int64_t>(value.items().size())));
  TRY(interpreter.charge(static_cast<size_t>(steps.count) * sizeof(Value)));
  std::vector<Value> items;
  int64_t at = steps.start;
  for (int64_t i = 0; i < steps.count; ++i) {
    items.push_back(value.items()[static_cast<size_t>(at)]);
    if (i + 1 < steps.count) at += steps.step;
  }
  const Sequence sequence = value.is_sequence(Sequence::kTuple) ? Sequence::kTuple : Sequence::kList;
  return Value::list(std::move(items), sequence);
}

}  // namespace cove::text::jinja

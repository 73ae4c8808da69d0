#include "text/chat/jinja/globals.h"

#include <ctime>

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include "base/utf8.h"
#include "text/chat/jinja/interpreter.h"

namespace cove::text::jinja {
namespace {

using Args = const Arguments&;

// As in Jinja's sandbox.
constexpr int64_t kRangeMax = 100'000;

struct Function final : CallableObject {
  Result<Value> (*run)(Interpreter&, Args) = nullptr;
  const char* type_name() const override { return "function"; }
  Result<Value> call(Interpreter& interpreter, const Arguments& args) override { return run(interpreter, args); }
};

Result<Value> range(Interpreter& in, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("range", args, {"start", "stop", "step"}, 1));
  for (const Value& value : args.positional) TRY(Interpreter::require_defined(value));
  TRY_ASSIGN(const int64_t first, p.integer(0, 0));
  TRY_ASSIGN(const int64_t stop, p.integer(1, first));
  TRY_ASSIGN(const int64_t step, p.integer(2, 1));
  const int64_t start = p.has(1) ? first : 0;
  if (step == 0) return invalid_argument("range() arg 3 must not be zero");
  std::vector<Value> items;
  int64_t at = start;
  while (step > 0 ? at < stop : at > stop) {
    if (static_cast<int64_t>(items.size()) >= kRangeMax) {
      return invalid_argument(fmt::format("Range too big. The sandbox blocks ranges larger than {}.", kRangeMax));
    }
    items.push_back(Value::integer(at));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  TRY(in.charge(items.size() * sizeof(Value)));
  auto object = std::make_unique<ListObject>(std::move(items), Sequence::kRange);
  object->range_start = start;
  object->range_stop = stop;
  object->range_step = step;
  return Value(std::move(object));
}

Status add_pairs(Interpreter& in, const Value& source, DictObject& out) {
  if (source.is_dict()) {
    for (const auto& [key, value] : source.dict_object().entries) {
      TRY(in.charge(64));
      out.set(key, value, in.budget());
    }
    return {};
  }
  TRY_ASSIGN(const std::vector<Value> pairs, in.iterate(source));
  for (const Value& pair : pairs) {
    TRY_ASSIGN(const std::vector<Value> parts, in.iterate(pair));
    if (parts.size() != 2) return invalid_argument("dict() needs pairs of a key and a value");
    TRY(check_hashable(parts[0]));
    TRY(in.charge(64));
    out.set(parts[0], parts[1], in.budget());
  }
  return {};
}

Result<Value> make_dict(Interpreter& in, Args args) {
  if (args.positional.size() > 1) return invalid_argument("dict expected at most 1 argument");
  auto dict = std::make_unique<DictObject>();
  if (!args.positional.empty()) TRY(add_pairs(in, args.positional[0], *dict));
  for (const auto& [name, value] : args.named) dict->set(Value::string(name), value, in.budget());
  return Value::dict(std::move(dict));
}

Result<Value> make_namespace(Interpreter& in, Args args) {
  TRY_ASSIGN(const Value dict, make_dict(in, args));
  TRY(in.charge(256));
  const Value ns = in.new_namespace();
  for (const auto& [key, value] : dict.dict_object().entries) {
    if (!key.is_string()) return invalid_argument("the names of a namespace must be strings");
    TRY(in.charge(ns.namespace_object().attributes.size() * 32));
    ns.namespace_object().set(key.as_string(), value);
  }
  return ns;
}

Result<Value> raise_exception(Interpreter& in, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("raise_exception", args, {"message"}, 1));
  TRY_ASSIGN(std::string message, in.to_text(*p.get(0)));
  return in.raise(std::move(message));
}

Result<Value> strftime_now(Interpreter& in, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("strftime_now", args, {"format"}, 1));
  TRY_ASSIGN(const std::string_view format, p.string(0, {}));
  if (format.size() > 1024) return invalid_argument("strftime_now(): the format is longer than 1024 bytes");
  const auto now = static_cast<std::time_t>(in.now_unix_s());
  std::tm parts{};
  if (localtime_r(&now, &parts) == nullptr) return invalid_argument("strftime_now(): the time is out of range");
  // A mark at the end tells an empty result from one that did not fit.
  const std::string marked = std::string(format) + "|";
  std::string text(64 * 1024, '\0');
  const size_t length = std::strftime(text.data(), text.size(), marked.c_str(), &parts);
  if (length == 0) return invalid_argument("strftime_now(): the result is too long");
  text.resize(length - 1);
  return in.make_string(replace_invalid_utf8(text));
}

// cycler(a, b).next() and joiner(", ")().
struct Cycler final : CallableObject {
  std::vector<Value> items;
  size_t position = 0;

  struct Step final : CallableObject {
    Value owner;
    bool resets = false;
    const char* type_name() const override { return "method"; }
    Result<Value> call(Interpreter&, const Arguments&) override {
      auto& cycler = static_cast<Cycler&>(owner.callable_object());
      const size_t now = cycler.position;
      cycler.position = resets ? 0 : (now + 1) % cycler.items.size();
      return resets ? Value::none() : cycler.items[now];
    }
  };

  const char* type_name() const override { return "Cycler"; }
  Result<Value> call(Interpreter&, const Arguments&) override {
    return invalid_argument("'Cycler' object is not callable");
  }
  Value attribute(std::string_view name) const override;
};

struct Joiner final : CallableObject {
  Value separator;
  bool used = false;
  const char* type_name() const override { return "Joiner"; }
  Result<Value> call(Interpreter&, const Arguments&) override {
    if (std::exchange(used, true)) return separator;
    return Value::string("");
  }
};

Value Cycler::attribute(std::string_view name) const {
  if (name == "current") return items[position];
  if (name != "next" && name != "reset") return CallableObject::attribute(name);
  auto step = std::make_unique<Step>();
  step->resets = name == "reset";
  step->depth = static_cast<uint16_t>(depth + 1);
  // The cycler counts one more owner; it is only const here because looking up an attribute does not change it.
  auto* self = const_cast<Cycler*>(this);
  step->owner = Value::borrow(*self);
  return Value(std::move(step));
}

Result<Value> make_cycler(Interpreter& in, Args args) {
  if (args.positional.empty()) return invalid_argument("at least one item has to be provided");
  TRY(in.charge(64));
  auto cycler = std::make_unique<Cycler>();
  cycler->items = args.positional;
  for (const Value& item : cycler->items) {
    cycler->depth = static_cast<uint16_t>(std::max<int>(cycler->depth, item.depth() + 1));
  }
  return Value(std::move(cycler));
}

Result<Value> make_joiner(Interpreter& in, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("joiner", args, {"sep"}));
  TRY(in.charge(64));
  auto joiner = std::make_unique<Joiner>();
  joiner->separator = p.has(0) ? *p.get(0) : Value::string(", ");
  joiner->depth = static_cast<uint16_t>(joiner->separator.depth() + 1);
  return Value(std::move(joiner));
}

Value from_text(std::string_view text) {
  return Value::string(is_valid_utf8(text) ? std::string(text) : replace_invalid_utf8(text));
}

Value from_array(const json::array& array, int depth_left) {
  std::vector<Value> items;
  items.reserve(array.size());
  for (const json::value& item : array) items.push_back(from_json(item, depth_left - 1));
  return Value::list(std::move(items));
}

Value from_object(const json::object& object, int depth_left) {
  auto dict = std::make_unique<DictObject>();
  dict->entries.reserve(object.size());
  for (const auto& [key, member] : object) dict->add(from_text(key), from_json(member, depth_left - 1));
  return Value::dict(std::move(dict));
}

}  // namespace

std::optional<Value> global_function(std::string_view name) {
  static constexpr std::pair<std::string_view, Result<Value> (*)(Interpreter&, Args)> kFunctions[] = {
      {"range", range},
      {"dict", make_dict},
      {"namespace", make_namespace},
      {"raise_exception", raise_exception},
      {"strftime_now", strftime_now},
      {"cycler", make_cycler},
      {"joiner", make_joiner},
  };
  for (const auto& [known, run] : kFunctions) {
    if (known != name) continue;
    auto function = std::make_unique<Function>();
    function->run = run;
    return Value(std::move(function));
  }
  return std::nullopt;
}

Value from_json(const json::value& value, int depth_left) {
  if (depth_left <= 0) return Value::undefined("a value of the request is nested too deep");
  switch (value.kind()) {
    case json::kind::null: return Value::none();
    case json::kind::bool_: return Value::boolean(value.get_bool());
    case json::kind::int64: return Value::integer(value.get_int64());
    case json::kind::uint64:
      return value.get_uint64() <= INT64_MAX ? Value::integer(static_cast<int64_t>(value.get_uint64()))
                                             : Value::real(static_cast<double>(value.get_uint64()));
    case json::kind::double_: return Value::real(value.get_double());
    case json::kind::string: return from_text(value.get_string());
    case json::kind::array: return from_array(value.get_array(), depth_left);
    case json::kind::object: return from_object(value.get_object(), depth_left);
  }
  return Value::none();
}

}  // namespace cove::text::jinja

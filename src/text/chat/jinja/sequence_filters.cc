// Filters that pick, change or group the items of a sequence.
#include <algorithm>

#include <fmt/format.h>

#include "text/chat/jinja/filter_functions.h"
#include "text/chat/jinja/interpreter.h"
#include "text/chat/jinja/methods.h"
#include "text/chat/jinja/unicode.h"

namespace cove::text::jinja {
namespace {

using Args = const Arguments&;

Result<Value> default_value(Interpreter&, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("default", args, {"default_value", "boolean"}));
  const bool use = subject.is_undefined() || (p.truthy(1, false) && !subject.truthy());
  if (!use) return subject;
  return p.has(0) ? *p.get(0) : Value::string("");
}

Result<Value> length(Interpreter&, const Value& subject, Args args) {
  TRY(Parameters::bind("length", args, {}));
  const auto number = [](size_t n) { return Value::integer(static_cast<int64_t>(n)); };
  if (subject.is_undefined()) return number(0);
  if (subject.is_string()) return number(count_code_points(subject.as_string()));
  if (subject.is_dict()) return number(subject.dict_object().entries.size());
  if (subject.is_list() && !subject.is_sequence(Sequence::kGenerator)) return number(subject.items().size());
  return invalid_argument(fmt::format("object of type '{}' has no len()", subject.type_name()));
}

Result<Value> first(Interpreter& in, const Value& subject, Args args) {
  TRY(Parameters::bind("first", args, {}));
  TRY_ASSIGN(const std::vector<Value> items, in.iterate(subject));
  return items.empty() ? Value::undefined("No first item, sequence was empty.") : items.front();
}

Result<Value> last(Interpreter& in, const Value& subject, Args args) {
  TRY(Parameters::bind("last", args, {}));
  if (subject.is_sequence(Sequence::kGenerator)) return invalid_argument("'generator' object is not reversible");
  if (subject.is_list()) {
    return subject.items().empty() ? Value::undefined("No last item, sequence was empty.") : subject.items().back();
  }
  TRY_ASSIGN(const std::vector<Value> items, in.iterate(subject));
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Result<Value> to_list(Interpreter& in, const Value& subject, Args args) {
  TRY(Parameters::bind("list", args, {}));
  TRY_ASSIGN(std::vector<Value> items, in.iterate(subject));
  return Value::list(std::move(items));
}

Result<Value> join(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("join", args, {"d", "attribute"}));
  std::string separator;
  if (p.has(0)) {
    TRY_ASSIGN(separator, in.to_text(*p.get(0)));
  }
  TRY_ASSIGN(const std::vector<Value> items, in.iterate(subject));
  std::string text;
  for (size_t i = 0; i < items.size() && text.size() <= in.output_bytes_max(); ++i) {
    if (i > 0) text += separator;
    Value item = items[i];
    if (p.has(1) && !p.get(1)->is_none()) {
      TRY_ASSIGN(item, get_by_path(in, item, *p.get(1), nullptr));
    }
    TRY_ASSIGN(const std::string piece, in.to_text(item));
    text += piece;
  }
  return in.make_string(std::move(text));
}

Result<Value> reverse(Interpreter& in, const Value& subject, Args args) {
  TRY(Parameters::bind("reverse", args, {}));
  if (subject.is_string()) {
    TRY(in.charge(subject.as_string().size() * 16));
    std::vector<std::string_view> characters = split_code_points(subject.as_string());
    std::string text;
    for (auto it = characters.rbegin(); it != characters.rend(); ++it) text += *it;
    return in.make_string(std::move(text));
  }
  const Result<std::vector<Value>> items = in.iterate(subject);
  if (!items) return invalid_argument("argument must be iterable");
  return Value::generator({items->rbegin(), items->rend()});
}

Result<Value> item_pairs(Interpreter& in, const Value& subject, Args args) {
  TRY(Parameters::bind("items", args, {}));
  if (subject.is_undefined()) return Value::generator({});
  if (!subject.is_dict()) return invalid_argument("Can only get item pairs from a mapping.");
  TRY_ASSIGN(const Value view, find_method(subject, "items")(in, subject, {}));
  return Value::generator(view.items());
}

Result<Value> attribute(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("attr", args, {"name"}, 1));
  TRY_ASSIGN(const std::string_view name, p.string(0, {}));
  if (subject.is_dict() && find_method(subject, name) == nullptr) return Value::missing("dict", *p.get(0));
  return in.attribute(subject, *p.get(0));
}

Result<Value> map_attribute(Interpreter& in, const std::vector<Value>& items, Args args) {
  const Value* path = nullptr;
  const Value* fallback = nullptr;
  for (const auto& [name, value] : args.named) {
    if (name == "attribute") {
      path = &value;
    } else if (name == "default") {
      fallback = value.is_none() ? nullptr : &value;
    } else {
      return invalid_argument(fmt::format("Unexpected keyword argument '{}'", name));
    }
  }
  if (path == nullptr) return invalid_argument("map requires a filter argument");
  std::vector<Value> out;
  for (const Value& item : items) {
    TRY_ASSIGN(Value value, get_by_path(in, item, *path, fallback));
    out.push_back(std::move(value));
  }
  return Value::generator(std::move(out));
}

// map('upper'), map(attribute='name')
Result<Value> map(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const std::vector<Value> items, iterate_if_truthy(in, subject));
  if (args.positional.empty()) return map_attribute(in, items, args);
  if (!args.positional[0].is_string()) return invalid_argument("map(): the name of the filter must be a string");
  Arguments rest;
  rest.positional.assign(args.positional.begin() + 1, args.positional.end());
  rest.named = args.named;
  std::vector<Value> out;
  for (const Value& item : items) {
    TRY_ASSIGN(Value value, in.apply_filter(args.positional[0].as_string(), item, rest));
    out.push_back(std::move(value));
  }
  return Value::generator(std::move(out));
}

enum class Keep { kPassing, kFailing };
enum class Look { kAtItem, kAtAttribute };

// select(test, ...), selectattr(attribute, test, ...) and their opposites; without a test, truthiness.
template <Keep kKeep, Look kLook>
Result<Value> select(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const std::vector<Value> items, iterate_if_truthy(in, subject));
  constexpr size_t kTestAt = kLook == Look::kAtAttribute ? 1 : 0;
  if (args.positional.size() < kTestAt) return invalid_argument("Missing parameter for attribute name");
  const Value* test = args.positional.size() > kTestAt ? &args.positional[kTestAt] : nullptr;
  if (test != nullptr && !test->is_string()) return invalid_argument("the name of a test must be a string");
  Arguments rest;
  if (test != nullptr) rest.positional.assign(args.positional.begin() + kTestAt + 1, args.positional.end());
  rest.named = args.named;
  std::vector<Value> out;
  for (const Value& item : items) {
    Value looked_at = item;
    if constexpr (kLook == Look::kAtAttribute) {
      TRY_ASSIGN(looked_at, get_by_path(in, item, args.positional[0], nullptr));
    }
    bool passes = looked_at.truthy();
    if (test != nullptr) {
      TRY_ASSIGN(passes, in.apply_test(test->as_string(), looked_at, rest));
    }
    if (passes == (kKeep == Keep::kPassing)) out.push_back(item);
  }
  return Value::generator(std::move(out));
}

Result<Value> batch(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("batch", args, {"linecount", "fill_with"}, 1));
  TRY_ASSIGN(const int64_t size, p.integer(0, 1));
  if (size <= 0 || size > 1'000'000) return invalid_argument("batch(): the size must be between 1 and 1000000");
  TRY_ASSIGN(const std::vector<Value> items, in.iterate(subject));
  std::vector<Value> batches;
  std::vector<Value> current;
  for (const Value& item : items) {
    current.push_back(item);
    if (static_cast<int64_t>(current.size()) == size) batches.push_back(Value::list(std::exchange(current, {})));
  }
  if (!current.empty()) {
    if (p.has(1) && !p.get(1)->is_none()) {
      TRY(in.charge(static_cast<size_t>(size) * sizeof(Value)));
      current.resize(static_cast<size_t>(size), *p.get(1));
    }
    batches.push_back(Value::list(std::move(current)));
  }
  return Value::generator(std::move(batches));
}

Result<Value> slices(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("slice", args, {"slices", "fill_with"}, 1));
  TRY_ASSIGN(const int64_t count, p.integer(0, 1));
  if (count <= 0 || count > 1'000'000) return invalid_argument("slice(): the number must be between 1 and 1000000");
  TRY_ASSIGN(const std::vector<Value> items, in.iterate(subject));
  TRY(in.charge(static_cast<size_t>(count) * 64));
  const size_t parts = static_cast<size_t>(count);
  const size_t each = items.size() / parts;
  const size_t longer = items.size() % parts;
  std::vector<Value> out;
  auto at = items.begin();
  for (size_t i = 0; i < parts; ++i) {
    const auto end = at + static_cast<std::ptrdiff_t>(each + (i < longer ? 1 : 0));
    std::vector<Value> part(at, end);
    at = end;
    if (p.has(1) && !p.get(1)->is_none() && i >= longer) part.push_back(*p.get(1));
    out.push_back(Value::list(std::move(part)));
  }
  return Value::generator(std::move(out));
}

constexpr FilterEntry kFilters[] = {
    {"default", default_value},
    {"d", default_value},
    {"length", length},
    {"count", length},
    {"first", first},
    {"last", last},
    {"list", to_list},
    {"join", join},
    {"reverse", reverse},
    {"items", item_pairs},
    {"attr", attribute},
    {"map", map},
    {"select", select<Keep::kPassing, Look::kAtItem>},
    {"reject", select<Keep::kFailing, Look::kAtItem>},
    {"selectattr", select<Keep::kPassing, Look::kAtAttribute>},
    {"rejectattr", select<Keep::kFailing, Look::kAtAttribute>},
    {"batch", batch},
    {"slice", slices},
};

}  // namespace

Result<std::vector<Value>> iterate_if_truthy(Interpreter& interpreter, const Value& value) {
  if (!value.truthy()) return std::vector<Value>();
  return interpreter.iterate(value);
}

Result<Value> get_by_path(Interpreter& interpreter, const Value& value, const Value& path, const Value* fallback) {
  if (!path.is_string()) return interpreter.item(value, path);
  Value at = value;
  std::string_view rest = path.as_string();
  while (true) {
    const size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    const bool index =
        !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string_view::npos;
    const Value key = index ? Value::integer(std::stoll(std::string(part))) : Value::string(std::string(part));
    TRY_ASSIGN(at, interpreter.item(at, key));
    if (at.is_undefined() && fallback != nullptr) at = *fallback;
    if (dot == std::string_view::npos) return at;
    rest.remove_prefix(dot + 1);
  }
}

std::span<const FilterEntry> sequence_filters() { return kFilters; }

}  // namespace cove::text::jinja

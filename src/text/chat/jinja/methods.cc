#include "text/chat/jinja/methods.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>

#include <fmt/format.h>

#include "text/chat/jinja/interpreter.h"
#include "text/chat/jinja/string_methods.h"

namespace cove::text::jinja {
namespace {

using Args = const Arguments&;
using Table = std::unordered_map<std::string_view, Method>;

Method find_in(const Table& table, std::string_view name) {
  const auto found = table.find(name);
  return found == table.end() ? nullptr : found->second;
}

Result<Value> refuse_change(Interpreter&, const Value& self, Args) {
  return invalid_argument(fmt::format("a template may not change a {}: the sandbox is immutable", self.type_name()));
}

// --- dict ---

Result<Value> dict_get(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("get", args, {"key", "default"}, 1));
  TRY(check_hashable(*p.get(0)));
  if (const Value* found = self.dict_object().find(*p.get(0), in.budget())) return *found;
  return p.has(1) ? *p.get(1) : Value::none();
}

enum class Part { kKeys, kValues, kItems };
template <Part kPart>
Result<Value> dict_view(Interpreter& in, const Value& self, Args args) {
  TRY(Parameters::bind("dict view", args, {}));
  const auto& entries = self.dict_object().entries;
  TRY(in.charge(entries.size() * (kPart == Part::kItems ? 96 : sizeof(Value))));
  std::vector<Value> items;
  items.reserve(entries.size());
  for (const auto& [key, value] : entries) {
    items.push_back(kPart == Part::kKeys ? key : kPart == Part::kValues ? value : Value::tuple({key, value}));
  }
  constexpr Sequence kSequence = kPart == Part::kKeys     ? Sequence::kKeys
                                 : kPart == Part::kValues ? Sequence::kValues
                                                          : Sequence::kItems;
  return Value::list(std::move(items), kSequence);
}

Result<Value> copy(Interpreter&, const Value& self, Args args) {
  TRY(Parameters::bind("copy", args, {}));
  return self;  // nothing can change it
}

// --- list, tuple ---

Result<Value> list_count(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("count", args, {"value"}, 1));
  const auto n = std::count_if(self.items().begin(), self.items().end(),
                               [&](const Value& item) { return equals(item, *p.get(0), in.budget()); });
  return Value::integer(n);
}

Result<Value> list_index(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("index", args, {"value", "start", "stop"}, 1));
  const auto size = static_cast<int64_t>(self.items().size());
  TRY_ASSIGN(int64_t start, p.integer(1, 0));
  TRY_ASSIGN(int64_t stop, p.integer(2, size));
  if (start < 0) start = std::max<int64_t>(start + size, 0);
  if (stop < 0) stop += size;
  for (int64_t i = start; i < std::min(stop, size); ++i) {
    if (equals(self.items()[static_cast<size_t>(i)], *p.get(0), in.budget())) return Value::integer(i);
  }
  return invalid_argument("the value is not in the list");
}

// --- numbers ---

Result<Value> float_is_integer(Interpreter&, const Value& self, Args args) {
  TRY(Parameters::bind("is_integer", args, {}));
  return Value::boolean(std::isfinite(self.as_float()) && self.as_float() == std::floor(self.as_float()));
}

Result<Value> int_bit_length(Interpreter&, const Value& self, Args args) {
  TRY(Parameters::bind("bit_length", args, {}));
  uint64_t magnitude = static_cast<uint64_t>(self.as_int());
  if (self.as_int() < 0) magnitude = 0 - magnitude;
  return Value::integer(magnitude == 0 ? 0 : 64 - __builtin_clzll(magnitude));
}

Method find_dict_method(std::string_view name) {
  static const Table kTable = {
      {"get", dict_get},
      {"keys", dict_view<Part::kKeys>},
      {"values", dict_view<Part::kValues>},
      {"items", dict_view<Part::kItems>},
      {"copy", copy},
      {"update", refuse_change},
      {"pop", refuse_change},
      {"popitem", refuse_change},
      {"setdefault", refuse_change},
      {"clear", refuse_change},
  };
  return find_in(kTable, name);
}

Method find_list_method(Sequence sequence, std::string_view name) {
  static const Table kTable = {
      {"count", list_count},     {"index", list_index},      {"copy", copy},
      {"append", refuse_change}, {"extend", refuse_change},  {"insert", refuse_change},
      {"pop", refuse_change},    {"remove", refuse_change},  {"clear", refuse_change},
      {"sort", refuse_change},   {"reverse", refuse_change},
  };
  if (sequence == Sequence::kList) return find_in(kTable, name);
  const bool read_only = name == "count" || name == "index";
  const bool indexed = sequence == Sequence::kTuple || sequence == Sequence::kRange || sequence == Sequence::kGroup;
  return read_only && indexed ? find_in(kTable, name) : nullptr;
}

struct BoundMethod final : CallableObject {
  Value self;
  std::string name;
  Method method = nullptr;

  const char* type_name() const override { return "builtin_function_or_method"; }
  Result<Value> call(Interpreter& interpreter, const Arguments& args) override {
    return method(interpreter, self, args);
  }
};

}  // namespace

Method find_method(const Value& self, std::string_view name) {
  switch (self.kind()) {
    case Kind::kString: return find_string_method(name);
    case Kind::kDict: return find_dict_method(name);
    case Kind::kList: return find_list_method(self.list_object().sequence, name);
    case Kind::kFloat: return name == "is_integer" ? float_is_integer : nullptr;
    case Kind::kInt: return name == "bit_length" ? int_bit_length : nullptr;
    default: return nullptr;
  }
}

Value bind_method(const Value& self, std::string_view name, Method method) {
  auto bound = std::make_unique<BoundMethod>();
  bound->self = self;
  bound->name = name;
  bound->method = method;
  bound->depth = static_cast<uint16_t>(self.depth() + 1);
  return Value(std::move(bound));
}

}  // namespace cove::text::jinja

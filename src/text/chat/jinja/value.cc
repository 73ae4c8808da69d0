#include "text/chat/jinja/value.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "text/chat/jinja/callable.h"

namespace cove::text::jinja {
namespace {

constexpr size_t kIndexedDictSize = 9;

int compare_doubles(double a, double b) { return a < b ? -1 : a > b ? 1 : 0; }

// long double holds every int64 on the machines we run on, so ints and floats compare exactly.
int compare_numbers(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) {
    return a.as_int() < b.as_int() ? -1 : a.as_int() > b.as_int() ? 1 : 0;
  }
  if (a.is_float() && b.is_float()) return compare_doubles(a.as_float(), b.as_float());
  const auto wide = [](const Value& v) {
    return v.is_float() ? static_cast<long double>(v.as_float()) : static_cast<long double>(v.as_int());
  };
  return wide(a) < wide(b) ? -1 : wide(a) > wide(b) ? 1 : 0;
}

bool is_nan(const Value& v) { return v.is_float() && std::isnan(v.as_float()); }

bool equal_dicts(const DictObject& a, const DictObject& b, Budget& budget) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = b.find(key, budget);
    if (other == nullptr || !equals(value, *other, budget)) return false;
  }
  return true;
}

// Lists equal lists and tuples equal tuples only.
Sequence comparison_class(Sequence sequence) { return sequence == Sequence::kGroup ? Sequence::kTuple : sequence; }

bool equal_lists(const ListObject& a, const ListObject& b, Budget& budget) {
  if (&a == &b) return true;
  if (comparison_class(a.sequence) != comparison_class(b.sequence)) return false;
  if (a.sequence == Sequence::kGenerator || a.sequence == Sequence::kValues) return false;
  return a.items.size() == b.items.size() &&
         std::equal(a.items.begin(), a.items.end(), b.items.begin(),
                    [&](const Value& x, const Value& y) { return equals(x, y, budget); });
}

}  // namespace

Value Value::boolean(bool value) {
  Value v(Kind::kBool);
  v.payload_.boolean = value;
  return v;
}

Value Value::integer(int64_t value) {
  Value v(Kind::kInt);
  v.payload_.integer = value;
  return v;
}

Value Value::real(double value) {
  Value v(Kind::kFloat);
  v.payload_.real = value;
  return v;
}

Value::Value(std::unique_ptr<Object> object) : kind_(object->kind) {
  payload_.object = object.release();
  acquire();
}

Value Value::borrow(Object& object) {
  Value value(object.kind);
  value.payload_.object = &object;
  value.acquire();
  return value;
}

Value Value::string(std::string text) { return Value(std::make_unique<StringObject>(std::move(text))); }

Value Value::safe_string(std::string text) {
  auto object = std::make_unique<StringObject>(std::move(text));
  object->safe = true;
  return Value(std::move(object));
}

Value Value::list(std::vector<Value> items, Sequence sequence) {
  return Value(std::make_unique<ListObject>(std::move(items), sequence));
}

Value Value::dict(std::unique_ptr<DictObject> object) { return Value(std::unique_ptr<Object>(std::move(object))); }

Value Value::undefined(std::string message) {
  auto object = std::make_unique<UndefinedObject>();
  object->text = std::move(message);
  return Value(std::move(object));
}

Value Value::missing(const char* owner, const Value& name) {
  auto object = std::make_unique<UndefinedObject>();
  object->owner = owner;
  object->name = name;
  object->depth = static_cast<uint16_t>(name.depth() + 1);
  return Value(std::move(object));
}

bool Value::is_sequence(Sequence sequence) const { return is_list() && list_object().sequence == sequence; }
std::string_view Value::as_string() const { return string_object().text; }
const StringObject& Value::string_object() const { return static_cast<const StringObject&>(*payload_.object); }
ListObject& Value::list_object() const { return static_cast<ListObject&>(*payload_.object); }
const std::vector<Value>& Value::items() const { return list_object().items; }
DictObject& Value::dict_object() const { return static_cast<DictObject&>(*payload_.object); }
NamespaceObject& Value::namespace_object() const { return static_cast<NamespaceObject&>(*payload_.object); }
LoopObject& Value::loop_object() const { return static_cast<LoopObject&>(*payload_.object); }
CallableObject& Value::callable_object() const { return static_cast<CallableObject&>(*payload_.object); }
const UndefinedObject* Value::undefined_object() const { return static_cast<const UndefinedObject*>(payload_.object); }

bool Value::truthy() const {
  switch (kind_) {
    case Kind::kUndefined:
    case Kind::kNone: return false;
    case Kind::kBool: return payload_.boolean;
    case Kind::kInt: return payload_.integer != 0;
    case Kind::kFloat: return payload_.real != 0;
    case Kind::kString: return !string_object().text.empty();
    case Kind::kList: return list_object().sequence == Sequence::kGenerator || !items().empty();
    case Kind::kDict: return !dict_object().entries.empty();
    default: return true;
  }
}

bool Value::same_as(const Value& other) const {
  if (kind_ != other.kind_) return false;
  switch (kind_) {
    case Kind::kNone: return true;
    case Kind::kBool: return payload_.boolean == other.payload_.boolean;
    case Kind::kInt: return payload_.integer == other.payload_.integer;
    case Kind::kFloat: return payload_.real == other.payload_.real;
    // Python keeps one object for equal short literals; comparing text is the nearest that can be relied on.
    case Kind::kString: return as_string() == other.as_string();
    default: return payload_.object == other.payload_.object;
  }
}

const char* Value::type_name() const {
  static constexpr const char* kSequenceNames[] = {"list",      "tuple",       "range",      "generator",
                                                   "dict_keys", "dict_values", "dict_items", "tuple"};
  switch (kind_) {
    case Kind::kUndefined: return "Undefined";
    case Kind::kNone: return "NoneType";
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kFloat: return "float";
    case Kind::kString: return "str";
    case Kind::kList: return kSequenceNames[static_cast<size_t>(list_object().sequence)];
    case Kind::kDict: return "dict";
    case Kind::kNamespace: return "Namespace";
    case Kind::kLoop: return "LoopContext";
    case Kind::kCallable: return callable_object().type_name();
  }
  return "object";
}

void Value::freeze() {
  if (has_object()) payload_.object->refs = Object::kFrozen;
}

void Value::thaw_and_free() {
  if (has_object() && payload_.object->refs == Object::kFrozen) delete payload_.object;
  forget();
}

std::string UndefinedObject::message() const {
  if (owner == nullptr) return text;
  const std::string holder = std::string_view(owner) == "NoneType" ? "None" : fmt::format("{} object", owner);
  if (name.is_string()) return fmt::format("'{}' has no attribute '{}'", holder, name.as_string());
  if (name.is_integer()) return fmt::format("{} has no element {}", holder, name.as_int());
  return fmt::format("{} has no such element", holder);
}

ListObject::ListObject(std::vector<Value> values, Sequence s)
    : Object(Kind::kList), items(std::move(values)), sequence(s) {
  int deepest = 0;
  for (const Value& item : items) deepest = std::max(deepest, item.depth());
  depth = static_cast<uint16_t>(deepest + 1);
}

template <class Hash, class Equal>
const Value* DictObject::find_with(const Hash& hash, const Equal& equal, Budget& budget) const {
  if (entries.size() < kIndexedDictSize) {
    for (const auto& [key, value] : entries) {
      if (equal(key)) return &value;
    }
    return nullptr;
  }
  if (index_ == nullptr) {
    index_ = std::make_unique<std::unordered_multimap<size_t, uint32_t>>();
    for (uint32_t i = 0; i < entries.size(); ++i) index_->emplace(hash_of(entries[i].first, budget), i);
  }
  const auto [begin, end] = index_->equal_range(hash());
  for (auto it = begin; it != end; ++it) {
    if (equal(entries[it->second].first)) return &entries[it->second].second;
  }
  return nullptr;
}

const Value* DictObject::find(const Value& key, Budget& budget) const {
  return find_with([&] { return hash_of(key, budget); }, [&](const Value& k) { return equals(k, key, budget); },
                   budget);
}

const Value* DictObject::find(std::string_view key) const {
  Budget unlimited(INT64_MAX);
  return find_with([&] { return hash_of(key); }, [&](const Value& k) { return k.is_string() && k.as_string() == key; },
                   unlimited);
}

void DictObject::set(const Value& key, Value value, Budget& budget) {
  if (const Value* found = find(key, budget)) {
    depth = static_cast<uint16_t>(std::max<int>(depth, value.depth() + 1));
    *const_cast<Value*>(found) = std::move(value);
    return;
  }
  if (index_ != nullptr) index_->emplace(hash_of(key, budget), static_cast<uint32_t>(entries.size()));
  depth = static_cast<uint16_t>(std::max<int>({depth, key.depth() + 1, value.depth() + 1}));
  entries.emplace_back(key, std::move(value));
}

void DictObject::add(Value key, Value value) {
  depth = static_cast<uint16_t>(std::max<int>({depth, key.depth() + 1, value.depth() + 1}));
  entries.emplace_back(std::move(key), std::move(value));
}

const Value* NamespaceObject::find(std::string_view name) const {
  for (const auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

void NamespaceObject::set(std::string_view name, Value value) {
  for (auto& [key, old] : attributes) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  attributes.emplace_back(name, std::move(value));
}

bool equals(const Value& a, const Value& b, Budget& budget) {
  if (!budget.spend(1)) return false;
  if (a.is_number() && b.is_number()) return !is_nan(a) && !is_nan(b) && compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone: return true;
    case Kind::kString: return a.as_string() == b.as_string();
    case Kind::kList: return equal_lists(a.list_object(), b.list_object(), budget);
    case Kind::kDict:
      return &a.dict_object() == &b.dict_object() || equal_dicts(a.dict_object(), b.dict_object(), budget);
    default: return a.same_as(b);
  }
}

Result<int> compare(const Value& a, const Value& b, std::string_view sign, Budget& budget) {
  budget.spend(1);
  if (is_nan(a) || is_nan(b)) return kUnordered;  // Python then answers every comparison by False
  if (a.is_number() && b.is_number()) return compare_numbers(a, b);
  if (a.is_string() && b.is_string()) {
    const int order = a.as_string().compare(b.as_string());  // UTF-8 order is code point order
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  const bool sequences = a.is_list() && b.is_list() &&
                         comparison_class(a.list_object().sequence) == comparison_class(b.list_object().sequence) &&
                         comparison_class(a.list_object().sequence) <= Sequence::kTuple;
  if (sequences) {
    const size_t common = std::min(a.items().size(), b.items().size());
    for (size_t i = 0; i < common && !budget.exhausted(); ++i) {
      if (!equals(a.items()[i], b.items()[i], budget)) return compare(a.items()[i], b.items()[i], sign, budget);
    }
    return a.items().size() < b.items().size() ? -1 : a.items().size() > b.items().size() ? 1 : 0;
  }
  return invalid_argument(
      fmt::format("'{}' not supported between instances of '{}' and '{}'", sign, a.type_name(), b.type_name()));
}

Status check_hashable(const Value& value) {
  if (value.is_dict()) return invalid_argument("unhashable type: 'dict'");
  if (!value.is_list()) return {};
  const Sequence sequence = comparison_class(value.list_object().sequence);
  if (sequence != Sequence::kTuple && sequence != Sequence::kRange && sequence != Sequence::kGenerator) {
    return invalid_argument(fmt::format("unhashable type: '{}'", value.type_name()));
  }
  if (sequence == Sequence::kTuple && value.depth() > 8)
    return invalid_argument("a tuple nested this deep cannot be a key");
  if (sequence == Sequence::kTuple) {
    for (const Value& item : value.items()) TRY(check_hashable(item));
  }
  return {};
}

size_t hash_of(std::string_view text) { return std::hash<std::string_view>()(text); }

size_t hash_of(const Value& value, Budget& budget) {
  if (!budget.spend(1)) return 0;
  if (value.is_integer()) return std::hash<int64_t>()(value.as_int());
  if (value.is_float()) {
    const double number = value.as_float();
    if (number == std::floor(number) && std::abs(number) < 9e18)
      return std::hash<int64_t>()(static_cast<int64_t>(number));
    return std::hash<double>()(number);
  }
  if (value.is_string()) return hash_of(value.as_string());
  if (value.is_list()) {
    size_t hash = 0x9E3779B97F4A7C15U;
    for (const Value& item : value.items()) hash = hash * 31 + hash_of(item, budget);
    return hash;
  }
  return static_cast<size_t>(value.kind());
}

}  // namespace cove::text::jinja

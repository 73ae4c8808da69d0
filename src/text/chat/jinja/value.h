#pragma once
// The values a template computes with: Python's None, bool, int (64 bits), float, str, list, tuple, dict and what Jinja
// adds (Undefined, namespace, loop, callables). Used by every file of jinja/. A Value lives on the one thread that
// renders; its counts are not atomic. Literals of the compiled template are shared by threads: they are frozen, that
// is, never counted. Strings are well-formed UTF-8. Lists and dicts do not change once built, so no cycles can form
// except through namespaces and macros, which the interpreter owns and clears.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"

namespace cove::text::jinja {

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,  // every sequence: see Sequence
  kDict,
  kNamespace,
  kLoop,
  kCallable,
};

// What Python would call the sequence. All are held as a plain array; generators are computed at once and can be read
// once.
enum class Sequence : uint8_t { kList, kTuple, kRange, kGenerator, kKeys, kValues, kItems, kGroup };

struct Object {
  static constexpr uint32_t kFrozen = UINT32_MAX;
  explicit Object(Kind k) : kind(k) {}
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;

  uint32_t refs = 0;
  const Kind kind;
  uint16_t depth = 1;  // nesting of containers; the interpreter refuses values nested too deep
};

struct StringObject;
struct ListObject;
struct DictObject;
struct NamespaceObject;
struct LoopObject;
struct CallableObject;
struct UndefinedObject;

class Value {
 public:
  Value() : kind_(Kind::kUndefined) { payload_.object = nullptr; }
  Value(const Value& other) : kind_(other.kind_), payload_(other.payload_) { acquire(); }
  Value(Value&& other) noexcept : kind_(other.kind_), payload_(other.payload_) { other.forget(); }
  Value& operator=(const Value& other) {
    Value copy(other);
    swap(copy);
    return *this;
  }
  Value& operator=(Value&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Value() { release(); }

  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool value);
  static Value integer(int64_t value);
  static Value real(double value);
  static Value string(std::string text);
  static Value safe_string(std::string text);  // markupsafe's Markup: escape leaves it alone
  static Value list(std::vector<Value> items, Sequence sequence = Sequence::kList);
  static Value tuple(std::vector<Value> items) { return list(std::move(items), Sequence::kTuple); }
  static Value generator(std::vector<Value> items) { return list(std::move(items), Sequence::kGenerator); }
  static Value dict(std::unique_ptr<DictObject> object);
  // `message` is what using it as a value will say: "'x' is undefined".
  static Value undefined(std::string message);
  // Undefined attribute or element `name` of a value of Python type `owner` (a literal).
  static Value missing(const char* owner, const Value& name);
  explicit Value(std::unique_ptr<Object> object);
  // One more owner of an object that other Values own already.
  static Value borrow(Object& object);

  Kind kind() const { return kind_; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_list() const { return kind_ == Kind::kList; }
  bool is_dict() const { return kind_ == Kind::kDict; }
  bool is_float() const { return kind_ == Kind::kFloat; }
  bool is_callable() const { return kind_ == Kind::kCallable; }
  bool is_integer() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }  // Python's bool is an int
  bool is_number() const { return is_integer() || kind_ == Kind::kFloat; }
  bool is_sequence(Sequence sequence) const;

  // Each is valid only for its kind.
  bool as_bool() const { return payload_.boolean; }
  int64_t as_int() const { return kind_ == Kind::kBool ? (payload_.boolean ? 1 : 0) : payload_.integer; }
  double as_float() const { return payload_.real; }
  double to_double() const { return kind_ == Kind::kFloat ? payload_.real : static_cast<double>(as_int()); }
  std::string_view as_string() const;
  const StringObject& string_object() const;
  ListObject& list_object() const;
  const std::vector<Value>& items() const;
  DictObject& dict_object() const;
  NamespaceObject& namespace_object() const;
  LoopObject& loop_object() const;
  CallableObject& callable_object() const;
  const UndefinedObject* undefined_object() const;  // may be null
  const Object* object() const { return has_object() ? payload_.object : nullptr; }

  bool truthy() const;
  int depth() const { return has_object() ? payload_.object->depth : 0; }
  // True when both are the same object or the same small value: Python's `is`.
  bool same_as(const Value& other) const;
  // Python's type name: "str", "dict", "NoneType".
  const char* type_name() const;
  // Keeps the object alive and uncounted until thaw_and_free(): for literals owned by a compiled template.
  void freeze();
  void thaw_and_free();

 private:
  explicit Value(Kind kind) : kind_(kind) { payload_.object = nullptr; }
  bool has_object() const {
    return kind_ >= Kind::kString || (kind_ == Kind::kUndefined && payload_.object != nullptr);
  }
  void acquire() const {
    if (has_object() && payload_.object->refs != Object::kFrozen) ++payload_.object->refs;
  }
  void release() {
    if (has_object() && payload_.object->refs != Object::kFrozen && --payload_.object->refs == 0)
      delete payload_.object;
  }
  void forget() {
    kind_ = Kind::kUndefined;
    payload_.object = nullptr;
  }
  void swap(Value& other) {
    std::swap(kind_, other.kind_);
    std::swap(payload_, other.payload_);
  }

  Kind kind_;
  union {
    bool boolean;
    int64_t integer;
    double real;
    Object* object;
  } payload_;
};

// A bound on work done outside the interpreter's loop (comparing, hashing, printing): nested shared lists can be
// exponentially large when walked. Once exhausted, walks stop early with any answer, and the interpreter fails at its
// next step.
class Budget {
 public:
  explicit Budget(int64_t steps) : left_(steps) {}
  bool spend(int64_t steps) {
    left_ -= steps;
    return left_ >= 0;
  }
  bool exhausted() const { return left_ < 0; }

 private:
  int64_t left_;
};

struct UndefinedObject final : Object {
  UndefinedObject() : Object(Kind::kUndefined) {}
  std::string text;             // the whole message, or empty when it follows from owner and name
  const char* owner = nullptr;  // type name
  Value name;
  std::string message() const;
};

struct StringObject final : Object {
  explicit StringObject(std::string t) : Object(Kind::kString), text(std::move(t)) {}
  std::string text;
  bool safe = false;
};

struct ListObject final : Object {
  ListObject(std::vector<Value> values, Sequence s);
  std::vector<Value> items;
  Sequence sequence;
  bool consumed = false;  // generators: read already
  int64_t range_start = 0, range_stop = 0, range_step = 1;
};

// Insertion-ordered; a hash index comes when the dict is not small.
struct DictObject final : Object {
  DictObject() : Object(Kind::kDict) {}
  std::vector<std::pair<Value, Value>> entries;

  const Value* find(const Value& key, Budget& budget) const;
  const Value* find(std::string_view key) const;
  // Sets or replaces (the first key object stays, as in Python). Only while the dict is being built.
  void set(const Value& key, Value value, Budget& budget);
  // Adds a key known to be new.
  void add(Value key, Value value);

 private:
  template <class Hash, class Equal>
  const Value* find_with(const Hash& hash, const Equal& equal, Budget& budget) const;
  mutable std::unique_ptr<std::unordered_multimap<size_t, uint32_t>> index_;
};

struct NamespaceObject final : Object {
  NamespaceObject() : Object(Kind::kNamespace) {}
  std::vector<std::pair<std::string, Value>> attributes;
  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

// Python's ==; 1 == 1.0 == True. Undefined equals Undefined.
bool equals(const Value& a, const Value& b, Budget& budget);
// What compare() gives for NaN: neither below, equal nor above.
inline constexpr int kUnordered = 2;
// Python's order: -1, 0, 1 or kUnordered; the error is a TypeError ("'<' not supported between instances of 'str' and
// 'int'").
Result<int> compare(const Value& a, const Value& b, std::string_view sign, Budget& budget);
// Errors: "unhashable type: 'list'".
Status check_hashable(const Value& value);
size_t hash_of(const Value& value, Budget& budget);
size_t hash_of(std::string_view text);

}  // namespace cove::text::jinja

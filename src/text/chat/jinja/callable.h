#pragma once
// What a template can call: methods, global functions, macros; and how arguments reach them.

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/chat/jinja/value.h"

namespace cove::text::jinja {

class Interpreter;

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// The arguments of one call laid out by parameter name, as Python does. Missing ones are null.
//   TRY_ASSIGN(const Parameters p, Parameters::bind("split", args, {"sep", "maxsplit"}));
class Parameters {
 public:
  // `required` counts leading parameters that must be given. Errors: TypeErrors in Python's words, as far as they help.
  static Result<Parameters> bind(std::string_view function, const Arguments& args,
                                 std::initializer_list<std::string_view> names, size_t required = 0);

  const Value* get(size_t index) const { return values_[index]; }
  bool has(size_t index) const { return values_[index] != nullptr; }
  bool truthy(size_t index, bool fallback) const { return has(index) ? get(index)->truthy() : fallback; }
  // Errors name the parameter when it has another type.
  Result<int64_t> integer(size_t index, int64_t fallback) const;
  Result<std::string_view> string(size_t index, std::string_view fallback) const;

 private:
  static constexpr size_t kMax = 8;
  std::string_view function_;
  std::string_view names_[kMax];
  const Value* values_[kMax] = {};
};

struct CallableObject : Object {
  CallableObject() : Object(Kind::kCallable) {}
  virtual Result<Value> call(Interpreter& interpreter, const Arguments& args) = 0;
  virtual const char* type_name() const = 0;
  // Attributes of the callable itself (a macro's name, a cycler's `next`); undefined unless it has some.
  virtual Value attribute(std::string_view name) const;
};

// The state of a {% for %}: index, first, last, length, ... and loop() in recursive loops.
struct LoopObject final : Object {
  LoopObject() : Object(Kind::kLoop) {}
  Value items;
  size_t position = 0;
  int depth0 = 0;
  Value changed_arguments;  // of the last loop.changed()
  bool has_changed = false;
  CallableObject* recurse = nullptr;  // owned by recurse_owner; null unless recursive
  Value recurse_owner;
};

}  // namespace cove::text::jinja

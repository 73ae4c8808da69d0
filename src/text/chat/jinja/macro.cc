#include "text/chat/jinja/macro.h"

#include <string_view>

#include "text/chat/jinja/interpreter.h"

namespace cove::text::jinja {
namespace {

struct MacroObject final : CallableObject {
  const MacroStmt* macro = nullptr;
  Scope* closure = nullptr;

  const char* type_name() const override { return "Macro"; }
  Result<Value> call(Interpreter& interpreter, const Arguments& args) override {
    TRY_ASSIGN(std::string text, interpreter.run_macro(*macro, closure, args));
    return interpreter.make_string(std::move(text));
  }
  Value attribute(std::string_view name) const override {
    if (name == "name") return Value::string(macro->name);
    if (name == "catch_kwargs") return Value::boolean(macro->uses_kwargs);
    if (name == "catch_varargs") return Value::boolean(macro->uses_varargs);
    if (name == "caller") return Value::boolean(macro->uses_caller);
    if (name != "arguments") return CallableObject::attribute(name);
    std::vector<Value> names;
    for (const std::string& parameter : macro->signature.names) names.push_back(Value::string(parameter));
    return Value::tuple(std::move(names));
  }
};

struct LoopCallable final : CallableObject {
  const ForStmt* loop = nullptr;
  Scope* scope = nullptr;
  int depth0 = 0;

  const char* type_name() const override { return "LoopContext"; }
  Result<Value> call(Interpreter& interpreter, const Arguments& args) override {
    TRY_ASSIGN(const Parameters p, Parameters::bind("loop", args, {"iterable"}, 1));
    TRY_ASSIGN(std::string text, interpreter.run_loop_again(*loop, scope, *p.get(0), depth0));
    return interpreter.make_string(std::move(text));
  }
};

// loop.cycle(a, b) and loop.changed(value).
struct LoopMethod final : CallableObject {
  enum class Kind { kCycle, kChanged } method = Kind::kCycle;
  Value loop;

  const char* type_name() const override { return "method"; }
  Result<Value> call(Interpreter& interpreter, const Arguments& args) override {
    LoopObject& state = loop.loop_object();
    if (method == Kind::kCycle) {
      if (args.positional.empty()) return invalid_argument("no items for cycling given");
      return args.positional[state.position % args.positional.size()];
    }
    Value now = Value::tuple(args.positional);
    if (state.has_changed && equals(now, state.changed_arguments, interpreter.budget())) return Value::boolean(false);
    TRY(interpreter.charge(64));
    if (!state.has_changed) interpreter.keep(loop);
    state.has_changed = true;
    state.changed_arguments = std::move(now);
    return Value::boolean(true);
  }
};

Value loop_method(const Value& loop, LoopMethod::Kind kind) {
  auto method = std::make_unique<LoopMethod>();
  method->method = kind;
  method->loop = loop;
  method->depth = static_cast<uint16_t>(loop.depth() + 1);
  return Value(std::move(method));
}

Value neighbour(const LoopObject& loop, bool exists, size_t index) {
  if (exists) return loop.items.items()[index];
  return Value::undefined("there is no such item in the loop");
}

}  // namespace

Value make_macro_value(const MacroStmt& macro, Scope* closure) {
  auto object = std::make_unique<MacroObject>();
  object->macro = &macro;
  object->closure = closure;
  return Value(std::move(object));
}

Value make_loop_callable(const ForStmt& loop, Scope* scope, int depth0) {
  auto object = std::make_unique<LoopCallable>();
  object->loop = &loop;
  object->scope = scope;
  object->depth0 = depth0;
  return Value(std::move(object));
}

Value loop_attribute(const Value& value, const Value& name) {
  const LoopObject& loop = value.loop_object();
  const size_t count = loop.items.items().size();
  const size_t at = loop.position;
  const auto number = [](size_t n) { return Value::integer(static_cast<int64_t>(n)); };
  const std::string_view key = name.is_string() ? name.as_string() : std::string_view();
  if (key == "index") return number(at + 1);
  if (key == "index0") return number(at);
  if (key == "revindex") return number(count - at);
  if (key == "revindex0") return number(count - at - 1);
  if (key == "first") return Value::boolean(at == 0);
  if (key == "last") return Value::boolean(at + 1 == count);
  if (key == "length") return number(count);
  if (key == "previtem") return neighbour(loop, at > 0, at - 1);
  if (key == "nextitem") return neighbour(loop, at + 1 < count, at + 1);
  if (key == "depth") return Value::integer(loop.depth0 + 1);
  if (key == "depth0") return Value::integer(loop.depth0);
  if (key == "cycle") return loop_method(value, LoopMethod::Kind::kCycle);
  if (key == "changed") return loop_method(value, LoopMethod::Kind::kChanged);
  return Value::missing(value.type_name(), name);
}

}  // namespace cove::text::jinja

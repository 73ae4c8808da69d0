#include "text/chat/jinja/interpreter.h"

#include <algorithm>

#include <fmt/format.h>

#include "text/chat/jinja/filters.h"
#include "text/chat/jinja/globals.h"
#include "text/chat/jinja/macro.h"
#include "text/chat/jinja/print.h"
#include "text/chat/jinja/scopes.h"
#include "text/chat/jinja/unicode.h"

namespace cove::text::jinja {

Interpreter::Interpreter(const Program& program, const TemplateLimits& limits, const json::object& variables,
                         int64_t now_unix_s)
    : program_(program),
      limits_(limits),
      variables_(variables),
      now_unix_s_(now_unix_s),
      budget_(limits.steps_max),
      context_(program.names.size()),
      context_read_(program.names.size(), false) {}

// Namespaces and scopes can hold each other in circles; emptying them first breaks those. Values move to a list of
// their own, so that no destructor runs into another.
Interpreter::~Interpreter() {
  std::vector<Value> values;
  for (const Value& ns : namespaces_) {
    for (auto& [name, value] : ns.namespace_object().attributes) values.push_back(std::move(value));
  }
  for (const Value& loop : kept_loops_) values.push_back(std::move(loop.loop_object().changed_arguments));
  for (const auto& scope : scopes_) {
    for (auto& [id, value] : scope->variables) values.push_back(std::move(value));
  }
}

Result<std::string> Interpreter::run() {
  const ScopeGuard scope(*this);
  const Result<Flow> flow = execute(program_.body);
  if (flow) return std::move(output_);
  Error error = flow.error();
  if (!raised_by_template_) error.message = fmt::format("line {}: {}", line_, error.message);
  return error;
}

Error Interpreter::raise(std::string message) {
  raised_by_template_ = true;
  return invalid_argument(std::move(message));
}

Status Interpreter::charge(size_t bytes) {
  if (budget_.spend(1 + static_cast<int64_t>(bytes / 32))) return {};
  return invalid_argument(fmt::format("the template did not end within {} steps", limits_.steps_max));
}

Result<Value> Interpreter::make_string(std::string text) {
  TRY(charge(text.size()));
  if (text.size() > limits_.output_bytes_max) {
    return invalid_argument(fmt::format("a string is longer than the limit of {} bytes", limits_.output_bytes_max));
  }
  return Value::string(std::move(text));
}

Result<std::string> Interpreter::to_text(const Value& value) {
  std::string text;
  Writer writer(text, limits_.output_bytes_max, budget_);
  write_str(value, writer);
  TRY(charge());
  if (!writer.ok()) {
    return invalid_argument(fmt::format("a value prints longer than the limit of {} bytes", limits_.output_bytes_max));
  }
  return text;
}

Status Interpreter::require_defined(const Value& value) {
  if (!value.is_undefined()) return {};
  const UndefinedObject* object = value.undefined_object();
  return invalid_argument(object != nullptr ? object->message() : "the value is undefined");
}

Value Interpreter::new_namespace() {
  Value ns(std::make_unique<NamespaceObject>());
  namespaces_.push_back(ns);
  return ns;
}

// --- scopes and variables ---

Scope* Interpreter::acquire_scope(Scope* parent) {
  if (free_scopes_.empty()) {
    scopes_.push_back(std::make_unique<Scope>());
    free_scopes_.push_back(scopes_.back().get());
  }
  Scope* scope = free_scopes_.back();
  free_scopes_.pop_back();
  scope->parent = parent;
  return scope;
}

void Interpreter::release_scope(Scope* scope) {
  if (scope->captured) return;
  scope->variables.clear();
  free_scopes_.push_back(scope);
}

void Interpreter::capture_scopes() {
  for (Scope* scope = scope_; scope != nullptr && !scope->captured; scope = scope->parent) scope->captured = true;
}

Value Interpreter::lookup(NameId id) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    for (const auto& [name, value] : scope->variables) {
      if (name == id) return value;
    }
  }
  return context_variable(id);
}

Value Interpreter::context_variable(NameId id) {
  const auto index = static_cast<size_t>(id);
  if (context_read_[index]) return context_[index];
  const std::string& name = program_.names[index];
  if (const json::value* given = variables_.if_contains(name)) {
    context_[index] = from_json(*given, kValueDepthMax);
  } else if (std::optional<Value> global = global_function(name)) {
    context_[index] = *std::move(global);
  } else {
    context_[index] = Value::undefined(fmt::format("'{}' is undefined", name));
  }
  context_read_[index] = true;
  return context_[index];
}

void Interpreter::set_variable(NameId id, Value value) {
  for (auto& [name, old] : scope_->variables) {
    if (name == id) {
      old = std::move(value);
      return;
    }
  }
  scope_->variables.emplace_back(id, std::move(value));
}

Status Interpreter::assign(const Target& target, const Value& value) {
  if (target.kind == Target::Kind::kName) {
    set_variable(target.id, value);
    return {};
  }
  if (target.kind == Target::Kind::kTuple) return unpack(target, value);
  const Value ns = lookup(target.id);
  if (ns.kind() != Kind::kNamespace) return invalid_argument("cannot assign attribute on non-namespace object");
  TRY(charge(target.attribute.size()));
  ns.namespace_object().set(target.attribute, value);
  return {};
}

Status Interpreter::unpack(const Target& target, const Value& value) {
  if (!value.is_list() && !value.is_dict() && !value.is_string() && !value.is_undefined()) {
    return invalid_argument(fmt::format("cannot unpack non-iterable {} object", value.type_name()));
  }
  TRY_ASSIGN(const std::vector<Value> items, iterate(value));
  if (items.size() < target.parts.size()) {
    return invalid_argument(
        fmt::format("not enough values to unpack (expected {}, got {})", target.parts.size(), items.size()));
  }
  if (items.size() > target.parts.size()) {
    return invalid_argument(fmt::format("too many values to unpack (expected {})", target.parts.size()));
  }
  for (size_t i = 0; i < items.size(); ++i) TRY(assign(target.parts[i], items[i]));
  return {};
}

// --- statements ---

Result<Interpreter::Flow> Interpreter::execute(const Body& body) {
  for (const StmtPtr& stmt : body) {
    TRY(charge());
    line_ = stmt->line;
    TRY_ASSIGN(const Flow flow, execute_one(*stmt));
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::execute_one(const Stmt& stmt) {
  switch (stmt.kind) {
    case StmtKind::kText: TRY(emit(static_cast<const TextStmt&>(stmt).text)); break;
    case StmtKind::kOutput: TRY(execute_output(static_cast<const OutputStmt&>(stmt))); break;
    case StmtKind::kIf: return execute_if(static_cast<const IfStmt&>(stmt));
    case StmtKind::kFor: {
      const auto& loop = static_cast<const ForStmt&>(stmt);
      TRY_ASSIGN(const Value items, evaluate(*loop.items));
      TRY(execute_for(loop, items, 0));
      break;
    }
    case StmtKind::kSet: {
      const auto& set = static_cast<const SetStmt&>(stmt);
      TRY_ASSIGN(const Value value, evaluate(*set.value));
      TRY(assign(set.target, value));
      break;
    }
    case StmtKind::kSetBlock: TRY(execute_set_block(static_cast<const SetBlockStmt&>(stmt))); break;
    case StmtKind::kMacro: {
      const auto& macro = static_cast<const MacroStmt&>(stmt);
      TRY(charge(sizeof(Scope)));
      set_variable(macro.id, make_macro(macro));
      break;
    }
    case StmtKind::kCallBlock: TRY(execute_call_block(static_cast<const CallBlockStmt&>(stmt))); break;
    case StmtKind::kFilterBlock: TRY(execute_filter_block(static_cast<const FilterBlockStmt&>(stmt))); break;
    case StmtKind::kWith: return execute_with(static_cast<const WithStmt&>(stmt));
    case StmtKind::kScope: return execute_scope(static_cast<const ScopeStmt&>(stmt));
    case StmtKind::kBreak: return Flow::kBreak;
    case StmtKind::kContinue: return Flow::kContinue;
  }
  return Flow::kNormal;
}

Status Interpreter::emit(std::string_view text) {
  TRY(charge(text.size()));
  if (captured_bytes_ + out_->size() + text.size() > limits_.output_bytes_max) {
    return invalid_argument(fmt::format("the output is longer than the limit of {} bytes", limits_.output_bytes_max));
  }
  *out_ += text;
  return {};
}

Status Interpreter::execute_output(const OutputStmt& stmt) {
  TRY_ASSIGN(const Value value, evaluate(*stmt.value));
  if (value.is_string()) return emit(value.as_string());
  TRY_ASSIGN(const std::string text, to_text(value));
  return emit(text);
}

Result<Interpreter::Flow> Interpreter::execute_if(const IfStmt& stmt) {
  for (const auto& [condition, body] : stmt.branches) {
    TRY_ASSIGN(const Value value, evaluate(*condition));
    if (value.truthy()) return execute(body);
  }
  return execute(stmt.otherwise);
}

Result<Interpreter::Flow> Interpreter::execute_scope(const ScopeStmt& stmt) {
  const ScopeGuard scope(*this);
  return execute(stmt.body);
}

// All values are computed before the first name is bound.
Result<Interpreter::Flow> Interpreter::execute_with(const WithStmt& stmt) {
  std::vector<Value> values;
  for (const auto& [target, expr] : stmt.bindings) {
    TRY_ASSIGN(Value value, evaluate(*expr));
    values.push_back(std::move(value));
  }
  const ScopeGuard scope(*this);
  for (size_t i = 0; i < values.size(); ++i) TRY(assign(stmt.bindings[i].first, values[i]));
  return execute(stmt.body);
}

Result<std::vector<Value>> Interpreter::filtered_items(const ForStmt& stmt, const Value& items) {
  TRY_ASSIGN(std::vector<Value> all, iterate(items));
  if (stmt.condition == nullptr) return all;
  std::vector<Value> kept;
  for (Value& item : all) {
    const ScopeGuard scope(*this);
    TRY(assign(stmt.target, item));
    TRY_ASSIGN(const Value keep, evaluate(*stmt.condition));
    if (keep.truthy()) kept.push_back(std::move(item));
  }
  return kept;
}

Status Interpreter::execute_for(const ForStmt& stmt, const Value& items, int depth0) {
  auto state = std::make_unique<LoopObject>();
  if (items.is_list() && !items.is_sequence(Sequence::kGenerator) && stmt.condition == nullptr) {
    state->items = items;
  } else {
    TRY_ASSIGN(std::vector<Value> kept, filtered_items(stmt, items));
    state->items = Value::list(std::move(kept));
  }
  state->depth = static_cast<uint16_t>(state->items.depth() + 1);
  state->depth0 = depth0;
  if (stmt.recursive) {
    capture_scopes();
    TRY(charge(sizeof(Scope)));
    state->recurse_owner = make_loop_callable(stmt, scope_, depth0 + 1);
    state->recurse = &state->recurse_owner.callable_object();
  }
  LoopObject& loop = *state;
  const Value loop_value(std::move(state));
  const size_t count = loop.items.items().size();
  if (count == 0) {
    const ScopeGuard scope(*this);
    TRY(execute(stmt.otherwise));
    return {};
  }
  for (size_t i = 0; i < count; ++i) {
    TRY(charge());
    const ScopeGuard scope(*this);
    loop.position = i;
    TRY(assign(stmt.target, loop.items.items()[i]));
    set_variable(kLoopId, loop_value);
    TRY_ASSIGN(const Flow flow, execute(stmt.body));
    if (flow == Flow::kBreak) break;
  }
  return {};
}

Result<std::string> Interpreter::capture(const Body& body) {
  const ScopeGuard scope(*this);
  CaptureGuard captured(*this);
  TRY(execute(body));
  return captured.take();
}

Status Interpreter::execute_set_block(const SetBlockStmt& stmt) {
  TRY_ASSIGN(std::string text, capture(stmt.body));
  TRY_ASSIGN(Value value, make_string(std::move(text)));
  if (stmt.filter != nullptr) {
    TRY_ASSIGN(value, evaluate_filter(static_cast<const FilterExpr&>(*stmt.filter), &value));
  }
  return assign(stmt.target, value);
}

Status Interpreter::execute_filter_block(const FilterBlockStmt& stmt) {
  TRY_ASSIGN(std::string text, capture(stmt.body));
  TRY_ASSIGN(const Value value, make_string(std::move(text)));
  TRY_ASSIGN(const Value filtered, evaluate_filter(static_cast<const FilterExpr&>(*stmt.filter), &value));
  TRY_ASSIGN(const std::string out, to_text(filtered));
  return emit(out);
}

// --- macros ---

Value Interpreter::make_macro(const MacroStmt& stmt) {
  capture_scopes();
  return make_macro_value(stmt, scope_);
}

Status Interpreter::execute_call_block(const CallBlockStmt& stmt) {
  const auto& call_expr = static_cast<const CallExpr&>(*stmt.call);
  TRY(charge(sizeof(Scope)));
  TRY_ASSIGN(const Value callee, evaluate(*call_expr.callee));
  Arguments args;
  TRY(evaluate_arguments(call_expr.arguments, args));
  args.named.emplace_back("caller", make_macro(*stmt.caller));
  TRY_ASSIGN(const Value value, call(callee, args));
  TRY_ASSIGN(const std::string text, to_text(value));
  return emit(text);
}

Status Interpreter::bind_macro_arguments(const MacroStmt& macro, const Arguments& args) {
  const Signature& signature = macro.signature;
  const size_t count = signature.names.size();
  std::vector<bool> used(args.named.size(), false);
  for (size_t i = 0; i < count; ++i) {
    Value value;
    const auto named = std::find_if(args.named.begin(), args.named.end(),
                                    [&](const auto& entry) { return entry.first == signature.names[i]; });
    if (named != args.named.end()) used[static_cast<size_t>(named - args.named.begin())] = true;
    const size_t first_default = count - signature.defaults.size();
    if (i < args.positional.size()) {
      value = args.positional[i];
    } else if (named != args.named.end()) {
      value = named->second;
    } else if (i >= first_default) {
      TRY_ASSIGN(value, evaluate(*signature.defaults[i - first_default]));
    } else {
      value = Value::undefined(fmt::format("parameter '{}' was not provided", signature.names[i]));
    }
    set_variable(signature.parameters[i], std::move(value));
  }
  if (macro.uses_varargs) {
    const size_t taken = std::min(count, args.positional.size());
    set_variable(kVarargsId,
                 Value::tuple({args.positional.begin() + static_cast<std::ptrdiff_t>(taken), args.positional.end()}));
  } else if (args.positional.size() > count) {
    return invalid_argument(fmt::format("macro '{}' takes not more than {} argument(s)", macro.name, count));
  }
  auto rest = std::make_unique<DictObject>();
  for (size_t i = 0; i < args.named.size(); ++i) {
    const auto& [name, value] = args.named[i];
    if (name == "caller" && macro.uses_caller) {
      set_variable(kCallerId, value);
    } else if (!used[i] && !macro.uses_kwargs) {
      return invalid_argument(fmt::format("macro '{}' takes no keyword argument '{}'", macro.name, name));
    } else if (!used[i]) {
      rest->set(Value::string(name), value, budget_);
    }
  }
  if (macro.uses_kwargs) set_variable(kKwargsId, Value::dict(std::move(rest)));
  return {};
}

Result<std::string> Interpreter::run_macro(const MacroStmt& macro, Scope* closure, const Arguments& args) {
  if (macro_depth_ >= limits_.depth_max) {
    return invalid_argument(fmt::format("macros call each other deeper than {} levels", limits_.depth_max));
  }
  const DepthGuard depth(macro_depth_);
  const int line = line_;
  const ScopeGuard scope(*this, closure);
  CaptureGuard captured(*this);
  TRY(bind_macro_arguments(macro, args));
  TRY(execute(macro.body));
  line_ = line;
  return captured.take();
}

Result<std::string> Interpreter::run_loop_again(const ForStmt& loop, Scope* scope, const Value& items, int depth0) {
  if (macro_depth_ >= limits_.depth_max) {
    return invalid_argument(fmt::format("a loop calls itself deeper than {} levels", limits_.depth_max));
  }
  const DepthGuard depth(macro_depth_);
  const ScopeGuard guard(*this, scope);
  CaptureGuard captured(*this);
  TRY(execute_for(loop, items, depth0));
  return captured.take();
}

}  // namespace cove::text::jinja

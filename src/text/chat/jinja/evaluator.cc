// The interpreter's expressions.
#include <fmt/format.h>

#include "text/chat/jinja/filters.h"
#include "text/chat/jinja/interpreter.h"
#include "text/chat/jinja/macro.h"
#include "text/chat/jinja/methods.h"
#include "text/chat/jinja/operators.h"
#include "text/chat/jinja/scopes.h"
#include "text/chat/jinja/unicode.h"

namespace cove::text::jinja {
namespace {

// Levels of evaluate() that may be active at once: bounds the machine stack (a level takes about 500 bytes; under a
// sanitizer 3 KB).
constexpr int kEvaluationDepthMax = 1500;

Result<std::optional<int64_t>> slice_bound(const Value& value) {
  if (value.is_none()) return std::optional<int64_t>();
  if (value.is_integer()) return std::optional<int64_t>(value.as_int());
  TRY(Interpreter::require_defined(value));
  return invalid_argument("slice indices must be integers or None");
}

Result<int64_t> wrapped_index(int64_t index, size_t size) {
  const auto signed_size = static_cast<int64_t>(size);
  if (index < 0) index += signed_size;
  if (index < 0 || index >= signed_size) return invalid_argument("index out of range");
  return index;
}

}  // namespace

Result<Value> Interpreter::evaluate(const Expr& expr) {
  if (expr.kind == ExprKind::kConst) return static_cast<const ConstExpr&>(expr).value;
  if (expr.kind == ExprKind::kName) return lookup(static_cast<const NameExpr&>(expr).id);
  if (depth_ >= kEvaluationDepthMax) return invalid_argument("expressions and calls are nested too deep");
  const DepthGuard depth(depth_);
  TRY(charge());
  line_ = expr.line;
  Result<Value> value = evaluate_deep(expr);
  if (value && value->depth() > kValueDepthMax) {
    return invalid_argument(fmt::format("a value is nested deeper than {} levels", kValueDepthMax));
  }
  return value;
}

Result<Value> Interpreter::evaluate_deep(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kConst: return static_cast<const ConstExpr&>(expr).value;
    case ExprKind::kName: return lookup(static_cast<const NameExpr&>(expr).id);
    case ExprKind::kSequence: return evaluate_sequence(static_cast<const SequenceExpr&>(expr));
    case ExprKind::kDict: return evaluate_dict(static_cast<const DictExpr&>(expr));
    case ExprKind::kNegate:
    case ExprKind::kPositive:
    case ExprKind::kNot: return evaluate_unary(static_cast<const UnaryExpr&>(expr));
    case ExprKind::kArithmetic:
    case ExprKind::kPower:
    case ExprKind::kAnd:
    case ExprKind::kOr: return evaluate_chain(static_cast<const ChainExpr&>(expr));
    case ExprKind::kConcat: return evaluate_concat(static_cast<const ChainExpr&>(expr));
    case ExprKind::kCompare: return evaluate_compare(static_cast<const ChainExpr&>(expr));
    case ExprKind::kConditional: return evaluate_conditional(static_cast<const ConditionalExpr&>(expr));
    case ExprKind::kFilter: return evaluate_filter(static_cast<const FilterExpr&>(expr), nullptr);
    case ExprKind::kTest: return evaluate_test(static_cast<const TestExpr&>(expr));
    case ExprKind::kAttribute: {
      const auto& node = static_cast<const AttributeExpr&>(expr);
      TRY_ASSIGN(const Value subject, evaluate(*node.subject));
      return attribute(subject, node.name);
    }
    case ExprKind::kItem: return evaluate_item(static_cast<const ItemExpr&>(expr));
    case ExprKind::kSlice: return evaluate_slice(static_cast<const SliceExpr&>(expr));
    case ExprKind::kCall: return evaluate_call(static_cast<const CallExpr&>(expr));
  }
  return invalid_argument("unknown expression");
}

Result<Value> Interpreter::evaluate_sequence(const SequenceExpr& expr) {
  std::vector<Value> items;
  items.reserve(expr.items.size());
  for (const ExprPtr& item : expr.items) {
    TRY_ASSIGN(Value value, evaluate(*item));
    items.push_back(std::move(value));
  }
  TRY(charge(64 + items.size() * sizeof(Value)));
  return Value::list(std::move(items), expr.sequence);
}

Result<Value> Interpreter::evaluate_dict(const DictExpr& expr) {
  auto dict = std::make_unique<DictObject>();
  for (const auto& [key_expr, value_expr] : expr.entries) {
    TRY_ASSIGN(const Value key, evaluate(*key_expr));
    TRY_ASSIGN(Value value, evaluate(*value_expr));
    TRY(check_hashable(key));
    dict->set(key, std::move(value), budget_);
  }
  TRY(charge(64 + expr.entries.size() * 2 * sizeof(Value)));
  return Value::dict(std::move(dict));
}

Result<Value> Interpreter::evaluate_unary(const UnaryExpr& expr) {
  TRY_ASSIGN(const Value operand, evaluate(*expr.operand));
  if (expr.kind == ExprKind::kNot) return Value::boolean(!operand.truthy());
  TRY(require_defined(operand));
  if (expr.kind == ExprKind::kNegate) return negate(operand);
  if (operand.is_integer()) return Value::integer(operand.as_int());
  if (operand.is_float()) return operand;
  return invalid_argument(fmt::format("bad operand type for unary +: '{}'", operand.type_name()));
}

Result<Value> Interpreter::evaluate_chain(const ChainExpr& expr) {
  TRY_ASSIGN(Value value, evaluate(*expr.operands[0]));
  for (size_t i = 1; i < expr.operands.size(); ++i) {
    if (expr.kind == ExprKind::kAnd && !value.truthy()) return value;
    if (expr.kind == ExprKind::kOr && value.truthy()) return value;
    TRY_ASSIGN(Value next, evaluate(*expr.operands[i]));
    if (expr.kind == ExprKind::kAnd || expr.kind == ExprKind::kOr) {
      value = std::move(next);
    } else {
      TRY_ASSIGN(value, arithmetic(*this, expr.ops[i - 1], value, next));
    }
  }
  return value;
}

Result<Value> Interpreter::evaluate_concat(const ChainExpr& expr) {
  std::string text;
  for (const ExprPtr& operand : expr.operands) {
    TRY_ASSIGN(const Value part, evaluate(*operand));
    TRY_ASSIGN(const std::string piece, to_text(part));
    text += piece;
    if (text.size() > limits_.output_bytes_max) break;  // make_string refuses it
  }
  return make_string(std::move(text));
}

Result<Value> Interpreter::evaluate_compare(const ChainExpr& expr) {
  TRY_ASSIGN(Value left, evaluate(*expr.operands[0]));
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    TRY_ASSIGN(Value right, evaluate(*expr.operands[i + 1]));
    TRY_ASSIGN(const bool is_true, holds(*this, expr.ops[i], left, right));
    if (!is_true) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Result<Value> Interpreter::evaluate_conditional(const ConditionalExpr& expr) {
  TRY_ASSIGN(const Value condition, evaluate(*expr.condition));
  if (condition.truthy()) return evaluate(*expr.then);
  if (expr.otherwise != nullptr) return evaluate(*expr.otherwise);
  return Value::undefined(fmt::format(
      "the inline if-expression on line {} evaluated to false and no else section was defined.", expr.line));
}

Status Interpreter::evaluate_arguments(const CallArguments& in, Arguments& out) {
  out.positional.reserve(in.positional.size());
  for (const ExprPtr& expr : in.positional) {
    TRY_ASSIGN(Value value, evaluate(*expr));
    out.positional.push_back(std::move(value));
  }
  if (in.more_positional != nullptr) {
    TRY_ASSIGN(const Value more, evaluate(*in.more_positional));
    TRY_ASSIGN(std::vector<Value> items, iterate(more));
    out.positional.insert(out.positional.end(), items.begin(), items.end());
  }
  for (const auto& [name, expr] : in.named) {
    TRY_ASSIGN(Value value, evaluate(*expr));
    out.named.emplace_back(name, std::move(value));
  }
  if (in.more_named == nullptr) return {};
  TRY_ASSIGN(const Value more, evaluate(*in.more_named));
  if (!more.is_dict()) return invalid_argument("argument after ** must be a mapping");
  for (const auto& [key, value] : more.dict_object().entries) {
    TRY(charge());
    if (!key.is_string()) return invalid_argument("keywords must be strings");
    out.named.emplace_back(key.as_string(), value);
  }
  return {};
}

Result<Value> Interpreter::evaluate_filter(const FilterExpr& expr, const Value* subject) {
  Value own;
  if (expr.subject != nullptr && expr.subject->kind == ExprKind::kFilter && subject != nullptr) {
    TRY_ASSIGN(own, evaluate_filter(static_cast<const FilterExpr&>(*expr.subject), subject));
  } else if (expr.subject != nullptr) {
    TRY_ASSIGN(own, evaluate(*expr.subject));
  } else if (subject != nullptr) {
    own = *subject;
  }
  if (expr.entry == nullptr) return invalid_argument(fmt::format("No filter named '{}' found.", expr.name));
  Arguments args;
  TRY(evaluate_arguments(expr.arguments, args));
  line_ = expr.line;
  return expr.entry->run(*this, own, args);
}

Result<Value> Interpreter::evaluate_test(const TestExpr& expr) {
  TRY_ASSIGN(const Value subject, evaluate(*expr.subject));
  if (expr.entry == nullptr) return invalid_argument(fmt::format("No test named '{}' found.", expr.name));
  Arguments args;
  TRY(evaluate_arguments(expr.arguments, args));
  TRY_ASSIGN(const bool passes, expr.entry->run(*this, subject, args));
  return Value::boolean(passes);
}

Result<Value> Interpreter::apply_filter(std::string_view name, const Value& subject, const Arguments& args) {
  const FilterEntry* entry = find_filter(name);
  if (entry == nullptr) return invalid_argument(fmt::format("No filter named '{}' found.", name));
  TRY(charge());
  if (depth_ >= kEvaluationDepthMax) return invalid_argument("filters call each other too deep");
  const DepthGuard depth(depth_);
  return entry->run(*this, subject, args);
}

Result<bool> Interpreter::apply_test(std::string_view name, const Value& subject, const Arguments& args) {
  const TestEntry* entry = find_test(name);
  if (entry == nullptr) return invalid_argument(fmt::format("No test named '{}' found.", name));
  TRY(charge());
  if (depth_ >= kEvaluationDepthMax) return invalid_argument("tests call each other too deep");
  const DepthGuard depth(depth_);
  return entry->run(*this, subject, args);
}

Result<Value> Interpreter::evaluate_item(const ItemExpr& expr) {
  TRY_ASSIGN(const Value subject, evaluate(*expr.subject));
  TRY_ASSIGN(const Value index, evaluate(*expr.index));
  return item(subject, index);
}

Result<Value> Interpreter::evaluate_slice(const SliceExpr& expr) {
  TRY_ASSIGN(const Value subject, evaluate(*expr.subject));
  SliceBounds bounds;
  const auto bound = [&](const ExprPtr& part, std::optional<int64_t>& out) -> Status {
    if (part == nullptr) return {};
    TRY_ASSIGN(const Value value, evaluate(*part));
    TRY_ASSIGN(out, slice_bound(value));
    return {};
  };
  TRY(bound(expr.start, bounds.start));
  TRY(bound(expr.stop, bounds.stop));
  TRY(bound(expr.step, bounds.step));
  return slice(*this, subject, bounds);
}

Result<Value> Interpreter::evaluate_call(const CallExpr& expr) {
  Arguments args;
  if (expr.callee->kind != ExprKind::kAttribute) {
    TRY_ASSIGN(const Value callee, evaluate(*expr.callee));
    TRY(evaluate_arguments(expr.arguments, args));
    line_ = expr.line;
    return call(callee, args);
  }
  // A method is called without making a value of it first.
  const auto& node = static_cast<const AttributeExpr&>(*expr.callee);
  TRY_ASSIGN(const Value subject, evaluate(*node.subject));
  const Method method = find_method(subject, node.name.as_string());
  Value callee;
  if (method == nullptr) {
    TRY_ASSIGN(callee, attribute(subject, node.name));
  }
  TRY(evaluate_arguments(expr.arguments, args));
  line_ = expr.line;
  return method != nullptr ? method(*this, subject, args) : call(callee, args);
}

Result<Value> Interpreter::call(const Value& callee, const Arguments& args) {
  TRY(require_defined(callee));
  TRY(charge());
  if (callee.kind() == Kind::kLoop) {
    CallableObject* recurse = callee.loop_object().recurse;
    if (recurse == nullptr) return invalid_argument("the loop must have the 'recursive' marker to be called");
    return recurse->call(*this, args);
  }
  if (!callee.is_callable()) return invalid_argument(fmt::format("'{}' object is not callable", callee.type_name()));
  return callee.callable_object().call(*this, args);
}

Result<std::vector<Value>> Interpreter::iterate(const Value& value) {
  std::vector<Value> items;
  if (value.is_undefined()) return items;
  if (value.is_list()) {
    ListObject& list = value.list_object();
    TRY(charge(list.items.size() * sizeof(Value)));
    if (list.sequence != Sequence::kGenerator) return list.items;
    if (!std::exchange(list.consumed, true)) items = list.items;
    return items;
  }
  if (value.is_dict()) {
    TRY(charge(value.dict_object().entries.size() * sizeof(Value)));
    for (const auto& [key, unused] : value.dict_object().entries) items.push_back(key);
    return items;
  }
  if (value.is_string()) {
    TRY(charge(value.as_string().size() * 96));
    for (const std::string_view part : split_code_points(value.as_string())) {
      items.push_back(Value::string(std::string(part)));
    }
    return items;
  }
  return invalid_argument(fmt::format("'{}' object is not iterable", value.type_name()));
}

Result<Value> Interpreter::attribute(const Value& value, const Value& name) {
  TRY(require_defined(value));
  const std::string_view key = name.as_string();
  if (value.kind() == Kind::kNamespace) {
    const Value* found = value.namespace_object().find(key);
    return found != nullptr ? *found : Value::missing("jinja2.utils.Namespace", name);
  }
  if (value.kind() == Kind::kLoop) return loop_attribute(value, name);
  if (value.is_callable()) return value.callable_object().attribute(key);
  if (const Method method = find_method(value, key)) {
    TRY(charge(64));
    return bind_method(value, key, method);
  }
  if (value.is_dict()) {
    const Value* found = value.dict_object().find(key);
    if (found != nullptr) return *found;
  }
  if (value.is_sequence(Sequence::kGroup) && (key == "grouper" || key == "list")) {
    return value.items()[key == "grouper" ? 0 : 1];
  }
  return Value::missing(value.type_name(), name);
}

Result<Value> Interpreter::item(const Value& value, const Value& key) {
  TRY(require_defined(value));
  if (value.is_dict() && !key.is_list() && !key.is_dict()) {
    const Value* found =
        key.is_string() ? value.dict_object().find(key.as_string()) : value.dict_object().find(key, budget_);
    if (found != nullptr) return *found;
  } else if (value.is_dict() && check_hashable(key)) {
    const Value* found = value.dict_object().find(key, budget_);
    if (found != nullptr) return *found;
  } else if (key.is_integer() && value.is_list()) {
    const Sequence sequence = value.list_object().sequence;
    if (sequence >= Sequence::kGenerator && sequence != Sequence::kGroup) {
      return Value::missing(value.type_name(), key);
    }
    const Result<int64_t> index = wrapped_index(key.as_int(), value.items().size());
    if (index) return value.items()[static_cast<size_t>(*index)];
  } else if (key.is_integer() && value.is_string()) {
    TRY(charge(value.as_string().size()));
    const std::string_view text = value.as_string();
    const Result<int64_t> index = wrapped_index(key.as_int(), count_code_points(text));
    if (index) {
      const size_t begin = byte_offset(text, static_cast<size_t>(*index));
      return Value::string(std::string(text.substr(begin, byte_offset(text.substr(begin), 1))));
    }
  }
  if (key.is_string()) return attribute(value, key);
  return Value::missing(value.type_name(), key);
}

}  // namespace cove::text::jinja

#include "text/chat/jinja/expression_parser.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include <fmt/format.h>

#include "text/chat/jinja/filters.h"

namespace cove::text::jinja {
namespace {

std::string describe(const Token& token) {
  switch (token.type) {
    case TokenType::kText: return "text";
    case TokenType::kVariableBegin: return "'{{'";
    case TokenType::kVariableEnd: return "'}}'";
    case TokenType::kBlockBegin: return "'{%'";
    case TokenType::kBlockEnd: return "'%}'";
    case TokenType::kString: return "a string";
    case TokenType::kEnd: return "the end of the template";
    default: return fmt::format("'{}'", token.text);
  }
}

void raise(int& height, const Expr* child) {
  if (child != nullptr) height = std::max(height, child->height + 1);
}

}  // namespace

ExpressionParser::ExpressionParser(std::vector<Token> tokens, int depth_max)
    : tokens_(std::move(tokens)), depth_max_(depth_max) {
  for (const char* reserved : {"caller", "varargs", "kwargs", "loop"}) name_id(reserved);
}

Status ExpressionParser::Nesting::check() const {
  if (parser_.depth_ > parser_.depth_max_) {
    return parser_.error(fmt::format("nested deeper than {} levels", parser_.depth_max_));
  }
  return {};
}

bool ExpressionParser::skip_operator(std::string_view text) {
  if (!is_operator(text)) return false;
  next();
  return true;
}

bool ExpressionParser::skip_name(std::string_view text) {
  if (!is_name(text)) return false;
  next();
  return true;
}

Status ExpressionParser::expect_operator(std::string_view text) {
  if (skip_operator(text)) return {};
  return unexpected(fmt::format("'{}'", text));
}

Status ExpressionParser::expect_name(std::string_view text) {
  if (skip_name(text)) return {};
  return unexpected(fmt::format("'{}'", text));
}

Result<std::string> ExpressionParser::expect_any_name(std::string_view what) {
  if (current().type != TokenType::kName) return unexpected(what);
  return next().text;
}

Error ExpressionParser::error(std::string_view message) const {
  return invalid_argument(fmt::format("line {}: {}", current().line, message));
}

Error ExpressionParser::unexpected(std::string_view wanted) const {
  return error(fmt::format("expected {}, got {}", wanted, describe(current())));
}

NameId ExpressionParser::name_id(const std::string& name) {
  const auto [it, added] = name_ids_.emplace(name, static_cast<NameId>(names_.size()));
  if (added) names_.push_back(name);
  return it->second;
}

Result<ExprPtr> ExpressionParser::raised(ExprPtr expr, int height) const {
  expr->height = height;
  if (height > depth_max_) return error(fmt::format("an expression is nested deeper than {} levels", depth_max_));
  return expr;
}

Result<ExprPtr> ExpressionParser::finished(ExprPtr expr, std::initializer_list<const Expr*> children) {
  int height = expr->height;
  for (const Expr* child : children) raise(height, child);
  return raised(std::move(expr), height);
}

Result<ExprPtr> ExpressionParser::finished(ExprPtr expr, const CallArguments& args, const Expr* subject) {
  int height = expr->height;
  raise(height, subject);
  for (const ExprPtr& arg : args.positional) raise(height, arg.get());
  for (const auto& [name, arg] : args.named) raise(height, arg.get());
  raise(height, args.more_positional.get());
  raise(height, args.more_named.get());
  return raised(std::move(expr), height);
}

Result<ExprPtr> ExpressionParser::expression(Conditional conditional_allowed) {
  const Nesting nesting(*this);
  TRY(nesting.check());
  return conditional_allowed == Conditional::kAllowed ? conditional() : logical_or();
}

bool ExpressionParser::at_tuple_end(std::string_view end_name) const {
  return current().type == TokenType::kVariableEnd || current().type == TokenType::kBlockEnd || is_operator(")") ||
         (!end_name.empty() && is_name(end_name));
}

Result<ExprPtr> ExpressionParser::tuple(Conditional conditional_allowed, std::string_view end_name) {
  auto items = std::make_unique<SequenceExpr>(current().line, Sequence::kTuple);
  bool is_tuple = false;
  int height = 1;
  while (!at_tuple_end(end_name)) {
    TRY_ASSIGN(ExprPtr item, expression(conditional_allowed));
    raise(height, item.get());
    items->items.push_back(std::move(item));
    if (!skip_operator(",")) break;
    is_tuple = true;
  }
  if (items->items.empty()) return unexpected("an expression");
  if (!is_tuple) return std::move(items->items[0]);
  return raised(std::move(items), height);
}

Result<ExprPtr> ExpressionParser::conditional() {
  TRY_ASSIGN(ExprPtr value, logical_or());
  while (is_name("if")) {
    auto node = std::make_unique<ConditionalExpr>(next().line);
    node->then = std::move(value);
    TRY_ASSIGN(node->condition, logical_or());
    if (skip_name("else")) {
      const Nesting nesting(*this);
      TRY(nesting.check());
      TRY_ASSIGN(node->otherwise, conditional());
    }
    const auto& n = *node;
    TRY_ASSIGN(value, finished(std::move(node), {n.then.get(), n.condition.get(), n.otherwise.get()}));
  }
  return value;
}

template <class Next>
Result<ExprPtr> ExpressionParser::chain(ExprKind kind, const Next& next_operand,
                                        std::initializer_list<std::pair<std::string_view, Op>> ops) {
  const auto match = [&]() -> const std::pair<std::string_view, Op>* {
    for (const auto& op : ops) {
      const bool word = op.first == "and" || op.first == "or";
      if (word ? is_name(op.first) : is_operator(op.first)) return &op;
    }
    return nullptr;
  };
  TRY_ASSIGN(ExprPtr first, next_operand());
  if (match() == nullptr) return first;
  auto node = std::make_unique<ChainExpr>(kind, current().line);
  int height = first->height + 1;
  node->operands.push_back(std::move(first));
  while (const auto* op = match()) {
    next();
    node->ops.push_back(op->second);
    TRY_ASSIGN(ExprPtr operand, next_operand());
    raise(height, operand.get());
    node->operands.push_back(std::move(operand));
  }
  return raised(std::move(node), height);
}

Result<ExprPtr> ExpressionParser::logical_or() {
  return chain(ExprKind::kOr, [this] { return logical_and(); }, {{"or", Op::kAdd}});
}

Result<ExprPtr> ExpressionParser::logical_and() {
  return chain(ExprKind::kAnd, [this] { return logical_not(); }, {{"and", Op::kAdd}});
}

Result<ExprPtr> ExpressionParser::logical_not() {
  if (!is_name("not")) return comparison();
  const Nesting nesting(*this);
  TRY(nesting.check());
  const int line = next().line;
  TRY_ASSIGN(ExprPtr operand, logical_not());
  const Expr* child = operand.get();
  return finished(std::make_unique<UnaryExpr>(ExprKind::kNot, line, std::move(operand)), {child});
}

Result<ExprPtr> ExpressionParser::comparison() {
  static constexpr std::pair<std::string_view, Op> kOps[] = {{"==", Op::kEq}, {"!=", Op::kNe}, {"<", Op::kLt},
                                                             {"<=", Op::kLe}, {">", Op::kGt},  {">=", Op::kGe}};
  TRY_ASSIGN(ExprPtr first, sum());
  std::unique_ptr<ChainExpr> node;
  int height = first->height + 1;
  while (true) {
    Op op = Op::kIn;
    const auto* found =
        std::find_if(std::begin(kOps), std::end(kOps), [&](const auto& o) { return is_operator(o.first); });
    if (found != std::end(kOps)) {
      op = found->second;
      next();
    } else if (is_name("not") && ahead().type == TokenType::kName && ahead().text == "in") {
      op = Op::kNotIn;
      next();
      next();
    } else if (!skip_name("in")) {
      break;
    }
    if (node == nullptr) {
      node = std::make_unique<ChainExpr>(ExprKind::kCompare, current().line);
      node->operands.push_back(std::move(first));
    }
    node->ops.push_back(op);
    TRY_ASSIGN(ExprPtr operand, sum());
    raise(height, operand.get());
    node->operands.push_back(std::move(operand));
  }
  if (node == nullptr) return first;
  return raised(std::move(node), height);
}

Result<ExprPtr> ExpressionParser::sum() {
  return chain(ExprKind::kArithmetic, [this] { return concat(); }, {{"+", Op::kAdd}, {"-", Op::kSub}});
}

Result<ExprPtr> ExpressionParser::concat() {
  return chain(ExprKind::kConcat, [this] { return product(); }, {{"~", Op::kAdd}});
}

Result<ExprPtr> ExpressionParser::product() {
  return chain(ExprKind::kArithmetic, [this] { return power(); },
               {{"*", Op::kMul}, {"//", Op::kFloorDiv}, {"/", Op::kDiv}, {"%", Op::kMod}});
}

Result<ExprPtr> ExpressionParser::power() {
  return chain(ExprKind::kPower, [this] { return unary(Filters::kAllowed); }, {{"**", Op::kPow}});
}

Result<ExprPtr> ExpressionParser::unary(Filters filters_allowed) {
  ExprPtr node;
  if (is_operator("-") || is_operator("+")) {
    const Nesting nesting(*this);
    TRY(nesting.check());
    const Token sign = next();
    TRY_ASSIGN(ExprPtr operand, unary(Filters::kForbidden));
    const Expr* child = operand.get();
    const ExprKind kind = sign.text == "-" ? ExprKind::kNegate : ExprKind::kPositive;
    TRY_ASSIGN(node, finished(std::make_unique<UnaryExpr>(kind, sign.line, std::move(operand)), {child}));
  } else {
    TRY_ASSIGN(node, primary());
  }
  TRY_ASSIGN(node, postfix(std::move(node)));
  return filters_allowed == Filters::kAllowed ? filters_and_tests(std::move(node)) : std::move(node);
}

Result<ExprPtr> ExpressionParser::primary() {
  switch (current().type) {
    case TokenType::kName: return name();
    case TokenType::kString: return string();
    case TokenType::kInteger:
    case TokenType::kFloat: return number();
    default: break;
  }
  if (is_operator("(")) return parenthesised();
  if (is_operator("[")) return list();
  if (is_operator("{")) return dict();
  return unexpected("an expression");
}

Result<ExprPtr> ExpressionParser::name() {
  const Token token = next();
  const auto constant = [&](Value value) { return std::make_unique<ConstExpr>(token.line, std::move(value)); };
  if (token.text == "true" || token.text == "True") return constant(Value::boolean(true));
  if (token.text == "false" || token.text == "False") return constant(Value::boolean(false));
  if (token.text == "none" || token.text == "None") return constant(Value::none());
  saw_caller |= token.text == "caller";
  saw_varargs |= token.text == "varargs";
  saw_kwargs |= token.text == "kwargs";
  return std::make_unique<NameExpr>(token.line, name_id(token.text));
}

Result<ExprPtr> ExpressionParser::number() {
  const Token token = next();
  const std::string& digits = token.text;
  if (token.type == TokenType::kFloat) {
    return std::make_unique<ConstExpr>(token.line, Value::real(std::strtod(digits.c_str(), nullptr)));
  }
  int base = 10;
  if (digits.size() > 2 && digits[0] == '0') {
    const char mark = static_cast<char>(digits[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
  }
  int64_t value = 0;
  const char* begin = digits.data() + (base == 10 ? 0 : 2);
  const auto parsed = std::from_chars(begin, digits.data() + digits.size(), value, base);
  if (parsed.ec != std::errc()) {
    return invalid_argument(fmt::format("line {}: the number {} does not fit in 64 bits", token.line, digits));
  }
  return std::make_unique<ConstExpr>(token.line, Value::integer(value));
}

Result<ExprPtr> ExpressionParser::string() {
  const Token token = next();
  std::string text = token.text;
  while (current().type == TokenType::kString) text += next().text;
  return std::make_unique<ConstExpr>(token.line, Value::string(std::move(text)));
}

Result<ExprPtr> ExpressionParser::parenthesised() {
  const Nesting nesting(*this);
  TRY(nesting.check());
  const int line = next().line;
  if (skip_operator(")")) return std::make_unique<SequenceExpr>(line, Sequence::kTuple);
  TRY_ASSIGN(ExprPtr value, tuple(Conditional::kAllowed));
  TRY(expect_operator(")"));
  return value;
}

Result<ExprPtr> ExpressionParser::list() {
  auto node = std::make_unique<SequenceExpr>(next().line, Sequence::kList);
  int height = 1;
  while (!is_operator("]")) {
    if (!node->items.empty()) TRY(expect_operator(","));
    if (is_operator("]")) break;
    TRY_ASSIGN(ExprPtr item, expression());
    raise(height, item.get());
    node->items.push_back(std::move(item));
  }
  TRY(expect_operator("]"));
  return raised(std::move(node), height);
}

Result<ExprPtr> ExpressionParser::dict() {
  auto node = std::make_unique<DictExpr>(next().line);
  int height = 1;
  while (!is_operator("}")) {
    if (!node->entries.empty()) TRY(expect_operator(","));
    if (is_operator("}")) break;
    TRY_ASSIGN(ExprPtr key, expression());
    TRY(expect_operator(":"));
    TRY_ASSIGN(ExprPtr value, expression());
    raise(height, key.get());
    raise(height, value.get());
    node->entries.emplace_back(std::move(key), std::move(value));
  }
  TRY(expect_operator("}"));
  return raised(std::move(node), height);
}

Result<ExprPtr> ExpressionParser::postfix(ExprPtr subject) {
  while (true) {
    if (is_operator(".")) {
      TRY_ASSIGN(subject, dot(std::move(subject)));
    } else if (is_operator("[")) {
      TRY_ASSIGN(subject, subscript(std::move(subject)));
    } else if (is_operator("(")) {
      TRY_ASSIGN(subject, call(std::move(subject)));
    } else {
      return subject;
    }
  }
}

Result<ExprPtr> ExpressionParser::filters_and_tests(ExprPtr subject) {
  while (true) {
    if (is_operator("|")) {
      TRY_ASSIGN(subject, filters(std::move(subject)));
    } else if (is_name("is")) {
      TRY_ASSIGN(subject, test(std::move(subject)));
    } else if (is_operator("(")) {
      TRY_ASSIGN(subject, call(std::move(subject)));
    } else {
      return subject;
    }
  }
}

Result<ExprPtr> ExpressionParser::dot(ExprPtr subject) {
  const int line = next().line;
  const Expr* child = subject.get();
  if (current().type == TokenType::kName) {
    return finished(std::make_unique<AttributeExpr>(line, std::move(subject), next().text), {child});
  }
  if (current().type != TokenType::kInteger) return unexpected("a name or number after '.'");
  auto node = std::make_unique<ItemExpr>(line);
  node->subject = std::move(subject);
  TRY_ASSIGN(node->index, number());
  return finished(std::move(node), {child});
}

Result<ExprPtr> ExpressionParser::subscript(ExprPtr subject) {
  const int line = next().line;
  const Expr* child = subject.get();
  TRY_ASSIGN(ExprPtr part, subscript_part(subject));
  if (part->kind == ExprKind::kSlice && subject == nullptr) {
    TRY(expect_operator("]"));
    return part;
  }
  auto node = std::make_unique<ItemExpr>(line);
  node->subject = std::move(subject);
  node->index = std::move(part);
  if (is_operator(",")) {
    auto key = std::make_unique<SequenceExpr>(line, Sequence::kTuple);
    key->items.push_back(std::move(node->index));
    int height = key->items[0]->height + 1;
    while (skip_operator(",")) {
      TRY_ASSIGN(ExprPtr item, expression());
      raise(height, item.get());
      key->items.push_back(std::move(item));
    }
    TRY_ASSIGN(node->index, raised(std::move(key), height));
  }
  TRY(expect_operator("]"));
  const Expr* index = node->index.get();
  return finished(std::move(node), {child, index});
}

// An index, or a slice, which takes the subject over.
Result<ExprPtr> ExpressionParser::subscript_part(ExprPtr& subject) {
  const int line = current().line;
  ExprPtr start;
  if (!is_operator(":")) {
    TRY_ASSIGN(start, expression());
    if (!is_operator(":")) return start;
  }
  next();
  auto node = std::make_unique<SliceExpr>(line);
  node->start = std::move(start);
  if (!is_operator("]") && !is_operator(":")) {
    TRY_ASSIGN(node->stop, expression());
  }
  if (skip_operator(":") && !is_operator("]")) {
    TRY_ASSIGN(node->step, expression());
  }
  node->subject = std::move(subject);
  const SliceExpr& n = *node;
  return finished(std::move(node), {n.subject.get(), n.start.get(), n.stop.get(), n.step.get()});
}

Result<ExprPtr> ExpressionParser::call(ExprPtr callee) {
  auto node = std::make_unique<CallExpr>(current().line);
  node->callee = std::move(callee);
  TRY(arguments(node->arguments));
  const CallExpr& n = *node;
  return finished(std::move(node), n.arguments, n.callee.get());
}

Status ExpressionParser::arguments(CallArguments& out) {
  TRY(expect_operator("("));
  bool first = true;
  while (!is_operator(")")) {
    if (!first) TRY(expect_operator(","));
    if (!first && is_operator(")")) break;
    first = false;
    if (skip_operator("**")) {
      if (out.more_named != nullptr) return error("invalid syntax for function call expression");
      TRY_ASSIGN(out.more_named, expression());
    } else if (skip_operator("*")) {
      if (out.more_positional != nullptr || out.more_named != nullptr) {
        return error("invalid syntax for function call expression");
      }
      TRY_ASSIGN(out.more_positional, expression());
    } else if (current().type == TokenType::kName && ahead().type == TokenType::kOperator && ahead().text == "=") {
      std::string name = next().text;
      next();
      TRY_ASSIGN(ExprPtr value, expression());
      out.named.emplace_back(std::move(name), std::move(value));
    } else {
      if (out.more_positional != nullptr || out.more_named != nullptr || !out.named.empty()) {
        return error("a positional argument follows a named one");
      }
      TRY_ASSIGN(ExprPtr value, expression());
      out.positional.push_back(std::move(value));
    }
  }
  return expect_operator(")");
}

Result<std::string> ExpressionParser::dotted_name(std::string_view what) {
  TRY_ASSIGN(std::string name, expect_any_name(what));
  while (is_operator(".")) {
    next();
    TRY_ASSIGN(const std::string part, expect_any_name(what));
    name += "." + part;
  }
  return name;
}

Result<ExprPtr> ExpressionParser::filter(ExprPtr subject) {
  auto node = std::make_unique<FilterExpr>(current().line);
  TRY_ASSIGN(node->name, dotted_name("the name of a filter"));
  node->entry = find_filter(node->name);
  node->subject = std::move(subject);
  if (is_operator("(")) TRY(arguments(node->arguments));
  const FilterExpr& n = *node;
  return finished(std::move(node), n.arguments, n.subject.get());
}

Result<ExprPtr> ExpressionParser::filters(ExprPtr subject) {
  while (skip_operator("|")) {
    TRY_ASSIGN(subject, filter(std::move(subject)));
  }
  return subject;
}

Result<ExprPtr> ExpressionParser::inline_filters() {
  TRY_ASSIGN(ExprPtr first, filter(nullptr));
  return filters(std::move(first));
}

Status ExpressionParser::test_argument(CallArguments& out) {
  if (is_operator("(")) return arguments(out);
  const TokenType type = current().type;
  const bool starts_value = type == TokenType::kName || type == TokenType::kString || type == TokenType::kInteger ||
                            type == TokenType::kFloat || is_operator("[") || is_operator("{");
  if (!starts_value || is_name("else") || is_name("or") || is_name("and")) return {};
  if (is_name("is")) return error("You cannot chain multiple tests with is");
  TRY_ASSIGN(ExprPtr argument, primary());
  TRY_ASSIGN(argument, postfix(std::move(argument)));
  out.positional.push_back(std::move(argument));
  return {};
}

Result<ExprPtr> ExpressionParser::test(ExprPtr subject) {
  auto node = std::make_unique<TestExpr>(next().line);
  const bool negated = skip_name("not");
  TRY_ASSIGN(node->name, dotted_name("the name of a test"));
  node->entry = find_test(node->name);
  node->subject = std::move(subject);
  TRY(test_argument(node->arguments));
  const int line = node->line;
  const TestExpr& n = *node;
  TRY_ASSIGN(ExprPtr result, finished(std::move(node), n.arguments, n.subject.get()));
  if (!negated) return result;
  const Expr* child = result.get();
  return finished(std::make_unique<UnaryExpr>(ExprKind::kNot, line, std::move(result)), {child});
}

}  // namespace cove::text::jinja

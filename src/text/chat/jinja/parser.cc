#include "text/chat/jinja/parser.h"

#include <algorithm>
#include <initializer_list>

#include <fmt/format.h>

#include "text/chat/jinja/expression_parser.h"

namespace cove::text::jinja {
namespace {

using EndNames = std::initializer_list<std::string_view>;

class Parser {
 public:
  Parser(std::vector<Token> tokens, int depth_max) : in_(std::move(tokens), depth_max) {}

  Result<Program> run() {
    Program program;
    TRY_ASSIGN(program.body, statements({}));
    if (in_.current().type != TokenType::kEnd) return in_.unexpected("the end of the template");
    program.names = in_.take_names();
    return program;
  }

 private:
  // Statements up to a tag that begins with one of `ends` (or the end of the template when there are none); stands on
  // that name.
  Result<Body> statements(EndNames ends) {
    const ExpressionParser::Nesting nesting(in_);
    TRY(nesting.check());
    Body body;
    while (in_.current().type != TokenType::kEnd) {
      const Token token = in_.next();
      if (token.type == TokenType::kText) {
        body.push_back(std::make_unique<TextStmt>(token.line, token.text));
      } else if (token.type == TokenType::kVariableBegin) {
        TRY_ASSIGN(ExprPtr value, in_.tuple(Conditional::kAllowed));
        TRY(expect(TokenType::kVariableEnd, "'}}'"));
        body.push_back(std::make_unique<OutputStmt>(token.line, std::move(value)));
      } else {
        if (std::any_of(ends.begin(), ends.end(), [&](std::string_view name) { return in_.is_name(name); }))
          return body;
        TRY_ASSIGN(StmtPtr statement, statement_in_tag(body));
        if (statement != nullptr) body.push_back(std::move(statement));
        TRY(expect(TokenType::kBlockEnd, "'%}'"));
      }
    }
    if (ends.size() > 0) return in_.error(fmt::format("unexpected end of template, '{}' is missing", *ends.begin()));
    return body;
  }

  // The rest of a tag, the statements after it and the name of the tag that ends them, which is left current.
  Result<Body> body_until(EndNames ends) {
    in_.skip_operator(":");
    TRY(expect(TokenType::kBlockEnd, "'%}'"));
    return statements(ends);
  }

  Result<Body> body_through(std::string_view end) {
    TRY_ASSIGN(Body body, body_until({end}));
    in_.next();
    return body;
  }

  Status expect(TokenType type, std::string_view what) {
    if (in_.current().type != type) return in_.unexpected(what);
    in_.next();
    return {};
  }

  Result<StmtPtr> statement_in_tag(Body& body) {
    const int line = in_.current().line;
    TRY_ASSIGN(const std::string tag, in_.expect_any_name("the name of a tag"));
    if (tag == "if") return if_statement(line);
    if (tag == "for") return for_statement(line);
    if (tag == "set") return set_statement(line);
    if (tag == "macro") return macro_statement(line);
    if (tag == "call") return call_statement(line);
    if (tag == "filter") return filter_statement(line);
    if (tag == "with") return with_statement(line);
    if (tag == "print") return print_statement(line, body);
    if (tag == "generation") return scope(line, "endgeneration");
    if (tag == "block") return block_statement(line);
    if (tag == "autoescape") {
      TRY(in_.expression());
      return scope(line, "endautoescape");
    }
    if (tag == "break" || tag == "continue") return flow_statement(line, tag);
    return invalid_argument(fmt::format("line {}: encountered unknown tag '{}'", line, tag));
  }

  Result<StmtPtr> if_statement(int line) {
    auto node = std::make_unique<IfStmt>(line);
    while (true) {
      TRY_ASSIGN(ExprPtr condition, in_.tuple(Conditional::kForbidden));
      TRY_ASSIGN(Body body, body_until({"endif", "elif", "else"}));
      node->branches.emplace_back(std::move(condition), std::move(body));
      const std::string end = in_.next().text;
      if (end == "elif") continue;
      if (end == "else") {
        TRY_ASSIGN(node->otherwise, body_through("endif"));
      }
      return node;
    }
  }

  Result<StmtPtr> for_statement(int line) {
    auto node = std::make_unique<ForStmt>(line);
    TRY_ASSIGN(node->target, target("in"));
    TRY(in_.expect_name("in"));
    TRY_ASSIGN(node->items, in_.tuple(Conditional::kForbidden, "recursive"));
    if (in_.skip_name("if")) {
      TRY_ASSIGN(node->condition, in_.expression());
    }
    node->recursive = in_.skip_name("recursive");
    ++loops_;
    TRY_ASSIGN(node->body, body_until({"endfor", "else"}));
    --loops_;
    if (in_.next().text == "else") {
      TRY_ASSIGN(node->otherwise, body_through("endfor"));
    }
    return node;
  }

  Result<StmtPtr> flow_statement(int line, const std::string& tag) {
    if (loops_ == 0) return invalid_argument(fmt::format("line {}: '{}' outside loop", line, tag));
    return std::make_unique<FlowStmt>(tag == "break" ? StmtKind::kBreak : StmtKind::kContinue, line);
  }

  Result<StmtPtr> set_statement(int line) {
    Target to;
    if (in_.ahead().type == TokenType::kOperator && in_.ahead().text == ".") {
      TRY_ASSIGN(to, single_target());
    } else {
      TRY_ASSIGN(to, target({}));
    }
    if (in_.skip_operator("=")) {
      auto node = std::make_unique<SetStmt>(line);
      node->target = std::move(to);
      TRY_ASSIGN(node->value, in_.tuple(Conditional::kAllowed));
      return node;
    }
    auto node = std::make_unique<SetBlockStmt>(line);
    node->target = std::move(to);
    if (in_.skip_operator("|")) {
      TRY_ASSIGN(node->filter, in_.inline_filters());
    }
    TRY_ASSIGN(node->body, body_through("endset"));
    return node;
  }

  // A name, or an attribute of a namespace.
  Result<Target> single_target() {
    if (in_.skip_operator("(")) {
      TRY_ASSIGN(Target inner, target({}));
      TRY(in_.expect_operator(")"));
      return inner;
    }
    TRY_ASSIGN(const std::string name, in_.expect_any_name("a name to assign to"));
    for (const char* constant : {"true", "false", "none", "True", "False", "None"}) {
      if (name == constant) return in_.error(fmt::format("can't assign to '{}'", name));
    }
    Target to;
    to.id = in_.name_id(name);
    if (in_.skip_operator(".")) {
      to.kind = Target::Kind::kNamespace;
      TRY_ASSIGN(to.attribute, in_.expect_any_name("an attribute"));
    }
    return to;
  }

  Result<Target> target(std::string_view end_name) {
    const ExpressionParser::Nesting nesting(in_);
    TRY(nesting.check());
    TRY_ASSIGN(Target first, single_target());
    if (!in_.is_operator(",")) return first;
    Target all;
    all.kind = Target::Kind::kTuple;
    all.parts.push_back(std::move(first));
    while (in_.skip_operator(",")) {
      if (in_.is_operator("=") || in_.is_operator(")") || (!end_name.empty() && in_.is_name(end_name))) break;
      TRY_ASSIGN(Target part, single_target());
      all.parts.push_back(std::move(part));
    }
    return all;
  }

  Status signature(Signature& out) {
    TRY(in_.expect_operator("("));
    while (!in_.is_operator(")")) {
      if (!out.names.empty()) TRY(in_.expect_operator(","));
      if (in_.is_operator(")")) break;
      TRY_ASSIGN(const std::string name, in_.expect_any_name("a parameter"));
      out.parameters.push_back(in_.name_id(name));
      out.names.push_back(name);
      if (in_.skip_operator("=")) {
        TRY_ASSIGN(ExprPtr value, in_.expression());
        out.defaults.push_back(std::move(value));
      } else if (!out.defaults.empty()) {
        return in_.error("non-default argument follows default argument");
      }
    }
    return in_.expect_operator(")");
  }

  // The body of a macro, noting which of the names given to every macro it reads. Loops outside do not reach into it.
  Status macro_body(MacroStmt& macro, std::string_view end) {
    const bool caller = std::exchange(in_.saw_caller, false);
    const bool varargs = std::exchange(in_.saw_varargs, false);
    const bool kwargs = std::exchange(in_.saw_kwargs, false);
    const int loops = std::exchange(loops_, 0);
    TRY_ASSIGN(macro.body, body_through(end));
    loops_ = loops;
    macro.uses_caller = in_.saw_caller;
    macro.uses_varargs = in_.saw_varargs;
    macro.uses_kwargs = in_.saw_kwargs;
    in_.saw_caller |= caller;
    in_.saw_varargs |= varargs;
    in_.saw_kwargs |= kwargs;
    return {};
  }

  Result<StmtPtr> macro_statement(int line) {
    auto node = std::make_unique<MacroStmt>(line);
    TRY_ASSIGN(node->name, in_.expect_any_name("the name of the macro"));
    node->id = in_.name_id(node->name);
    TRY(signature(node->signature));
    TRY(macro_body(*node, "endmacro"));
    return node;
  }

  Result<StmtPtr> call_statement(int line) {
    auto node = std::make_unique<CallBlockStmt>(line);
    node->caller = std::make_unique<MacroStmt>(line);
    node->caller->name = "caller";
    if (in_.is_operator("(")) TRY(signature(node->caller->signature));
    TRY_ASSIGN(node->call, in_.expression());
    if (node->call->kind != ExprKind::kCall) return in_.error("expected a call");
    TRY(macro_body(*node->caller, "endcall"));
    return node;
  }

  Result<StmtPtr> filter_statement(int line) {
    auto node = std::make_unique<FilterBlockStmt>(line);
    TRY_ASSIGN(node->filter, in_.inline_filters());
    TRY_ASSIGN(node->body, body_through("endfilter"));
    return node;
  }

  Result<StmtPtr> with_statement(int line) {
    auto node = std::make_unique<WithStmt>(line);
    while (in_.current().type != TokenType::kBlockEnd) {
      if (!node->bindings.empty()) TRY(in_.expect_operator(","));
      TRY_ASSIGN(Target to, target({}));
      TRY(in_.expect_operator("="));
      TRY_ASSIGN(ExprPtr value, in_.expression());
      node->bindings.emplace_back(std::move(to), std::move(value));
    }
    TRY_ASSIGN(node->body, body_through("endwith"));
    return node;
  }

  Result<StmtPtr> print_statement(int line, Body& body) {
    while (in_.current().type != TokenType::kBlockEnd) {
      TRY_ASSIGN(ExprPtr value, in_.expression());
      body.push_back(std::make_unique<OutputStmt>(line, std::move(value)));
      if (!in_.skip_operator(",")) break;
    }
    return StmtPtr();
  }

  Result<StmtPtr> scope(int line, std::string_view end) {
    auto node = std::make_unique<ScopeStmt>(line);
    TRY_ASSIGN(node->body, body_through(end));
    return node;
  }

  Result<StmtPtr> block_statement(int line) {
    TRY_ASSIGN(const std::string name, in_.expect_any_name("the name of the block"));
    in_.skip_name("scoped");
    TRY_ASSIGN(StmtPtr node, scope(line, "endblock"));
    in_.skip_name(name);
    return node;
  }

  ExpressionParser in_;
  int loops_ = 0;
};

}  // namespace

Result<Program> parse(std::string_view source, int depth_max) {
  TRY_ASSIGN(std::vector<Token> tokens, tokenize(source));
  return Parser(std::move(tokens), depth_max).run();
}

}  // namespace cove::text::jinja

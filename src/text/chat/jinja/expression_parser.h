#pragma once
// Tokens to expression trees, by the grammar of Jinja 3.1's parser. Used by the statement parser (parser.cc) alone.

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "text/chat/jinja/ast.h"
#include "text/chat/jinja/lexer.h"

namespace cove::text::jinja {

enum class Conditional { kAllowed, kForbidden };  // "a if b else c": not where an `if` may follow

class ExpressionParser {
 public:
  ExpressionParser(std::vector<Token> tokens, int depth_max);

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token next() { return at_ + 1 < tokens_.size() ? tokens_[at_++] : tokens_[at_]; }
  bool is_operator(std::string_view text) const {
    return current().type == TokenType::kOperator && current().text == text;
  }
  bool is_name(std::string_view text) const { return current().type == TokenType::kName && current().text == text; }
  bool skip_operator(std::string_view text);
  bool skip_name(std::string_view text);
  Status expect_operator(std::string_view text);
  Status expect_name(std::string_view text);
  Result<std::string> expect_any_name(std::string_view what);
  Error error(std::string_view message) const;
  Error unexpected(std::string_view wanted) const;

  NameId name_id(const std::string& name);
  std::vector<std::string> take_names() { return std::move(names_); }

  Result<ExprPtr> expression(Conditional conditional = Conditional::kAllowed);
  // One expression, or several with commas between them: a tuple. Ends at the tag's end, ')' or the name `end_name`.
  Result<ExprPtr> tuple(Conditional conditional, std::string_view end_name = {});
  Result<ExprPtr> primary();
  // The filters after `subject`. With subject null the first filter's name comes at once: {% filter upper|trim %}.
  Result<ExprPtr> filters(ExprPtr subject);
  Result<ExprPtr> inline_filters();
  Status arguments(CallArguments& out);

  // A bound on recursion: enter() at each level of nesting.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser) : parser_(parser) { ++parser_.depth_; }
    ~Nesting() { --parser_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    Status check() const;

   private:
    ExpressionParser& parser_;
  };

  // Set when the name was read; the statement parser clears them at the start of a macro.
  bool saw_caller = false, saw_varargs = false, saw_kwargs = false;

 private:
  Result<ExprPtr> conditional();
  Result<ExprPtr> logical_or();
  Result<ExprPtr> logical_and();
  Result<ExprPtr> logical_not();
  Result<ExprPtr> comparison();
  Result<ExprPtr> sum();
  Result<ExprPtr> concat();
  Result<ExprPtr> product();
  Result<ExprPtr> power();
  enum class Filters { kAllowed, kForbidden };
  Result<ExprPtr> unary(Filters filters);
  Result<ExprPtr> name();
  Result<ExprPtr> number();
  Result<ExprPtr> string();
  Result<ExprPtr> list();
  Result<ExprPtr> dict();
  Result<ExprPtr> parenthesised();
  Result<ExprPtr> postfix(ExprPtr subject);
  Result<ExprPtr> filters_and_tests(ExprPtr subject);
  Result<ExprPtr> dot(ExprPtr subject);
  Result<ExprPtr> subscript(ExprPtr subject);
  Result<ExprPtr> subscript_part(ExprPtr& subject);
  Result<ExprPtr> call(ExprPtr callee);
  Result<ExprPtr> filter(ExprPtr subject);
  Result<ExprPtr> test(ExprPtr subject);
  Result<std::string> dotted_name(std::string_view what);
  Status test_argument(CallArguments& out);
  // Refuses a tree that has grown too high.
  Result<ExprPtr> finished(ExprPtr expr, std::initializer_list<const Expr*> children);
  Result<ExprPtr> finished(ExprPtr expr, const CallArguments& args, const Expr* subject);
  Result<ExprPtr> raised(ExprPtr expr, int height) const;
  bool at_tuple_end(std::string_view end_name) const;

  template <class Next>
  Result<ExprPtr> chain(ExprKind kind, const Next& next_operand,
                        std::initializer_list<std::pair<std::string_view, Op>> ops);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_max_;
  int depth_ = 0;
  std::vector<std::string> names_;
  std::unordered_map<std::string, NameId> name_ids_;
};

}  // namespace cove::text::jinja

#pragma once
// Runs a compiled template once: walks the tree, keeps scopes, counts steps. One per render, one thread. Filters,
// tests, methods and global functions get it to charge their work, to call back and to print.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/container/small_vector.hpp>
#include <boost/json/object.hpp>

#include "base/json.h"
#include "base/result.h"
#include "text/chat/chat_template.h"
#include "text/chat/jinja/ast.h"
#include "text/chat/jinja/value.h"

namespace cove::text::jinja {

// The variables of one scope. Those that a macro can still see live until the render ends.
struct Scope {
  Scope* parent = nullptr;
  boost::container::small_vector<std::pair<NameId, Value>, 6> variables;
  bool captured = false;
};

class Interpreter {
 public:
  Interpreter(const Program& program, const TemplateLimits& limits, const json::object& variables, int64_t now_unix_s);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  Result<std::string> run();

  // --- for filters, tests, methods and global functions ---
  Budget& budget() { return budget_; }
  // Every loop and every copy pays: one step, and one more for 32 bytes. Fails when the template's steps are used up.
  Status charge(size_t bytes = 0);
  // A string that has been built; fails when it is longer than the output may be.
  Result<Value> make_string(std::string text);
  Result<std::string> to_text(const Value& value);
  Result<Value> call(const Value& callee, const Arguments& args);
  // The filter or test of that name, as select() and map() call them.
  Result<Value> apply_filter(std::string_view name, const Value& subject, const Arguments& args);
  Result<bool> apply_test(std::string_view name, const Value& subject, const Arguments& args);
  // What iterating over the value gives: items, keys, characters. Errors: "'int' object is not iterable".
  Result<std::vector<Value>> iterate(const Value& value);
  // value.name and value[key], by the rules of Jinja: either falls back on the other.
  // Errors: only for undefined values; what is not there is Undefined.
  Result<Value> attribute(const Value& value, const Value& name);
  Result<Value> item(const Value& value, const Value& key);
  // Jinja's error for using an undefined value, or nothing.
  static Status require_defined(const Value& value);
  size_t output_bytes_max() const { return limits_.output_bytes_max; }
  int64_t now_unix_s() const { return now_unix_s_; }
  Value new_namespace();
  // Keeps a loop that remembers values (loop.changed) until the render ends, when circles are broken.
  void keep(const Value& loop) { kept_loops_.push_back(loop); }
  // The error of raise_exception: the template's own words, without a line.
  Error raise(std::string message);

  // --- for macros and recursive loops ---
  Result<std::string> run_macro(const MacroStmt& macro, Scope* closure, const Arguments& args);
  Result<std::string> run_loop_again(const ForStmt& loop, Scope* scope, const Value& items, int depth0);

 private:
  enum class Flow : uint8_t { kNormal, kBreak, kContinue };

  // RAII: a scope on top of the current one. / output into another string. / one level of recursion.
  class ScopeGuard;
  class CaptureGuard;
  class DepthGuard;

  Scope* acquire_scope(Scope* parent);
  void release_scope(Scope* scope);
  void capture_scopes();
  Value lookup(NameId id);
  Value context_variable(NameId id);
  void set_variable(NameId id, Value value);
  Status assign(const Target& target, const Value& value);
  Status unpack(const Target& target, const Value& value);

  Result<Flow> execute(const Body& body);
  Result<Flow> execute_one(const Stmt& stmt);
  Result<Flow> execute_if(const IfStmt& stmt);
  Result<Flow> execute_scope(const ScopeStmt& stmt);
  Result<Flow> execute_with(const WithStmt& stmt);
  Status execute_output(const OutputStmt& stmt);
  Status execute_for(const ForStmt& stmt, const Value& items, int depth0);
  Result<std::vector<Value>> filtered_items(const ForStmt& stmt, const Value& items);
  Status execute_set_block(const SetBlockStmt& stmt);
  Status execute_call_block(const CallBlockStmt& stmt);
  Status execute_filter_block(const FilterBlockStmt& stmt);
  Value make_macro(const MacroStmt& stmt);
  Status bind_macro_arguments(const MacroStmt& macro, const Arguments& args);
  Status emit(std::string_view text);
  // Runs `body` in a new scope with the output going into a string.
  Result<std::string> capture(const Body& body);

  Result<Value> evaluate(const Expr& expr);
  Result<Value> evaluate_deep(const Expr& expr);
  Result<Value> evaluate_sequence(const SequenceExpr& expr);
  Result<Value> evaluate_dict(const DictExpr& expr);
  Result<Value> evaluate_unary(const UnaryExpr& expr);
  Result<Value> evaluate_chain(const ChainExpr& expr);
  Result<Value> evaluate_concat(const ChainExpr& expr);
  Result<Value> evaluate_compare(const ChainExpr& expr);
  Result<Value> evaluate_conditional(const ConditionalExpr& expr);
  Result<Value> evaluate_filter(const FilterExpr& expr, const Value* subject);
  Result<Value> evaluate_test(const TestExpr& expr);
  Result<Value> evaluate_item(const ItemExpr& expr);
  Result<Value> evaluate_slice(const SliceExpr& expr);
  Result<Value> evaluate_call(const CallExpr& expr);
  Status evaluate_arguments(const CallArguments& in, Arguments& out);

  const Program& program_;
  const TemplateLimits limits_;
  const json::object& variables_;
  const int64_t now_unix_s_;
  Budget budget_;
  std::vector<std::unique_ptr<Scope>> scopes_;
  std::vector<Scope*> free_scopes_;
  std::vector<Value> namespaces_;
  std::vector<Value> kept_loops_;
  std::vector<Value> context_;  // by NameId, converted when first read
  std::vector<bool> context_read_;
  Scope* scope_ = nullptr;
  std::string output_;
  std::string* out_ = &output_;
  size_t captured_bytes_ = 0;  // in outer outputs while out_ points elsewhere
  int line_ = 1;
  bool raised_by_template_ = false;
  int depth_ = 0;
  int macro_depth_ = 0;
};

}  // namespace cove::text::jinja

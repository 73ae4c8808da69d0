#pragma once
// The compiled template: plain data made by the parser, read by the interpreter, shared by threads. Chains of operators
// are flat lists, so that long sums and long `or`s need no deep recursion.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/chat/jinja/callable.h"
#include "text/chat/jinja/value.h"

namespace cove::text::jinja {

// Names of variables are numbered per template: a scope is a short list of (number, value).
using NameId = int32_t;

enum class ExprKind : uint8_t {
  kConst,
  kName,
  kSequence,
  kDict,
  kNegate,
  kPositive,
  kNot,
  kArithmetic,
  kPower,
  kConcat,
  kCompare,
  kAnd,
  kOr,
  kConditional,
  kFilter,
  kTest,
  kAttribute,
  kItem,
  kSlice,
  kCall,
};

struct Expr {
  Expr(ExprKind k, int at) : kind(k), line(at) {}
  Expr(const Expr&) = delete;
  Expr& operator=(const Expr&) = delete;
  virtual ~Expr() = default;
  const ExprKind kind;
  int line;
  int height = 1;  // of the tree below; the parser refuses trees too high to walk
};
using ExprPtr = std::unique_ptr<Expr>;

struct ConstExpr final : Expr {
  ConstExpr(int at, Value v) : Expr(ExprKind::kConst, at), value(std::move(v)) { value.freeze(); }
  ~ConstExpr() override { value.thaw_and_free(); }
  Value value;
};

struct NameExpr final : Expr {
  NameExpr(int at, NameId name) : Expr(ExprKind::kName, at), id(name) {}
  NameId id;
};

struct SequenceExpr final : Expr {
  SequenceExpr(int at, Sequence s) : Expr(ExprKind::kSequence, at), sequence(s) {}
  Sequence sequence;
  std::vector<ExprPtr> items;
};

struct DictExpr final : Expr {
  explicit DictExpr(int at) : Expr(ExprKind::kDict, at) {}
  std::vector<std::pair<ExprPtr, ExprPtr>> entries;
};

// kNegate, kPositive, kNot.
struct UnaryExpr final : Expr {
  UnaryExpr(ExprKind k, int at, ExprPtr e) : Expr(k, at), operand(std::move(e)) {}
  ExprPtr operand;
};

enum class Op : uint8_t { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow, kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

// kArithmetic, kPower, kCompare: operands.size() == ops.size() + 1, from the left. kConcat, kAnd, kOr: no ops.
struct ChainExpr final : Expr {
  ChainExpr(ExprKind k, int at) : Expr(k, at) {}
  std::vector<ExprPtr> operands;
  std::vector<Op> ops;
};

struct ConditionalExpr final : Expr {
  explicit ConditionalExpr(int at) : Expr(ExprKind::kConditional, at) {}
  ExprPtr condition, then, otherwise;  // otherwise may be null
};

struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr more_positional;  // *args, may be null
  ExprPtr more_named;       // **kwargs, may be null
};

struct FilterExpr final : Expr {
  explicit FilterExpr(int at) : Expr(ExprKind::kFilter, at) {}
  ExprPtr subject;  // null in {% filter %} and block set: the text is given
  std::string name;
  const struct FilterEntry* entry =
      nullptr;  // null when there is no such filter: an error if it is reached, as in Jinja
  CallArguments arguments;
};

struct TestExpr final : Expr {
  explicit TestExpr(int at) : Expr(ExprKind::kTest, at) {}
  ExprPtr subject;
  std::string name;
  const struct TestEntry* entry = nullptr;
  CallArguments arguments;
};

struct AttributeExpr final : Expr {
  AttributeExpr(int at, ExprPtr e, std::string n)
      : Expr(ExprKind::kAttribute, at), subject(std::move(e)), name(Value::string(std::move(n))) {
    name.freeze();
  }
  ~AttributeExpr() override { name.thaw_and_free(); }
  ExprPtr subject;
  Value name;
};

struct ItemExpr final : Expr {
  explicit ItemExpr(int at) : Expr(ExprKind::kItem, at) {}
  ExprPtr subject, index;
};

struct SliceExpr final : Expr {
  explicit SliceExpr(int at) : Expr(ExprKind::kSlice, at) {}
  ExprPtr subject, start, stop, step;  // the last three may be null
};

struct CallExpr final : Expr {
  explicit CallExpr(int at) : Expr(ExprKind::kCall, at) {}
  ExprPtr callee;
  CallArguments arguments;
};

// Where an assignment goes: a name, an attribute of a namespace, or several of them.
struct Target {
  enum class Kind : uint8_t { kName, kNamespace, kTuple } kind = Kind::kName;
  NameId id = 0;
  std::string attribute;
  std::vector<Target> parts;
};

enum class StmtKind : uint8_t {
  kText,
  kOutput,
  kIf,
  kFor,
  kSet,
  kSetBlock,
  kMacro,
  kCallBlock,
  kFilterBlock,
  kWith,
  kScope,
  kBreak,
  kContinue,
};

struct Stmt {
  Stmt(StmtKind k, int at) : kind(k), line(at) {}
  Stmt(const Stmt&) = delete;
  Stmt& operator=(const Stmt&) = delete;
  virtual ~Stmt() = default;
  const StmtKind kind;
  int line;
};
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

struct TextStmt final : Stmt {
  TextStmt(int at, std::string t) : Stmt(StmtKind::kText, at), text(std::move(t)) {}
  std::string text;
};

struct OutputStmt final : Stmt {
  OutputStmt(int at, ExprPtr e) : Stmt(StmtKind::kOutput, at), value(std::move(e)) {}
  ExprPtr value;
};

struct IfStmt final : Stmt {
  explicit IfStmt(int at) : Stmt(StmtKind::kIf, at) {}
  std::vector<std::pair<ExprPtr, Body>> branches;
  Body otherwise;
};

struct ForStmt final : Stmt {
  explicit ForStmt(int at) : Stmt(StmtKind::kFor, at) {}
  Target target;
  ExprPtr items, condition;  // condition may be null
  bool recursive = false;
  Body body, otherwise;
};

struct SetStmt final : Stmt {
  explicit SetStmt(int at) : Stmt(StmtKind::kSet, at) {}
  Target target;
  ExprPtr value;
};

struct SetBlockStmt final : Stmt {
  explicit SetBlockStmt(int at) : Stmt(StmtKind::kSetBlock, at) {}
  Target target;
  std::unique_ptr<Expr> filter;  // FilterExpr or null
  Body body;
};

struct Signature {
  std::vector<NameId> parameters;
  std::vector<std::string> names;
  std::vector<ExprPtr> defaults;  // of the last parameters
};

struct MacroStmt final : Stmt {
  explicit MacroStmt(int at) : Stmt(StmtKind::kMacro, at) {}
  std::string name;
  NameId id = 0;
  Signature signature;
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
  Body body;
};

struct CallBlockStmt final : Stmt {
  explicit CallBlockStmt(int at) : Stmt(StmtKind::kCallBlock, at) {}
  std::unique_ptr<MacroStmt> caller;
  ExprPtr call;  // a CallExpr
};

struct FilterBlockStmt final : Stmt {
  explicit FilterBlockStmt(int at) : Stmt(StmtKind::kFilterBlock, at) {}
  ExprPtr filter;
  Body body;
};

struct WithStmt final : Stmt {
  explicit WithStmt(int at) : Stmt(StmtKind::kWith, at) {}
  std::vector<std::pair<Target, ExprPtr>> bindings;
  Body body;
};

// {% generation %}, {% block %}, {% autoescape %}: rendered in place in a scope of its own.
struct ScopeStmt final : Stmt {
  explicit ScopeStmt(int at) : Stmt(StmtKind::kScope, at) {}
  Body body;
};

struct FlowStmt final : Stmt {  // kBreak, kContinue
  FlowStmt(StmtKind k, int at) : Stmt(k, at) {}
};

struct Program {
  Body body;
  std::vector<std::string> names;  // by NameId
};

// The three names that macros get without declaring them.
inline constexpr NameId kCallerId = 0;
inline constexpr NameId kVarargsId = 1;
inline constexpr NameId kKwargsId = 2;
inline constexpr NameId kLoopId = 3;

}  // namespace cove::text::jinja

// The tests of templates: "x is defined", "n is divisibleby 3".
#include <unordered_map>

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/chat/jinja/filters.h"
#include "text/chat/jinja/interpreter.h"
#include "text/chat/jinja/operators.h"
#include "text/chat/jinja/unicode.h"

namespace cove::text::jinja {
namespace {

using Args = const Arguments&;

template <bool (*kIs)(const Value&)>
Result<bool> is_kind(Interpreter&, const Value& subject, Args args) {
  TRY(Parameters::bind("test", args, {}));
  return kIs(subject);
}

bool defined(const Value& v) { return !v.is_undefined(); }
bool undefined(const Value& v) { return v.is_undefined(); }
bool none(const Value& v) { return v.is_none(); }
bool boolean(const Value& v) { return v.is_bool(); }
bool is_true(const Value& v) { return v.is_bool() && v.as_bool(); }
bool is_false(const Value& v) { return v.is_bool() && !v.as_bool(); }
bool integer(const Value& v) { return v.kind() == Kind::kInt; }
bool real(const Value& v) { return v.is_float(); }
bool number(const Value& v) { return v.is_number(); }
bool string(const Value& v) { return v.is_string(); }
bool mapping(const Value& v) { return v.is_dict(); }
bool callable(const Value& v) { return v.is_callable() || v.kind() == Kind::kLoop || v.is_undefined(); }
bool escaped(const Value& v) { return v.is_string() && v.string_object().safe; }
bool iterable(const Value& v) {
  return v.is_string() || v.is_list() || v.is_dict() || v.is_undefined() || v.kind() == Kind::kLoop;
}
// What has a length and can be indexed.
bool sequence(const Value& v) {
  if (v.is_string() || v.is_dict() || v.is_undefined()) return true;
  return v.is_list() && (v.list_object().sequence < Sequence::kGenerator || v.is_sequence(Sequence::kGroup));
}

template <Op kOp>
Result<bool> compares(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("test", args, {"other"}, 1));
  return holds(in, kOp, subject, *p.get(0));
}

Result<bool> sameas(Interpreter&, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("sameas", args, {"other"}, 1));
  return subject.same_as(*p.get(0));
}

Result<bool> divisible(Interpreter& in, const Value& subject, const Value& by) {
  TRY_ASSIGN(const Value rest, arithmetic(in, Op::kMod, subject, by));
  return equals(rest, Value::integer(0), in.budget());
}

Result<bool> divisibleby(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("divisibleby", args, {"num"}, 1));
  return divisible(in, subject, *p.get(0));
}

Result<bool> even(Interpreter& in, const Value& subject, Args args) {
  TRY(Parameters::bind("even", args, {}));
  return divisible(in, subject, Value::integer(2));
}

Result<bool> odd(Interpreter& in, const Value& subject, Args args) {
  TRY(Parameters::bind("odd", args, {}));
  TRY_ASSIGN(const Value rest, arithmetic(in, Op::kMod, subject, Value::integer(2)));
  return equals(rest, Value::integer(1), in.budget());
}

template <bool (*kWanted)(char32_t), bool (*kOther)(char32_t)>
Result<bool> cased_as(Interpreter& in, const Value& subject, Args args) {
  TRY(Parameters::bind("test", args, {}));
  TRY_ASSIGN(const std::string text, in.to_text(subject));
  bool some = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (kOther(c)) return false;
    some |= kWanted(c);
  }
  return some;
}

Result<bool> is_filter(Interpreter& in, const Value& subject, Args) {
  TRY_ASSIGN(const std::string name, in.to_text(subject));
  return find_filter(name) != nullptr;
}

Result<bool> is_test(Interpreter& in, const Value& subject, Args) {
  TRY_ASSIGN(const std::string name, in.to_text(subject));
  return find_test(name) != nullptr;
}

constexpr TestEntry kTests[] = {
    {"defined", is_kind<defined>},
    {"undefined", is_kind<undefined>},
    {"none", is_kind<none>},
    {"boolean", is_kind<boolean>},
    {"true", is_kind<is_true>},
    {"false", is_kind<is_false>},
    {"integer", is_kind<integer>},
    {"float", is_kind<real>},
    {"number", is_kind<number>},
    {"string", is_kind<string>},
    {"mapping", is_kind<mapping>},
    {"iterable", is_kind<iterable>},
    {"sequence", is_kind<sequence>},
    {"callable", is_kind<callable>},
    {"escaped", is_kind<escaped>},
    {"sameas", sameas},
    {"divisibleby", divisibleby},
    {"even", even},
    {"odd", odd},
    {"lower", cased_as<is_lower, is_upper>},
    {"upper", cased_as<is_upper, is_lower>},
    {"filter", is_filter},
    {"test", is_test},
    {"in", compares<Op::kIn>},
    {"eq", compares<Op::kEq>},
    {"==", compares<Op::kEq>},
    {"equalto", compares<Op::kEq>},
    {"ne", compares<Op::kNe>},
    {"!=", compares<Op::kNe>},
    {"lt", compares<Op::kLt>},
    {"<", compares<Op::kLt>},
    {"lessthan", compares<Op::kLt>},
    {"le", compares<Op::kLe>},
    {"<=", compares<Op::kLe>},
    {"gt", compares<Op::kGt>},
    {">", compares<Op::kGt>},
    {"greaterthan", compares<Op::kGt>},
    {"ge", compares<Op::kGe>},
    {">=", compares<Op::kGe>},
};

}  // namespace

const TestEntry* find_test(std::string_view name) {
  static const std::unordered_map<std::string_view, const TestEntry*> kTable = [] {
    std::unordered_map<std::string_view, const TestEntry*> table;
    for (const TestEntry& entry : kTests) table.emplace(entry.name, &entry);
    return table;
  }();
  const auto found = kTable.find(name);
  return found == kTable.end() ? nullptr : found->second;
}

}  // namespace cove::text::jinja

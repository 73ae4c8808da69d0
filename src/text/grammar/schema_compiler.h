#pragma once
// The compiler behind json_schema.h. One per grammar.

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "text/grammar/json_values.h"
#include "text/grammar/network.h"
#include "text/grammar/number_grammar.h"

namespace cove::text::grammar {

class SchemaCompiler {
 public:
  SchemaCompiler(Network& network, const JsonRules& rules, const json::value& root)
      : network_(network), rules_(rules), root_(root) {}

  // A value of the whole schema.
  Result<Fragment> compile() { return call_schema(root_, "#"); }

 private:
  // A schema becomes a rule once, so that recursion and repeated use cost nothing.
  Result<Fragment> call_schema(const json::value& schema, const std::string& path);
  Result<Fragment> compile_schema(const json::value& schema, const std::string& path);
  Result<Fragment> compile_object_schema(const json::object& schema, const std::string& path);
  Result<Fragment> compile_type(std::string_view type, const json::object& schema, const std::string& path);
  Result<Fragment> follow(std::string_view reference, const std::string& path);
  Result<Fragment> any_of(const json::value& list, const std::string& path);
  Result<Fragment> all_of(const json::object& schema, const std::string& path);
  Status merge_into(json::object& merged, const json::value& part, const std::string& path, int depth);
  Result<Fragment> one_of_values(const json::array& values, const json::object& schema, const std::string& path);

  Result<Fragment> object(const json::object& schema, const std::string& path);
  Result<Fragment> members(const json::object& schema, const std::string& path);
  Result<Fragment> other_member(const json::object& schema, const std::string& path);
  Fragment key_other_than(const std::set<std::u32string>& names);
  Result<Fragment> array(const json::object& schema, const std::string& path);
  Result<Fragment> string(const json::object& schema, const std::string& path);
  Result<Fragment> number(std::string_view type, const json::object& schema, const std::string& path);

  Network& network_;
  JsonRules rules_;
  const json::value& root_;
  std::unordered_map<const json::value*, RuleId> rule_of_;
  std::vector<std::unique_ptr<json::value>> merged_;  // schemas that allOf put together
  int depth_ = 0;
};

// schema_keywords.cc
// Refuses keywords that change what is valid and that the compiler cannot honour.
Status check_keywords(const json::object& schema, const std::string& path);
// Whether the schema says anything besides `allowed` and annotations; the name of it.
std::optional<std::string> other_keyword(const json::object& schema, std::initializer_list<std::string_view> allowed);
// The type that the keywords are about, when none is given.
std::string_view implied_type(const json::object& schema);
bool has_type(const json::value& value, std::string_view type);
Result<NumberBounds> number_bounds(const json::object& schema, const std::string& path);
struct CountBounds {
  int64_t low = 0;
  int64_t high = -1;  // -1 = none
};
Result<CountBounds> count_bounds(const json::object& schema, std::string_view low, std::string_view high,
                                 const std::string& path);
// A regular expression for the formats that are kept, or empty.
std::string_view pattern_of_format(std::string_view format);

}  // namespace cove::text::grammar

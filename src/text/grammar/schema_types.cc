// What each JSON type's keywords become.
#include <algorithm>

#include <fmt/format.h>
#include <boost/json/serialize.hpp>

#include "base/utf8.h"
#include "text/grammar/characters.h"
#include "text/grammar/regex.h"
#include "text/grammar/schema_compiler.h"

namespace cove::text::grammar {
namespace {

Error at(const std::string& path, std::string_view what) { return invalid_argument(fmt::format("{}: {}", path, what)); }

std::u32string code_points(std::string_view text) {
  std::u32string out;
  for (size_t i = 0; i < text.size();) out += next_code_point(text, i);
  return out;
}

bool is_false(const json::value* value) { return value != nullptr && value->is_bool() && !value->get_bool(); }

// A property as it is written: the key, the colon and the value.
struct Member {
  std::string key;
  const json::value* schema = nullptr;  // null: any value
  bool required = false;
};

Result<std::vector<Member>> list_members(const json::object& schema, const std::string& path) {
  std::vector<Member> members;
  if (const json::value* properties = schema.if_contains("properties")) {
    if (!properties->is_object()) return at(path + "/properties", "must be an object");
    for (const auto& member : properties->get_object())
      members.push_back({.key = std::string(member.key()), .schema = &member.value()});
  }
  const json::value* required = schema.if_contains("required");
  if (required == nullptr) return members;
  if (!required->is_array()) return at(path + "/required", "must be a list of names");
  for (const json::value& name : required->get_array()) {
    if (!name.is_string()) return at(path + "/required", "must be a list of names");
    const std::string_view key(name.get_string().data(), name.get_string().size());
    const auto found = std::ranges::find(members, key, &Member::key);
    if (found == members.end()) {
      members.push_back({.key = std::string(key), .required = true});
    } else {
      found->required = true;
    }
  }
  return members;
}

}  // namespace

Result<Fragment> SchemaCompiler::object(const json::object& schema, const std::string& path) {
  const json::value* additional = schema.if_contains("additionalProperties");
  const bool described = schema.contains("properties") || schema.contains("required");
  if (!described && (additional == nullptr || *additional == true)) return network_.call(rules_.object);
  TRY_ASSIGN(const Fragment content, members(schema, path));
  return enclosed(network_, rules_, '{', content, '}');
}

// Two rows of states: nothing written so far, something written. The next property leads from either to the second,
// with a comma in front where something was.
Result<Fragment> SchemaCompiler::members(const json::object& schema, const std::string& path) {
  TRY_ASSIGN(const std::vector<Member> list, list_members(schema, path));
  StateId empty = network_.add_state();
  StateId written = network_.add_state();
  const StateId begin = empty;
  const auto connect = [&](RuleId member, StateId from_empty, StateId from_written, StateId to) {
    const Fragment first = network_.call(member);
    const Fragment later = network_.sequence({separator(network_, rules_), network_.call(member)});
    network_.add_free(from_empty, first.begin);
    network_.add_free(first.end, to);
    network_.add_free(from_written, later.begin);
    network_.add_free(later.end, to);
  };
  for (const Member& member : list) {
    const std::string member_path = fmt::format("{}/properties/{}", path, member.key);
    Fragment value = member.schema == nullptr ? network_.call(rules_.value) : Fragment{};
    if (member.schema != nullptr) {
      TRY_ASSIGN(value, call_schema(*member.schema, member_path));
    }
    const RuleId rule = network_.add_rule();
    network_.define(rule, network_.sequence({network_.literal(json::serialize(json::string(member.key))),
                                             colon(network_, rules_), value}));
    const StateId next_empty = network_.add_state();
    const StateId next_written = network_.add_state();
    connect(rule, empty, written, next_written);
    if (!member.required) {
      network_.add_free(empty, next_empty);
      network_.add_free(written, next_written);
    }
    empty = next_empty;
    written = next_written;
  }
  const json::value* additional = schema.if_contains("additionalProperties");
  const StateId end = network_.add_state();
  network_.add_free(empty, end);
  network_.add_free(written, end);
  if (additional == nullptr || is_false(additional)) return Fragment{.begin = begin, .end = end};
  TRY_ASSIGN(const Fragment other, other_member(schema, path));
  const RuleId rule = network_.add_rule();
  network_.define(rule, other);
  connect(rule, empty, written, written);
  return Fragment{.begin = begin, .end = end};
}

Result<Fragment> SchemaCompiler::other_member(const json::object& schema, const std::string& path) {
  TRY_ASSIGN(const std::vector<Member> list, list_members(schema, path));
  std::set<std::u32string> names;
  for (const Member& member : list) names.insert(code_points(member.key));
  TRY_ASSIGN(const Fragment value,
             call_schema(schema.at("additionalProperties"), fmt::format("{}/additionalProperties", path)));
  return network_.sequence({key_other_than(names), colon(network_, rules_), value});
}

// A tree of the names' characters: whoever leaves it is free, whoever ends on a name may not end there. Without
// escapes, so that no name can be written in another way.
Fragment SchemaCompiler::key_other_than(const std::set<std::u32string>& names) {
  const Fragment quote = network_.literal("\"");
  const Fragment end = network_.literal("\"");
  const StateId free = network_.add_state();
  const Fragment more = network_.characters(raw_json_characters());
  network_.add_free(free, more.begin);
  network_.add_free(more.end, free);
  network_.add_free(free, end.begin);
  std::vector<std::pair<std::u32string, StateId>> open = {{U"", quote.end}};
  while (!open.empty()) {
    const auto [prefix, state] = open.back();
    open.pop_back();
    CharSet leads_on;
    for (const std::u32string& name : names) {
      if (name.size() <= prefix.size() || !name.starts_with(prefix)) continue;
      const char32_t c = name[prefix.size()];
      if (!leads_on.empty() && leads_on.back().low == c) continue;  // names are sorted
      leads_on.push_back({.low = c, .high = c});
      const Fragment step = network_.characters(intersect({{.low = c, .high = c}}, raw_json_characters()));
      network_.add_free(state, step.begin);
      open.emplace_back(prefix + c, step.end);
    }
    const Fragment away = network_.characters(intersect(complement(leads_on), raw_json_characters()));
    network_.add_free(state, away.begin);
    network_.add_free(away.end, free);
    if (!names.contains(prefix)) network_.add_free(state, end.begin);
  }
  return {.begin = quote.begin, .end = end.end};
}

Result<Fragment> SchemaCompiler::array(const json::object& schema, const std::string& path) {
  TRY_ASSIGN(const CountBounds count, count_bounds(schema, "minItems", "maxItems", path));
  std::vector<Fragment> fixed;
  if (const json::value* prefix = schema.if_contains("prefixItems")) {
    if (!prefix->is_array()) return at(path + "/prefixItems", "must be a list");
    for (size_t i = 0; i < prefix->get_array().size(); ++i) {
      TRY_ASSIGN(const Fragment item, call_schema(prefix->get_array()[i], fmt::format("{}/prefixItems/{}", path, i)));
      if (!fixed.empty()) fixed.push_back(separator(network_, rules_));
      fixed.push_back(item);
    }
  }
  const auto written = static_cast<int64_t>((fixed.size() + 1) / 2);
  const json::value* items = schema.if_contains("items");
  const int64_t most = is_false(items) ? written : count.high;
  if (most >= 0 && (most < written || most < count.low))
    return at(path, "maxItems, prefixItems and items contradict each other");
  if (most == written) return enclosed(network_, rules_, '[', network_.sequence(fixed), ']');
  Fragment item = items == nullptr ? network_.call(rules_.value) : Fragment{};
  if (items != nullptr) {
    TRY_ASSIGN(item, call_schema(*items, path + "/items"));
  }
  const RuleId one = network_.add_rule();
  network_.define(one, item);
  const RuleId another = network_.add_rule();
  network_.define(another, network_.sequence({separator(network_, rules_), network_.call(one)}));
  const int64_t low = std::max<int64_t>(count.low - written, 0);
  const int64_t high = most < 0 ? -1 : most - written;
  if (written > 0) {
    fixed.push_back(network_.repeat(another, low, high));
    return enclosed(network_, rules_, '[', network_.sequence(fixed), ']');
  }
  Fragment list = network_.sequence(
      {network_.call(one), network_.repeat(another, std::max<int64_t>(low - 1, 0), high < 0 ? -1 : high - 1)});
  if (low == 0) list = network_.optional(list);
  return enclosed(network_, rules_, '[', list, ']');
}

Result<Fragment> SchemaCompiler::string(const json::object& schema, const std::string& path) {
  TRY_ASSIGN(const CountBounds length, count_bounds(schema, "minLength", "maxLength", path));
  const bool has_length = length.low > 0 || length.high >= 0;
  std::string_view pattern;
  Anchoring anchoring = Anchoring::kSearch;
  if (const json::value* found = schema.if_contains("pattern")) {
    if (!found->is_string()) return at(path + "/pattern", "must be text");
    pattern = {found->get_string().data(), found->get_string().size()};
  } else if (const json::value* format = schema.if_contains("format"); format != nullptr && format->is_string()) {
    pattern = pattern_of_format({format->get_string().data(), format->get_string().size()});
    anchoring = Anchoring::kWhole;
  }
  const Fragment open = network_.literal("\"");
  const Fragment close = network_.literal("\"");
  if (pattern.empty())
    return network_.sequence({open, network_.repeat(rules_.character, length.low, length.high), close});
  if (has_length) return at(path, "minLength or maxLength beside a pattern or format is not supported");
  auto content = compile_regex(network_, pattern, TextForm::kJsonString, anchoring);
  if (!content) return at(path + "/pattern", content.error().message);
  return network_.sequence({open, *content, close});
}

Result<Fragment> SchemaCompiler::number(std::string_view type, const json::object& schema, const std::string& path) {
  TRY_ASSIGN(NumberBounds bounds, number_bounds(schema, path));
  if (bounds.none()) return network_.call(type == "integer" ? rules_.integer : rules_.number);
  if (type == "number") {
    if (bounds.empty()) return at(path, "no number lies within the bounds");
    return number_between(network_, bounds);
  }
  if (bounds.low_edge == NumberBounds::Edge::kExclusive) bounds.low = *bounds.low + 1;
  if (bounds.high_edge == NumberBounds::Edge::kExclusive) bounds.high = *bounds.high - 1;
  if (bounds.low && bounds.high && *bounds.low > *bounds.high)
    return at(path, "no whole number lies within the bounds");
  return integer_between(network_, bounds.low, bounds.high);
}

}  // namespace cove::text::grammar

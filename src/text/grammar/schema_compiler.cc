#include "text/grammar/schema_compiler.h"

#include <charconv>

#include <fmt/format.h>
#include <boost/json/serialize.hpp>

#include "text/grammar/characters.h"
#include "text/grammar/regex.h"

namespace cove::text::grammar {
namespace {

constexpr int kNestingMax = 64;

Error at(const std::string& path, std::string_view what) { return invalid_argument(fmt::format("{}: {}", path, what)); }

std::string_view text_of(const json::string& text) { return {text.data(), text.size()}; }

// "~1" is '/', "~0" is '~' (RFC 6901).
std::string unescape_pointer(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '~' && i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1')) {
      out += token[++i] == '0' ? '~' : '/';
    } else {
      out += token[i];
    }
  }
  return out;
}

const json::value* step_into(const json::value& value, const std::string& key) {
  if (value.is_object()) return find_member(value, key);
  if (!value.is_array()) return nullptr;
  size_t index = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
  const bool whole = error == std::errc() && end == key.data() + key.size();
  return whole && index < value.get_array().size() ? &value.get_array()[index] : nullptr;
}

const json::value* resolve(const json::value& root, std::string_view pointer) {
  const json::value* value = &root;
  while (value != nullptr && !pointer.empty()) {
    pointer.remove_prefix(1);  // '/'
    const size_t end = std::min(pointer.find('/'), pointer.size());
    value = step_into(*value, unescape_pointer(pointer.substr(0, end)));
    pointer.remove_prefix(end);
  }
  return value;
}

}  // namespace

Result<Fragment> SchemaCompiler::call_schema(const json::value& schema, const std::string& path) {
  const auto [found, is_new] = rule_of_.try_emplace(&schema, 0);
  if (!is_new) return network_.call(found->second);
  const RuleId rule = network_.add_rule();
  found->second = rule;
  if (++depth_ > kNestingMax) return at(path, "the schema is nested too deeply");
  TRY_ASSIGN(const Fragment content, compile_schema(schema, path));
  --depth_;
  network_.define(rule, content);
  return network_.call(rule);
}

Result<Fragment> SchemaCompiler::compile_schema(const json::value& schema, const std::string& path) {
  if (network_.size() >= kStatesMax) return at(path, "the schema is too large");
  if (schema.is_bool()) {
    if (schema.get_bool()) return network_.call(rules_.value);
    return at(path, "'false' allows nothing");
  }
  if (!schema.is_object()) return at(path, "a schema is an object, true or false");
  const json::object& object = schema.get_object();
  TRY(check_keywords(object, path));
  TRY_ASSIGN(const Fragment content, compile_object_schema(object, path));
  const json::value* nullable = object.if_contains("nullable");
  if (nullable == nullptr || !nullable->is_bool() || !nullable->get_bool()) return content;
  return network_.choice({content, network_.literal("null")});
}

Result<Fragment> SchemaCompiler::compile_object_schema(const json::object& schema, const std::string& path) {
  const auto alone = [&](std::string_view keyword, std::initializer_list<std::string_view> with) -> Status {
    if (const auto other = other_keyword(schema, with))
      return at(path, fmt::format("'{}' beside '{}' is not supported", *other, keyword));
    return {};
  };
  if (const json::value* constant = schema.if_contains("const")) {
    TRY(alone("const", {"const", "type", "nullable"}));
    return one_of_values({*constant}, schema, path + "/const");
  }
  if (const json::value* values = schema.if_contains("enum")) {
    TRY(alone("enum", {"enum", "type", "nullable"}));
    if (!values->is_array() || values->get_array().empty())
      return at(path + "/enum", "must be a list that is not empty");
    return one_of_values(values->get_array(), schema, path + "/enum");
  }
  if (const json::value* reference = schema.if_contains("$ref")) {
    TRY(alone("$ref", {"$ref", "nullable"}));
    if (!reference->is_string()) return at(path + "/$ref", "must be text");
    return follow(text_of(reference->get_string()), path + "/$ref");
  }
  for (const std::string_view keyword : {"anyOf", "oneOf"}) {
    const json::value* list = schema.if_contains(keyword);
    if (list == nullptr) continue;
    TRY(alone(keyword, {keyword, "nullable", "discriminator"}));
    return any_of(*list, fmt::format("{}/{}", path, keyword));
  }
  if (schema.contains("allOf")) return all_of(schema, path);
  const json::value* type = schema.if_contains("type");
  if (type == nullptr) return compile_type(implied_type(schema), schema, path);
  if (type->is_string()) return compile_type(text_of(type->get_string()), schema, path);
  if (!type->is_array() || type->get_array().empty()) return at(path + "/type", "must be a name or a list of names");
  std::vector<Fragment> parts;
  for (const json::value& one : type->get_array()) {
    if (!one.is_string()) return at(path + "/type", "must be a name or a list of names");
    TRY_ASSIGN(const Fragment part, compile_type(text_of(one.get_string()), schema, path));
    parts.push_back(part);
  }
  return network_.choice(parts);
}

Result<Fragment> SchemaCompiler::compile_type(std::string_view type, const json::object& schema,
                                              const std::string& path) {
  if (type.empty()) return network_.call(rules_.value);
  if (type == "object") return object(schema, path);
  if (type == "array") return array(schema, path);
  if (type == "string") return string(schema, path);
  if (type == "integer" || type == "number") return number(type, schema, path);
  if (type == "boolean") return network_.choice({network_.literal("true"), network_.literal("false")});
  if (type == "null") return network_.literal("null");
  return at(path + "/type", fmt::format("'{}' is no JSON type", type));
}

Result<Fragment> SchemaCompiler::follow(std::string_view reference, const std::string& path) {
  if (!reference.starts_with('#') || (reference.size() > 1 && reference[1] != '/'))
    return at(path,
              fmt::format("'{}': only references within the schema, as in #/$defs/name, are supported", reference));
  const json::value* target = resolve(root_, reference.substr(1));
  if (target == nullptr) return at(path, fmt::format("'{}' leads nowhere", reference));
  return call_schema(*target, std::string(reference));
}

Result<Fragment> SchemaCompiler::any_of(const json::value& list, const std::string& path) {
  if (!list.is_array() || list.get_array().empty()) return at(path, "must be a list that is not empty");
  std::vector<Fragment> parts;
  for (size_t i = 0; i < list.get_array().size(); ++i) {
    TRY_ASSIGN(const Fragment part, call_schema(list.get_array()[i], fmt::format("{}/{}", path, i)));
    parts.push_back(part);
  }
  return network_.choice(parts);
}

// Objects put together: properties and required are united. A single part is that part.
Result<Fragment> SchemaCompiler::all_of(const json::object& schema, const std::string& path) {
  const json::value& list = schema.at("allOf");
  if (!list.is_array() || list.get_array().empty()) return at(path + "/allOf", "must be a list that is not empty");
  if (list.get_array().size() == 1 && !other_keyword(schema, {"allOf", "nullable"}))
    return call_schema(list.get_array()[0], path + "/allOf/0");
  auto merged = std::make_unique<json::value>(json::object{{"type", "object"}});
  json::object own = schema;
  own.erase("allOf");
  own.erase("nullable");
  TRY(merge_into(merged->get_object(), own, path, 0));
  for (size_t i = 0; i < list.get_array().size(); ++i)
    TRY(merge_into(merged->get_object(), list.get_array()[i], fmt::format("{}/allOf/{}", path, i), 0));
  merged_.push_back(std::move(merged));
  return object(merged_.back()->get_object(), path);
}

Status SchemaCompiler::merge_into(json::object& merged, const json::value& part, const std::string& path, int depth) {
  if (depth > kNestingMax) return at(path, "the references go in a circle");
  if (!part.is_object()) return at(path, "allOf of anything but objects is not supported");
  const json::object& object = part.get_object();
  TRY(check_keywords(object, path));
  if (const json::value* reference = object.if_contains("$ref")) {
    const bool local = reference->is_string() && text_of(reference->get_string()).starts_with("#/");
    const json::value* target = local ? resolve(root_, text_of(reference->get_string()).substr(1)) : nullptr;
    if (target == nullptr) return at(path + "/$ref", "leads nowhere");
    TRY(merge_into(merged, *target, path, depth + 1));
  }
  if (const auto other = other_keyword(object, {"$ref", "type", "properties", "required", "additionalProperties"}))
    return at(path, fmt::format("'{}' inside allOf is not supported", *other));
  if (const json::value* type = object.if_contains("type"); type != nullptr && *type != "object")
    return at(path, "allOf of anything but objects is not supported");
  for (const std::string_view keyword : {"properties", "required", "additionalProperties"}) {
    const json::value* found = object.if_contains(keyword);
    if (found == nullptr) continue;
    json::value& into = merged[keyword];
    if (found->is_object() && keyword == "properties") {
      if (into.is_null()) into = json::object();
      for (const auto& member : found->get_object()) {
        const auto [known, is_new] = into.get_object().emplace(member.key(), member.value());
        if (!is_new && known->value() != member.value())
          return at(path, fmt::format("the property '{}' is described twice", std::string_view(member.key())));
      }
    } else if (found->is_array() && keyword == "required") {
      if (into.is_null()) into = json::array();
      for (const json::value& name : found->get_array()) into.get_array().push_back(name);
    } else if (keyword == "additionalProperties" && found->is_bool() && !found->get_bool()) {
      into = false;
    } else if (keyword != "additionalProperties" || !found->is_bool()) {
      return at(path, fmt::format("this '{}' inside allOf is not supported", keyword));
    }
  }
  return {};
}

Result<Fragment> SchemaCompiler::one_of_values(const json::array& values, const json::object& schema,
                                               const std::string& path) {
  const json::value* type = schema.if_contains("type");
  std::vector<Fragment> parts;
  for (const json::value& value : values) {
    const bool fits =
        type == nullptr || (type->is_string() && has_type(value, text_of(type->get_string()))) || type->is_array();
    if (fits) parts.push_back(network_.literal(json::serialize(value)));
  }
  if (parts.empty()) return at(path, "none of the values has the schema's type");
  return network_.choice(parts);
}

}  // namespace cove::text::grammar

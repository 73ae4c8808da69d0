#include "server/dto/constraint_fields.h"

#include <fmt/format.h>

#include "server/dto/generation_fields.h"

namespace cove::server {
namespace {

using Kind = ConstraintFields::Kind;

class ConstraintReader {
 public:
  explicit ConstraintReader(FieldReader& reader) : reader_(reader) {}

  void schema(std::string param, const json::value& value) {
    if (!value.is_object() && !value.is_bool())
      return reader_.fail(ApiErrorKind::kInvalidType, param,
                          fmt::format("'{}' must be a JSON Schema: an object", param));
    if (begin(Kind::kJsonSchema, std::move(param))) fields_.schema = value;
  }
  // vLLM also takes the schema as text.
  void schema_or_text(const std::string& param, const json::value& value) {
    const json::string* text = value.if_string();
    if (text == nullptr) return schema(param, value);
    auto parsed = parse_json({text->data(), text->size()});
    if (parsed) return schema(param, *parsed);
    reader_.fail(ApiErrorKind::kInvalidValue, param, fmt::format("'{}' is no JSON: {}", param, parsed.error().message));
  }
  void json_object(std::string param) { begin(Kind::kJsonObject, std::move(param)); }
  void regex(std::string param, std::string pattern) {
    if (begin(Kind::kRegex, std::move(param))) fields_.regex = std::move(pattern);
  }
  void choice(const std::string& param, const json::array& list) {
    if (!begin(Kind::kChoice, param)) return;
    for (const json::value& item : list) {
      if (!item.is_string())
        return reader_.fail(ApiErrorKind::kInvalidType, param, fmt::format("'{}' must be a list of strings", param));
      fields_.choices.emplace_back(item.get_string());
    }
  }
  ConstraintFields take() { return std::move(fields_); }

 private:
  bool begin(Kind kind, std::string param) {
    if (fields_.kind != Kind::kNone) {
      reader_.fail(ApiErrorKind::kInvalidValue, param,
                   fmt::format("'{}' and '{}' cannot both hold; send one of them", fields_.param, param));
      return false;
    }
    fields_.kind = kind;
    fields_.param = std::move(param);
    return true;
  }

  FieldReader& reader_;
  ConstraintFields fields_;
};

void read_response_format(FieldReader& reader, ConstraintReader& out) {
  const json::object* format = reader.object("response_format");
  if (format == nullptr) return;
  FieldReader inner(*format, "response_format.");
  const auto type = inner.string("type");
  if (inner.error()) return reader.fail(*inner.error());
  if (type == "text") return;
  if (type == "json_object") {
    // llama.cpp's form carries the schema here.
    if (const json::value* schema = inner.find("schema")) return out.schema("response_format.schema", *schema);
    return out.json_object("response_format");
  }
  if (type != "json_schema") {
    return reader.fail(ApiErrorKind::kInvalidValue, "response_format",
                       "'response_format.type' must be text, json_object or json_schema");
  }
  const json::object* wrapper = inner.object("json_schema");
  if (inner.error()) return reader.fail(*inner.error());
  const json::value* schema = wrapper == nullptr ? inner.find("schema") : wrapper->if_contains("schema");
  if (schema == nullptr) {
    return reader.fail(ApiErrorKind::kMissingParameter, "response_format.json_schema.schema",
                       "'response_format.json_schema.schema' is required");
  }
  out.schema("response_format.json_schema.schema", *schema);
}

// vLLM's form since 0.12: {"json": ..} or {"regex": ..} or {"choice": [..]}.
void read_structured_outputs(FieldReader& reader, ConstraintReader& out) {
  const json::object* wanted = reader.object("structured_outputs");
  if (wanted == nullptr) return;
  FieldReader inner(*wanted, "structured_outputs.");
  if (const json::value* schema = inner.find("json")) out.schema_or_text("structured_outputs.json", *schema);
  if (inner.boolean("json_object").value_or(false)) out.json_object("structured_outputs.json_object");
  if (auto pattern = inner.string("regex")) out.regex("structured_outputs.regex", std::move(*pattern));
  if (const json::array* list = inner.array("choice")) out.choice("structured_outputs.choice", *list);
  if (inner.has("grammar")) {
    inner.fail(ApiErrorKind::kUnsupportedParameter, "grammar",
               "'structured_outputs.grammar' is not supported; use json, regex or choice");
  }
  if (inner.error()) reader.fail(*inner.error());
}

}  // namespace

ConstraintFields read_constraint(FieldReader& reader) {
  ConstraintReader out(reader);
  read_response_format(reader, out);
  read_structured_outputs(reader, out);
  if (const json::value* schema = reader.find("guided_json")) out.schema_or_text("guided_json", *schema);
  if (const json::value* schema = reader.find("json_schema")) out.schema("json_schema", *schema);
  if (auto pattern = reader.string("guided_regex")) out.regex("guided_regex", std::move(*pattern));
  if (const json::array* list = reader.array("guided_choice")) out.choice("guided_choice", *list);
  refuse_fields(reader, {{"guided_grammar", "use guided_json, guided_regex or guided_choice"},
                         {"grammar", "use response_format, guided_regex or guided_choice"}});
  return out.take();
}

}  // namespace cove::server

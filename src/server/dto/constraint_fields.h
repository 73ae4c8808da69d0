#pragma once
// What the answer must look like: response_format, tool_choice and their relatives of other servers (guided_*,
// structured_outputs, json_schema). Compiled to a grammar in generation/constraint.cc.

#include <string>
#include <vector>

#include "server/dto/field_reader.h"

namespace cove::server {

struct ConstraintFields {
  enum class Kind : uint8_t { kNone, kJsonObject, kJsonSchema, kRegex, kChoice } kind = Kind::kNone;
  std::string param;  // the field that asked, for messages
  json::value schema;
  std::string regex;
  std::vector<std::string> choices;
};

// Errors are left in the reader; two different constraints are one.
ConstraintFields read_constraint(FieldReader& reader);

}  // namespace cove::server

#pragma once
// YAML as JSON values, by the YAML 1.2 core schema: plain scalars become null, booleans, integers or numbers; quoted
// ones are strings. The one place where yaml-cpp is used. For configuration files and api/openapi.yaml.

#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace cove {

// Parses one document. Errors: kInvalidArgument "line 3, column 5: ..." (syntax, a key given twice, nesting deeper than
// 64, more than a million nodes as an alias bomb would make).
Result<json::value> parse_yaml(std::string_view text);

// One plain scalar by the same rules: "8080" is an integer, "true" a boolean, "03:00" a string.
json::value parse_yaml_scalar(std::string_view text);

}  // namespace cove

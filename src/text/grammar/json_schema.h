#pragma once
// JSON Schema (2020-12, the part below) as a grammar: every text it gives is valid against the schema. What cannot be
// promised is refused by name, never ignored; a text may be valid and still not be written by it (members come in the
// schema's order, without `additionalProperties` no others are written).
//
// type, enum, const, $ref within the document (recursion too), $defs, anyOf, oneOf (as anyOf), allOf (of objects),
// nullable; properties, required, additionalProperties; items, prefixItems, minItems, maxItems; minLength, maxLength,
// pattern, format (date, time, date-time, uuid, ipv4; others are annotations); minimum, maximum and exclusive ones
// (whole numbers). Refused: not, if, dependent*, patternProperties, propertyNames, minProperties, maxProperties,
// unevaluated*, contains, uniqueItems, multipleOf.

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "text/chat/tool_call_parser.h"
#include "text/grammar/network.h"

namespace cove::text::grammar {

using GrammarPtr = std::shared_ptr<const Grammar>;

// Where the constrained text begins: right away, or behind a closing </think>, after which models write an empty line.
enum class TextStart : uint8_t { kAtOnce, kAfterReasoning };

// Errors: kInvalidArgument naming the place in the schema and the reason.
Result<GrammarPtr> grammar_of_schema(const json::value& schema, TextStart start);
// Any JSON object.
GrammarPtr grammar_of_json_object(TextStart start);
Result<GrammarPtr> grammar_of_regex(std::string_view pattern, TextStart start);
// One of the texts.
Result<GrammarPtr> grammar_of_choice(std::span<const std::string> texts, TextStart start);

// One call of one of these functions, as the format writes it.
struct CallableTool {
  std::string name;
  const json::value* parameters = nullptr;  // a schema; null = any object
};
// How DeepSeek's templates differ: R1 and V3 write "function", a separator, the name and a fenced block of JSON, V3.1
// the name, a separator and JSON.
enum class DeepSeekCalls : uint8_t { kFenced, kPlain };
Result<GrammarPtr> grammar_of_tool_call(std::span<const CallableTool> tools, ToolCallFormat format, DeepSeekCalls calls,
                                        TextStart start);

}  // namespace cove::text::grammar

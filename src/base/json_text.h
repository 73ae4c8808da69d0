#pragma once
// Hand-made JSON text for what is written often (per token, per audited request): about fifty times faster than
// building values first.

#include <cstdint>
#include <string>
#include <string_view>

namespace cove {

// Quoted and escaped. `text` must be UTF-8; it is written as it is but for quotes, backslashes and control characters.
void append_json_string(std::string& out, std::string_view text);
void append_json_number(std::string& out, int64_t value);
// Shortest text that reads back as the same double; values that JSON cannot hold become -9999 (as OpenAI writes
// -infinity).
void append_json_number(std::string& out, double value);

}  // namespace cove

#pragma once
// UTF-8 validation and iteration: used wherever bytes from outside become text.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cove {

// Byte offset of the first ill-formed sequence (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF), or
// npos when `text` is well-formed. A sequence cut off by the end of `text` counts as ill-formed.
size_t find_invalid_utf8(std::string_view text);
inline bool is_valid_utf8(std::string_view text) { return find_invalid_utf8(text) == std::string_view::npos; }

// Length of the longest prefix of `text` that does not end inside a still completable UTF-8 sequence: what a stream may
// emit now. Ill-formed bytes count as complete.
size_t complete_utf8_prefix(std::string_view text);

void append_utf8(std::string& out, char32_t code_point);

// Reads one code point of well-formed `text` at `offset` and advances it.
char32_t next_code_point(std::string_view text, size_t& offset);

// Replaces each maximal ill-formed part with U+FFFD (the WHATWG rule).
std::string replace_invalid_utf8(std::string_view text);

}  // namespace cove

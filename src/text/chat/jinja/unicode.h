#pragma once
// Python's view of strings as code points, over well-formed UTF-8: lengths, slices, case, classes, stripping. Called by
// the string methods and filters.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cove::text::jinja {

size_t count_code_points(std::string_view text);
// Byte offset of code point `index`; text.size() when there are not so many.
size_t byte_offset(std::string_view text, size_t index);
// The text of every code point, in order.
std::vector<std::string_view> split_code_points(std::string_view text);

bool is_space(char32_t c);  // str.isspace
bool is_alphabetic(char32_t c);
bool is_decimal(char32_t c);
bool is_numeric(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_printable(char32_t c);
bool is_word(char32_t c);  // \w of a regular expression

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_casefold(std::string_view text);
std::string capitalize(std::string_view text);
std::string to_title(std::string_view text);  // str.title: every letter after a non-letter
std::string swap_case(std::string_view text);

enum class Side { kBoth, kLeft, kRight };
// Without `characters`, white space is stripped.
std::string_view strip(std::string_view text, Side side, std::optional<std::string_view> characters = std::nullopt);

// str.split without separator, and str.splitlines. maxsplit below 0: no limit.
std::vector<std::string_view> split_white_space(std::string_view text, int64_t maxsplit);
std::vector<std::string_view> split_white_space_from_right(std::string_view text, int64_t maxsplit);
enum class LineEnds { kDrop, kKeep };
std::vector<std::string_view> split_lines(std::string_view text, LineEnds ends);

}  // namespace cove::text::jinja

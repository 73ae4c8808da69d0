#pragma once
// Looking for tags in text that comes in pieces. Used by the reasoning parser and the tool call parser.

#include <algorithm>
#include <string_view>

namespace cove::text {

// Length of the longest proper prefix of `tag` that `text` ends with: bytes that may become the tag.
inline size_t partial_tag_at_end(std::string_view text, std::string_view tag) {
  for (size_t length = std::min(text.size(), tag.empty() ? 0 : tag.size() - 1); length > 0; --length) {
    if (text.ends_with(tag.substr(0, length))) return length;
  }
  return 0;
}

// True when `text` is the beginning of `tag`, but not all of it.
inline bool may_become(std::string_view text, std::string_view tag) {
  return text.size() < tag.size() && tag.starts_with(text);
}

inline size_t leading_space(std::string_view text) { return std::min(text.find_first_not_of(" \t\r\n"), text.size()); }

}  // namespace cove::text

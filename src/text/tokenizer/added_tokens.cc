#include "text/tokenizer/added_tokens.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <utf8proc.h>

#include "text/tokenizer/unicode_table.h"

namespace cove::text {
namespace {

// \w of Rust's regular expressions.
bool is_word_character(char32_t c) {
  const uint8_t classes = UnicodeTable::instance().classes(c);
  if ((classes & (kLetter | kMark)) != 0) return true;
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  if ((classes & kNumber) != 0) return category != UTF8PROC_CATEGORY_NO;
  if (category == UTF8PROC_CATEGORY_PC || c == 0x200C || c == 0x200D) return true;
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
         (c >= 0x1F170 && c <= 0x1F189);
}

size_t start_of_character_before(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

size_t skip_spaces_back(std::string_view text, size_t end, size_t floor) {
  while (end > floor) {
    const size_t at = start_of_character_before(text, end);
    if ((classify_at(UnicodeTable::instance(), text, at).classes & kSpace) == 0) break;
    end = at;
  }
  return end;
}

size_t skip_spaces(std::string_view text, size_t at) {
  for (;;) {
    const ClassifiedChar c = classify_at(UnicodeTable::instance(), text, at);
    if ((c.classes & kSpace) == 0) return at;
    at += c.length;
  }
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  const UnicodeTable& table = UnicodeTable::instance();
  const bool word_before =
      begin > 0 && is_word_character(classify_at(table, text, start_of_character_before(text, begin)).code_point);
  const bool word_after = end < text.size() && is_word_character(classify_at(table, text, end).code_point);
  return !word_before && !word_after;
}

}  // namespace

Result<AddedTokenMatcher> AddedTokenMatcher::create(const std::vector<AddedToken>& tokens) {
  AddedTokenMatcher matcher;
  std::fill(std::begin(matcher.roots_), std::end(matcher.roots_), -1);
  for (const AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    if (token.content.size() > kContentBytesMax) {
      return data_corrupt(
          fmt::format("added token {} has {} bytes, more than {}", token.id, token.content.size(), kContentBytesMax));
    }
    matcher.tokens_.push_back(token);
    matcher.insert(matcher.tokens_.size() - 1);
  }
  int first_bytes = 0;
  for (int byte = 0; byte < 256; ++byte) {
    if (matcher.roots_[byte] < 0) continue;
    matcher.only_first_byte_ = ++first_bytes == 1 ? byte : -1;
  }
  return matcher;
}

int32_t AddedTokenMatcher::child_of(int32_t node, unsigned char byte) const {
  int32_t child = nodes_[static_cast<size_t>(node)].child;
  while (child >= 0 && nodes_[static_cast<size_t>(child)].byte != byte)
    child = nodes_[static_cast<size_t>(child)].sibling;
  return child;
}

void AddedTokenMatcher::insert(size_t index) {
  const std::string& content = tokens_[index].content;
  int32_t node = -1;
  for (const char c : content) {
    const auto byte = static_cast<unsigned char>(c);
    int32_t next = node < 0 ? roots_[byte] : child_of(node, byte);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      Node made;
      made.byte = byte;
      if (node < 0) {
        roots_[byte] = next;
      } else {
        made.sibling = nodes_[static_cast<size_t>(node)].child;
        nodes_[static_cast<size_t>(node)].child = next;
      }
      nodes_.push_back(made);
    }
    node = next;
  }
  nodes_[static_cast<size_t>(node)].token = static_cast<int32_t>(index);
}

size_t AddedTokenMatcher::next_start(std::string_view text, size_t from) const {
  if (only_first_byte_ >= 0) {
    const void* found =
        from < text.size() ? std::memchr(text.data() + from, only_first_byte_, text.size() - from) : nullptr;
    return found == nullptr ? text.size() : static_cast<size_t>(static_cast<const char*>(found) - text.data());
  }
  while (from < text.size() && roots_[static_cast<unsigned char>(text[from])] < 0) ++from;
  return from;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text, size_t from) const {
  for (size_t begin = next_start(text, from); begin < text.size(); begin = next_start(text, begin + 1)) {
    Match longest;
    int32_t node = roots_[static_cast<unsigned char>(text[begin])];
    for (size_t at = begin + 1; node >= 0; ++at) {
      const int32_t token = nodes_[static_cast<size_t>(node)].token;
      if (token >= 0) longest = {begin, at, &tokens_[static_cast<size_t>(token)]};
      if (at >= text.size()) break;
      node = child_of(node, static_cast<unsigned char>(text[at]));
    }
    if (longest.token != nullptr) return longest;
  }
  return std::nullopt;
}

Status AddedTokenMatcher::cut(std::string_view text, TextSink text_between, TokenSink token) const {
  size_t done = 0;
  for (size_t from = 0; !tokens_.empty();) {
    const std::optional<Match> match = find(text, from);
    if (!match) break;
    from = match->end;
    if (match->token->single_word && !stands_alone(text, match->begin, match->end)) continue;
    const size_t begin =
        match->token->lstrip ? skip_spaces_back(text, match->begin, std::min(done, match->begin)) : match->begin;
    if (done < begin) TRY(text_between(text.substr(done, begin - done)));
    token(match->token->id);
    done = std::max(done, match->token->rstrip ? skip_spaces(text, match->end) : match->end);
  }
  if (done < text.size()) TRY(text_between(text.substr(done)));
  return {};
}

}  // namespace cove::text

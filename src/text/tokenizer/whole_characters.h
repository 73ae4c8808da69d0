#pragma once
// A shortcut for merging: where in a word a character may start as one token instead of as its two or three bytes
// without changing the result.
//
// Let the bytes of character c alone merge into one token, R being the highest rank of those merges. If, at one place
// of a word, every merge of c's token, or of a proper prefix of c, with what stands before it, and every merge of c's
// token, or of a proper suffix, with what stands after it, ranks above R, then no merge touches c before c is whole:
// until then a pair inside c, of rank at most R, goes first. And no merge that c's token would take part in comes
// before the merges that happen elsewhere meanwhile, all of rank at most R. So merging that starts with c whole takes
// the same steps. What stands before and after is told by its nearest byte only, and only to a class of bytes. Chinese,
// Russian or Hindi text has a third to half as many parts to merge this way.

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/tokenizer/merge_table.h"
#include "text/tokenizer/vocabulary.h"

namespace cove::text {

class WholeCharacters {
 public:
  WholeCharacters() : index_of_(kCodePointEnd, 0), entries_(1) {}
  WholeCharacters(const Vocabulary& vocabulary, const MergeTable& merges, const std::array<int32_t, 256>& byte_ids);

  // The token that the character of code point c (U+0080..U+FFFF) may start as when it is bytes [begin, end) of `word`;
  // -1 when it has to start as bytes.
  int32_t token_at(uint32_t code_point, std::string_view word, size_t begin, size_t end) const {
    const Entry& entry = entries_[index_of_[code_point]];
    const uint32_t before = begin == 0 ? 0 : bit_before(word[begin - 1]);
    const uint32_t after = end == word.size() ? 0 : bit_after(word[end]);
    return ((entry.not_after & before) | (entry.not_before & after)) == 0 ? entry.id : -1;
  }

 private:
  static constexpr uint32_t kCodePointEnd = 0x10000;
  struct Entry {
    int32_t id = -1;
    uint32_t not_after = 0;  // classes of bytes, as bits
    uint32_t not_before = 0;
  };

  // Space, other ASCII, sixteen classes of continuation bytes.
  static uint32_t bit_before(char c) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) return byte == ' ' ? 1 : 2;
    return 4u << (byte >> 2 & 15);
  }
  // Space, other ASCII, four classes of bytes that start two-byte characters, each byte that starts three-byte ones,
  // the rest.
  static uint32_t bit_after(char c) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) return byte == ' ' ? 1 : 2;
    if (byte < 0xE0) return 4u << (byte >> 3 & 3);
    return byte < 0xF0 ? 64u << (byte & 15) : 1u << 31;
  }

  class Finder;

  std::vector<uint16_t> index_of_;  // code point -> entry; entry 0 is "as bytes"
  std::vector<Entry> entries_;
};

}  // namespace cove::text

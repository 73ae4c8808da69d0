#include "services/plugins/words/normalizer.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace cove::plugins {

// The loop that a long prompt spends its time in: it writes into room made beforehand, whole words at a time. A byte of
// raw text makes at most two, and the last character writes up to 4 bytes and origins.
void Normalizer::push(std::string_view raw, size_t from, NormalText& out) {
  const size_t begin = out.bytes.size();
  const size_t room = begin + 2 * (raw.size() - from) + 4;
  out.bytes.resize(room);
  out.origin.resize(room);
  char* bytes = out.bytes.data();
  uint32_t* origin = out.origin.data();
  size_t n = begin;
  uint32_t gap = gap_;
  for (size_t i = from; i < raw.size();) {
    const DecodedChar c = decode_char(raw, i);
    const FoldedChar folded = table_->folded(c.code);
    const size_t length = FoldTable::length(folded);
    const auto at = static_cast<uint32_t>(i);
    i += c.bytes;
    std::memcpy(bytes + n, folded.bytes, sizeof folded.bytes);
    std::fill_n(origin + n, 4, at);
    n += length;
    gap = length == 0 ? gap + 1 : 0;
    if (gap == gap_max_ + 1) bytes[n++] = kGapByte;
  }
  gap_ = std::min(gap, gap_max_ + 2);
  out.bytes.resize(n);
  out.origin.resize(n);
}

std::string normalize_word(std::string_view word) {
  Normalizer normalizer(std::numeric_limits<uint32_t>::max() - 2);
  NormalText text;
  normalizer.push(word, 0, text);
  return std::move(text.bytes);
}

bool is_white_space(char32_t c) {
  return c == ' ' || (c >= 0x09 && c <= 0x0D) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

}  // namespace cove::plugins

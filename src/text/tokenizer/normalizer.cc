#include "text/tokenizer/normalizer.h"

#include <algorithm>
#include <vector>

#include <utf8proc.h>

#include "base/check.h"
#include "base/utf8.h"

namespace cove::text {
namespace {

constexpr size_t kCodePoints = 0x110000;

// One bit for each character that normalization can leave alone whatever stands before it: it does not decompose into
// something else, never composes with a character before it, and is no combining mark. A text of only such characters
// is in form C.
class StableCharacters {
 public:
  static const StableCharacters& instance() {
    static const StableCharacters table;
    return table;
  }
  bool contains(char32_t c) const { return (bits_[c >> 6] >> (c & 63) & 1) != 0; }

 private:
  StableCharacters() : bits_(kCodePoints / 64, ~uint64_t{0}) {
    for (char32_t c = 0x80; c < kCodePoints; ++c) {
      if ((c >= 0x3400 && c < 0xA000) || (c >= 0xAC00 && c < 0xF900) || (c >= 0x20000 && c < 0x2F800))
        continue;  // nothing decomposes to change here
      visit(c);
    }
    for (char32_t c = 0x1161; c <= 0x1175; ++c) clear(c);  // Hangul vowels
    for (char32_t c = 0x11A8; c <= 0x11C2; ++c) clear(c);  // Hangul final consonants
  }

  void visit(char32_t c) {
    const utf8proc_property_t* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
    if (property->combining_class != 0) clear(c);
    if (property->decomp_type != 0 || property->decomp_seqindex == UINT16_MAX) return;  // no canonical decomposition
    utf8proc_int32_t parts[8];
    int last_class = 0;
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts, 8, UTF8PROC_DECOMPOSE, &last_class);
    COVE_CHECK(count > 0 && count <= 8);
    for (utf8proc_ssize_t i = 1; i < count; ++i) clear(static_cast<char32_t>(parts[i]));
    const auto composed =
        utf8proc_normalize_utf32(parts, count, static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    if (composed != 1 || parts[0] != static_cast<utf8proc_int32_t>(c)) clear(c);
  }
  void clear(char32_t c) { bits_[c >> 6] &= ~(uint64_t{1} << (c & 63)); }

  std::vector<uint64_t> bits_;
};

int combining_class(utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; }

// Decomposes and orders by ourselves: utf8proc's ordering takes quadratic time on long runs of marks.
void append_composed(std::string_view segment, std::vector<utf8proc_int32_t>& scratch, std::string& out) {
  scratch.clear();
  for (size_t at = 0; at < segment.size();) {
    utf8proc_int32_t parts[8];
    int last_class = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(next_code_point(segment, at)), parts, 8,
                                               UTF8PROC_DECOMPOSE, &last_class);
    COVE_CHECK(count > 0 && count <= 8);
    scratch.insert(scratch.end(), parts, parts + count);
  }
  for (size_t begin = 0; begin < scratch.size();) {
    size_t end = begin;
    while (end < scratch.size() && combining_class(scratch[end]) != 0) ++end;
    std::stable_sort(scratch.begin() + static_cast<ptrdiff_t>(begin), scratch.begin() + static_cast<ptrdiff_t>(end),
                     [](utf8proc_int32_t a, utf8proc_int32_t b) { return combining_class(a) < combining_class(b); });
    begin = end + 1;
  }
  const auto length = utf8proc_normalize_utf32(scratch.data(), static_cast<utf8proc_ssize_t>(scratch.size()),
                                               static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  COVE_CHECK(length >= 0);
  for (utf8proc_ssize_t i = 0; i < length; ++i)
    append_utf8(out, static_cast<char32_t>(scratch[static_cast<size_t>(i)]));
}

// Start of the first character at or after `from` that is not stable; text.size() when there is none.
size_t find_unstable(const StableCharacters& stable, std::string_view text, size_t from, size_t& start_of_previous) {
  while (from < text.size()) {
    if (static_cast<unsigned char>(text[from]) < 0x80) {
      start_of_previous = from++;
      continue;
    }
    size_t next = from;
    if (!stable.contains(next_code_point(text, next))) return from;
    start_of_previous = from;
    from = next;
  }
  return from;
}

}  // namespace

std::string_view normalize_nfc(std::string_view text, std::string& buffer) {
  const StableCharacters& stable = StableCharacters::instance();
  size_t copied = 0;  // text[0, copied) is in the buffer
  std::vector<utf8proc_int32_t> scratch;
  for (size_t from = 0;;) {
    size_t segment_begin = from;
    const size_t unstable = find_unstable(stable, text, from, segment_begin);
    if (unstable == text.size()) break;
    // A segment is a stable character and all unstable ones after it: nothing outside can change with it.
    if (unstable == from) segment_begin = from;
    size_t segment_end = unstable;
    while (segment_end < text.size()) {
      size_t next = segment_end;
      if (stable.contains(next_code_point(text, next))) break;
      segment_end = next;
    }
    if (copied == 0) buffer.clear();
    buffer += text.substr(copied, segment_begin - copied);
    append_composed(text.substr(segment_begin, segment_end - segment_begin), scratch, buffer);
    from = copied = segment_end;
  }
  if (copied == 0) return text;
  buffer += text.substr(copied);
  return buffer;
}

}  // namespace cove::text

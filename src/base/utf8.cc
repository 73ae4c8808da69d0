#include "base/utf8.h"

namespace cove {
namespace {

struct Scan {
  size_t length = 0;  // bytes of the sequence, or of its maximal ill-formed part
  bool valid = false;
  bool cut_off = false;  // ill-formed only because the text ends
};

// Table 3-7 of the Unicode standard: the allowed second bytes depend on the first.
Scan scan_one(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return {1, true, false};
  if (first < 0xC2 || first > 0xF4) return {1, false, false};
  const size_t need = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  for (size_t i = 1; i < need; ++i) {
    if (at + i >= text.size()) return {i, false, true};
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (i == 1 && first == 0xE0) low = 0xA0;
    if (i == 1 && first == 0xED) high = 0x9F;
    if (i == 1 && first == 0xF0) low = 0x90;
    if (i == 1 && first == 0xF4) high = 0x8F;
    if (byte(at + i) < low || byte(at + i) > high) return {i, false, false};
  }
  return {need, true, false};
}

}  // namespace

size_t find_invalid_utf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const Scan scan = scan_one(text, at);
    if (!scan.valid) return at;
    at += scan.length;
  }
  return std::string_view::npos;
}

size_t complete_utf8_prefix(std::string_view text) {
  const size_t look_back = text.size() < 3 ? text.size() : 3;
  for (size_t back = 1; back <= look_back; ++back) {
    const size_t at = text.size() - back;
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x80) break;
    if (byte >= 0xC0) return scan_one(text, at).cut_off ? at : text.size();
  }
  return text.size();
}

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

char32_t next_code_point(std::string_view text, size_t& offset) {
  const auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
  const char32_t first = byte(offset);
  if (first < 0x80) {
    offset += 1;
    return first;
  }
  if (first < 0xE0) {
    offset += 2;
    return ((first & 0x1F) << 6) | (byte(offset - 1) & 0x3F);
  }
  if (first < 0xF0) {
    offset += 3;
    return ((first & 0x0F) << 12) | ((byte(offset - 2) & 0x3F) << 6) | (byte(offset - 1) & 0x3F);
  }
  offset += 4;
  return ((first & 0x07) << 18) | ((byte(offset - 3) & 0x3F) << 12) | ((byte(offset - 2) & 0x3F) << 6) |
         (byte(offset - 1) & 0x3F);
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Scan scan = scan_one(text, at);
    if (scan.valid) {
      out.append(text.substr(at, scan.length));
    } else {
      append_utf8(out, 0xFFFD);
    }
    at += scan.length;
  }
  return out;
}

}  // namespace cove

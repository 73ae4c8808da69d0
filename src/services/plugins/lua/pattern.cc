#include "services/plugins/lua/pattern.h"

#include <cctype>
#include <cstring>

namespace cove::plugins {
namespace {

constexpr int kDepthMax = 200;  // of recursion, as Lua's
constexpr char kEscape = '%';

unsigned char byte_of(const char* p) { return static_cast<unsigned char>(*p); }

bool match_class(unsigned char c, unsigned char wanted) {
  bool result = false;
  switch (std::tolower(wanted)) {
    case 'a': result = std::isalpha(c) != 0; break;
    case 'c': result = std::iscntrl(c) != 0; break;
    case 'd': result = std::isdigit(c) != 0; break;
    case 'g': result = std::isgraph(c) != 0; break;
    case 'l': result = std::islower(c) != 0; break;
    case 'p': result = std::ispunct(c) != 0; break;
    case 's': result = std::isspace(c) != 0; break;
    case 'u': result = std::isupper(c) != 0; break;
    case 'w': result = std::isalnum(c) != 0; break;
    case 'x': result = std::isxdigit(c) != 0; break;
    default: return wanted == c;
  }
  return std::isupper(wanted) != 0 ? !result : result;
}

// p at '[', ep at the matching ']'.
bool match_set(unsigned char c, const char* p, const char* ep) {
  bool inside = true;
  if (p[1] == '^') {
    inside = false;
    ++p;
  }
  while (++p < ep) {
    if (*p == kEscape) {
      ++p;
      if (match_class(c, byte_of(p))) return inside;
    } else if (p[1] == '-' && p + 2 < ep) {
      p += 2;
      if (byte_of(p - 2) <= c && c <= byte_of(p)) return inside;
    } else if (byte_of(p) == c) {
      return inside;
    }
  }
  return !inside;
}

}  // namespace

const char* PatternMatcher::match(const char* at) {
  level_ = 0;
  depth_ = 0;
  return do_match(at, pattern_);
}

// Where the single character class at p ends.
const char* PatternMatcher::class_end(const char* p) {
  if (*p == kEscape) {
    if (p + 1 >= pattern_end_) return fail("malformed pattern (ends with '%')");
    return p + 2;
  }
  if (*p != '[') return p + 1;
  ++p;
  if (p < pattern_end_ && *p == '^') ++p;
  do {
    if (p >= pattern_end_) return fail("malformed pattern (missing ']')");
    const char c = *p++;
    if (c == kEscape) {
      if (p >= pattern_end_) return fail("malformed pattern (missing ']')");
      ++p;
    }
  } while (p >= pattern_end_ || *p != ']');
  return p + 1;
}

bool PatternMatcher::single_match(const char* s, const char* p, const char* ep) const {
  if (s >= end_) return false;
  const unsigned char c = byte_of(s);
  switch (*p) {
    case '.': return true;
    case kEscape: return match_class(c, byte_of(p + 1));
    case '[': return match_set(c, p, ep - 1);
    default: return byte_of(p) == c;
  }
}

const char* PatternMatcher::do_match(const char* s, const char* p) {
  if (depth_ >= kDepthMax) return fail("pattern too complex");
  ++depth_;
  const char* result = match_item(s, p);
  --depth_;
  return result;
}

// Goes on in a loop where Lua's does, so that only real alternatives nest.
const char* PatternMatcher::match_item(const char* s, const char* p) {
  while (p != pattern_end_) {
    if (!spend()) return nullptr;
    if (*p == '$' && p + 1 == pattern_end_) return s == end_ ? s : nullptr;
    if (*p == '(' && p + 1 < pattern_end_ && p[1] == ')') return start_capture(s, p + 2, kPosition);
    if (*p == '(') return start_capture(s, p + 1, kUnclosed);
    if (*p == ')') return end_capture(s, p + 1);
    if (*p == kEscape && p + 1 < pattern_end_) {
      bool handled = false;
      s = match_special(s, p, handled);
      if (handled) {
        if (s == nullptr) return nullptr;
        if (p[1] == 'b') {
          p += 4;
        } else if (p[1] == 'f') {
          p = class_end(p + 2);
          if (p == nullptr) return nullptr;
        } else {
          p += 2;
        }
        continue;
      }
    }
    const char* ep = class_end(p);
    if (ep == nullptr) return nullptr;
    const char suffix = ep < pattern_end_ ? *ep : '\0';
    const bool one = single_match(s, p, ep);
    if (suffix == '?') {
      if (one) {
        const char* result = do_match(s + 1, ep + 1);
        if (result != nullptr || error_ != nullptr) return result;
      }
      p = ep + 1;
    } else if (suffix == '+') {
      return one ? max_expand(s + 1, p, ep) : nullptr;
    } else if (suffix == '*') {
      return max_expand(s, p, ep);
    } else if (suffix == '-') {
      return min_expand(s, p, ep);
    } else {
      if (!one) return nullptr;
      ++s;
      p = ep;
    }
  }
  return s;
}

const char* PatternMatcher::match_special(const char* s, const char* p, bool& handled) {
  handled = true;
  if (p[1] == 'b') return match_balance(s, p + 2);
  if (p[1] == 'f') return match_frontier(s, p + 2);
  if (p[1] >= '0' && p[1] <= '9') return match_back_reference(s, p[1]);
  handled = false;
  return s;
}

const char* PatternMatcher::max_expand(const char* s, const char* p, const char* ep) {
  ptrdiff_t count = 0;
  while (single_match(s + count, p, ep)) {
    if (!spend()) return nullptr;
    ++count;
  }
  for (; count >= 0; --count) {
    if (!spend()) return nullptr;
    const char* result = do_match(s + count, ep + 1);
    if (result != nullptr || error_ != nullptr) return result;
  }
  return nullptr;
}

const char* PatternMatcher::min_expand(const char* s, const char* p, const char* ep) {
  for (;;) {
    if (!spend()) return nullptr;
    const char* result = do_match(s, ep + 1);
    if (result != nullptr || error_ != nullptr) return result;
    if (!single_match(s, p, ep)) return nullptr;
    ++s;
  }
}

const char* PatternMatcher::start_capture(const char* s, const char* p, ptrdiff_t what) {
  if (level_ >= kCapturesMax) return fail("too many captures");
  captures_[level_] = {s, what};
  ++level_;
  const char* result = do_match(s, p);
  if (result == nullptr) --level_;
  return result;
}

int PatternMatcher::capture_to_close() {
  for (int i = level_ - 1; i >= 0; --i) {
    if (captures_[i].length == kUnclosed) return i;
  }
  fail("invalid pattern capture");
  return -1;
}

const char* PatternMatcher::end_capture(const char* s, const char* p) {
  const int i = capture_to_close();
  if (i < 0) return nullptr;
  captures_[i].length = s - captures_[i].begin;
  const char* result = do_match(s, p);
  if (result == nullptr) captures_[i].length = kUnclosed;
  return result;
}

const char* PatternMatcher::match_balance(const char* s, const char* p) {
  if (p + 1 >= pattern_end_) return fail("malformed pattern (missing arguments to '%b')");
  if (s >= end_ || *s != *p) return nullptr;
  const char open = p[0];
  const char close = p[1];
  int depth = 1;
  while (++s < end_) {
    if (!spend()) return nullptr;
    if (*s == close) {
      if (--depth == 0) return s + 1;
    } else if (*s == open) {
      ++depth;
    }
  }
  return nullptr;
}

const char* PatternMatcher::match_frontier(const char* s, const char* p) {
  if (p >= pattern_end_ || *p != '[') return fail("missing '[' after '%f' in pattern");
  const char* ep = class_end(p);
  if (ep == nullptr) return nullptr;
  const unsigned char previous = s == begin_ ? '\0' : byte_of(s - 1);
  const unsigned char current = s == end_ ? '\0' : byte_of(s);
  return !match_set(previous, p, ep - 1) && match_set(current, p, ep - 1) ? s : nullptr;
}

const char* PatternMatcher::match_back_reference(const char* s, char digit) {
  const int i = digit - '1';
  if (i < 0 || i >= level_ || captures_[i].length == kUnclosed) return fail("invalid capture index in pattern");
  const ptrdiff_t length = captures_[i].length;
  if (length < 0 || end_ - s < length) return nullptr;
  budget_->steps -= length / 16;
  return std::memcmp(captures_[i].begin, s, static_cast<size_t>(length)) == 0 ? s + length : nullptr;
}

}  // namespace cove::plugins

#include "text/chat/jinja/lexer.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/chat/jinja/unicode.h"

namespace cove::text::jinja {
namespace {

constexpr std::array<std::string_view, 25> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                         "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                         ">",  "<",  "=",  ".",  ":",  "|",  ","};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }

// All line ends become \n and one at the very end is dropped.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool all_space(std::string_view text) { return !text.empty() && strip(text, Side::kLeft).empty(); }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) TRY(next_piece());
    add(TokenType::kEnd, "");
    return std::move(tokens_);
  }

 private:
  enum class Tag { kBlock, kVariable, kComment };

  Error error(std::string_view what) const { return invalid_argument(fmt::format("line {}: {}", line_, what)); }
  bool looking_at(std::string_view text) const { return std::string_view(source_).substr(at_).starts_with(text); }

  void add(TokenType type, std::string_view text) { tokens_.push_back({type, std::string(text), line_}); }

  void advance(size_t bytes) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(at_ + bytes), '\n'));
    at_ += bytes;
    if (bytes > 0) line_starting_ = source_[at_ - 1] == '\n';
  }

  void skip_space() {
    const std::string_view rest = std::string_view(source_).substr(at_);
    advance(rest.size() - strip(rest, Side::kLeft).size());
  }

  // Text up to the next tag, then the tag.
  Status next_piece() {
    size_t begin = at_;
    while (true) {
      begin = source_.find('{', begin);
      if (begin == std::string::npos || begin + 1 >= source_.size()) {
        add_text(std::string_view(source_).substr(at_));
        advance(source_.size() - at_);
        return {};
      }
      const char mark = source_[begin + 1];
      if (mark == '%' || mark == '{' || mark == '#') break;
      ++begin;
    }
    const Tag tag = source_[begin + 1] == '%'   ? Tag::kBlock
                    : source_[begin + 1] == '{' ? Tag::kVariable
                                                : Tag::kComment;
    const char sign = begin + 2 < source_.size() ? source_[begin + 2] : ' ';
    add_text(stripped_before_tag(std::string_view(source_).substr(at_, begin - at_), sign, tag));
    advance(begin - at_);
    return read_tag(tag, sign);
  }

  // A minus strips all white space before the tag; otherwise lstrip_blocks strips what stands between the line's begin
  // and a block or comment, unless a plus forbids it.
  std::string_view stripped_before_tag(std::string_view text, char sign, Tag tag) const {
    if (sign == '-') return strip(text, Side::kRight);
    if (sign == '+' || tag == Tag::kVariable) return text;
    const size_t newline = text.rfind('\n');
    const size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
    if ((line_begin > 0 || line_starting_) && all_space(text.substr(line_begin))) return text.substr(0, line_begin);
    return text;
  }

  void add_text(std::string_view text) {
    if (!text.empty()) add(TokenType::kText, text);
  }

  Status read_tag(Tag tag, char sign) {
    if (tag == Tag::kBlock) {
      if (const size_t length = raw_begin_length()) return read_raw(length);
    }
    const bool signed_tag = sign == '-' || sign == '+';
    if (tag == Tag::kComment) return read_comment();
    add(tag == Tag::kBlock ? TokenType::kBlockBegin : TokenType::kVariableBegin, "");
    // A plus is a sign of variables no more than of blocks: "{{+1}}" is the expression 1 either way.
    advance(signed_tag ? 3 : 2);
    return read_expression(tag);
  }

  Status read_comment() {
    const size_t end = source_.find("#}", at_ + 2);
    if (end == std::string::npos) return error("missing end of comment tag");
    const char sign = end > at_ + 2 ? source_[end - 1] : ' ';
    advance(end + 2 - at_);
    after_tag(sign);
    return {};
  }

  // trim_blocks: a tag takes the newline after it with it; a minus takes all white space, a plus nothing.
  void after_tag(char sign) {
    if (sign == '-') {
      skip_space();
    } else if (sign != '+' && at_ < source_.size() && source_[at_] == '\n') {
      advance(1);
    }
  }

  // The length of "{%- raw -%}" at the current place, without white space after it; 0 when it is another tag.
  size_t raw_begin_length() const {
    size_t i = at_ + 2;
    if (i < source_.size() && (source_[i] == '-' || source_[i] == '+')) ++i;
    const auto skip = [&] {
      while (i < source_.size() && is_space(static_cast<unsigned char>(source_[i]))) ++i;
    };
    skip();
    if (source_.compare(i, 3, "raw") != 0) return 0;
    i += 3;
    skip();
    if (source_.compare(i, 3, "-%}") == 0) return i + 3 - at_;
    return source_.compare(i, 2, "%}") == 0 ? i + 2 - at_ : 0;
  }

  Status read_raw(size_t begin_length) {
    const bool strip_after = source_[at_ + begin_length - 3] == '-';
    advance(begin_length);
    if (strip_after) skip_space();
    for (size_t tag = source_.find("{%", at_); tag != std::string::npos; tag = source_.find("{%", tag + 2)) {
      size_t i = tag + 2;
      const char sign = i < source_.size() ? source_[i] : ' ';
      if (sign == '-' || sign == '+') ++i;
      while (i < source_.size() && is_space(static_cast<unsigned char>(source_[i]))) ++i;
      if (source_.compare(i, 6, "endraw") != 0) continue;
      i += 6;
      while (i < source_.size() && is_space(static_cast<unsigned char>(source_[i]))) ++i;
      const char end_sign = i < source_.size() && (source_[i] == '-' || source_[i] == '+') ? source_[i] : ' ';
      if (end_sign != ' ') ++i;
      if (source_.compare(i, 2, "%}") != 0) continue;
      add_text(stripped_before_tag(std::string_view(source_).substr(at_, tag - at_), sign, Tag::kBlock));
      advance(i + 2 - at_);
      after_tag(end_sign);
      return {};
    }
    return error("missing end of raw tag");
  }

  // Tokens up to the end of the tag. Inside brackets the tag cannot end: "{{ {'a': {}} }}".
  Status read_expression(Tag tag) {
    std::string open;
    while (at_ < source_.size()) {
      if (open.empty() && read_tag_end(tag)) return {};
      const char c = source_[at_];
      if (is_space(static_cast<unsigned char>(c))) {
        advance(1);
      } else if (const size_t space = leading_unicode_space()) {
        advance(space);
      } else if (is_digit(c)) {
        TRY(read_number());
      } else if (is_name_start(c)) {
        read_name();
      } else if (c == '"' || c == '\'') {
        TRY(read_string(c));
      } else {
        TRY(read_operator(open));
      }
    }
    return error(tag == Tag::kBlock ? "unexpected end of template, the tag is not closed with '%}'"
                                    : "unexpected end of template, the tag is not closed with '}}'");
  }

  size_t leading_unicode_space() const {
    if (static_cast<unsigned char>(source_[at_]) < 0x80) return 0;
    size_t next = at_;
    return is_space(next_code_point(source_, next)) ? next - at_ : 0;
  }

  bool read_tag_end(Tag tag) {
    const std::string_view end = tag == Tag::kBlock ? "%}" : "}}";
    const char sign = source_[at_];
    const bool has_sign = (sign == '-' || (sign == '+' && tag == Tag::kBlock)) && source_.compare(at_ + 1, 2, end) == 0;
    if (!has_sign && !looking_at(end)) return false;
    add(tag == Tag::kBlock ? TokenType::kBlockEnd : TokenType::kVariableEnd, "");
    advance(has_sign ? 3 : 2);
    if (tag == Tag::kBlock) {
      after_tag(has_sign ? sign : ' ');
    } else if (has_sign) {
      skip_space();
    }
    return true;
  }

  void read_name() {
    size_t end = at_;
    while (end < source_.size() && is_name_part(source_[end])) ++end;
    add(TokenType::kName, std::string_view(source_).substr(at_, end - at_));
    advance(end - at_);
  }

  // Digits with single underscores between them, from `i`; returns the end.
  template <class IsDigit>
  size_t digits_end(size_t i, const IsDigit& accept) const {
    while (i < source_.size() &&
           (accept(source_[i]) || (source_[i] == '_' && i + 1 < source_.size() && accept(source_[i + 1])))) {
      ++i;
    }
    return i;
  }

  Status read_number() {
    const char base = at_ + 1 < source_.size() ? static_cast<char>(source_[at_ + 1] | 0x20) : ' ';
    size_t end = at_;
    TokenType type = TokenType::kInteger;
    if (source_[at_] == '0' && (base == 'x' || base == 'o' || base == 'b')) {
      end = digits_end(at_ + 2, [base](char c) {
        if (base == 'b') return c == '0' || c == '1';
        if (base == 'o') return c >= '0' && c <= '7';
        return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
      });
      if (end == at_ + 2) return error("a number without digits");
    } else {
      end = digits_end(at_, is_digit);
      const size_t float_end = float_part_end(end);
      if (float_end > end) {
        type = TokenType::kFloat;
        end = float_end;
      } else if (source_[at_] == '0' &&
                 std::string_view(source_).substr(at_, end - at_).find_first_not_of("0_") != std::string_view::npos) {
        return error("a number must not begin with 0");
      }
    }
    std::string digits(source_, at_, end - at_);
    std::erase(digits, '_');
    add(type, digits);
    advance(end - at_);
    return {};
  }

  // "matrix.0.1" has no floats: digits after a dot are an index.
  size_t float_part_end(size_t i) const {
    if (at_ > 0 && source_[at_ - 1] == '.') return i;
    size_t end = i;
    if (i + 1 < source_.size() && source_[i] == '.' && is_digit(source_[i + 1])) end = digits_end(i + 1, is_digit);
    size_t e = end;
    if (e < source_.size() && (source_[e] | 0x20) == 'e') {
      ++e;
      if (e < source_.size() && (source_[e] == '+' || source_[e] == '-')) ++e;
      if (e < source_.size() && is_digit(source_[e])) end = digits_end(e, is_digit);
    }
    return end;
  }

  Status read_string(char quote) {
    std::string text;
    size_t i = at_ + 1;
    while (true) {
      if (i >= source_.size()) return error("a string is not closed");
      if (source_[i] == quote) break;
      if (source_[i] != '\\') {
        text += source_[i++];
      } else {
        if (i + 1 >= source_.size()) return error("a string is not closed");
        TRY_ASSIGN(i, read_escape(i + 1, text));
      }
    }
    add(TokenType::kString, text);
    advance(i + 1 - at_);
    return {};
  }

  // Python's escapes; `i` is after the backslash. Unknown ones stay as written.
  Result<size_t> read_escape(size_t i, std::string& text) const {
    static constexpr std::string_view kFrom = "\\'\"abfnrtv";
    static constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
    const char c = source_[i];
    if (c == '\n') return i + 1;
    if (const size_t known = kFrom.find(c); known != std::string_view::npos) {
      text += kTo[known];
      return i + 1;
    }
    if (c >= '0' && c <= '7') return read_code(i, {.base = 8, .digits_min = 1, .digits_max = 3}, text);
    if (c == 'x') return read_code(i + 1, {.base = 16, .digits_min = 2, .digits_max = 2}, text);
    if (c == 'u') return read_code(i + 1, {.base = 16, .digits_min = 4, .digits_max = 4}, text);
    if (c == 'U') return read_code(i + 1, {.base = 16, .digits_min = 8, .digits_max = 8}, text);
    text += '\\';
    return i;
  }

  struct CodeRule {
    uint32_t base;
    int digits_min;
    int digits_max;
  };
  Result<size_t> read_code(size_t i, const CodeRule& rule, std::string& text) const {
    uint64_t code = 0;
    int digits = 0;
    while (digits < rule.digits_max && i < source_.size()) {
      const char lower = static_cast<char>(source_[i] | 0x20);
      const uint32_t digit = is_digit(source_[i])           ? static_cast<uint32_t>(source_[i] - '0')
                             : lower >= 'a' && lower <= 'f' ? static_cast<uint32_t>(lower - 'a' + 10)
                                                            : 99;
      if (digit >= rule.base) break;
      code = code * rule.base + digit;
      ++digits;
      ++i;
    }
    if (digits < rule.digits_min) return error("a string has a truncated escape");
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return error("a string escape is no character");
    append_utf8(text, static_cast<char32_t>(code));
    return i;
  }

  Status read_operator(std::string& open) {
    for (const std::string_view op : kOperators) {
      if (!looking_at(op)) continue;
      TRY(balance(op, open));
      add(TokenType::kOperator, op);
      advance(op.size());
      return {};
    }
    return error(fmt::format("unexpected character '{}'", std::string_view(source_).substr(at_, 1)));
  }

  Status balance(std::string_view op, std::string& open) const {
    if (op == "(") open += ')';
    if (op == "[") open += ']';
    if (op == "{") open += '}';
    if (op != ")" && op != "]" && op != "}") return {};
    if (open.empty()) return error(fmt::format("unexpected '{}'", op));
    if (open.back() != op[0]) return error(fmt::format("unexpected '{}', expected '{}'", op, open.back()));
    open.pop_back();
    return {};
  }

  std::string_view source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) {
  if (const size_t bad = find_invalid_utf8(source); bad != std::string_view::npos) {
    return invalid_argument(fmt::format("the template is not UTF-8 (byte {})", bad));
  }
  const std::string text = normalize_newlines(source);
  return Lexer(text).run();
}

}  // namespace cove::text::jinja

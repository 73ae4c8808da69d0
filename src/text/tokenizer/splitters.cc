#include "text/tokenizer/splitters.h"

#include "text/tokenizer/unicode_table.h"

namespace cove::text {

const char* const kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// The line break inside the third is a real one, as in the published file.
const char* const kDeepseekV3Patterns[3] = {
    R"(\p{N}{1,3})",
    "[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
    "?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|"
    "\\s+(?!\\S)|\\s+",
};

namespace {

// A cursor over one text; positions are byte offsets at character starts.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : table_(UnicodeTable::instance()), text_(text) {}

  ClassifiedChar at(size_t position) const { return classify_at(table_, text_, position); }
  size_t size() const { return text_.size(); }

  // End of the run of characters that have any of `wanted`.
  size_t run_of(size_t position, uint8_t wanted) const {
    while (position < text_.size()) {
      const ClassifiedChar c = at(position);
      if ((c.classes & wanted) == 0) break;
      position += c.length;
    }
    return position;
  }

  // End of the run of characters that have none of `unwanted`.
  size_t run_without(size_t position, uint8_t unwanted) const {
    while (position < text_.size()) {
      const ClassifiedChar c = at(position);
      if ((c.classes & unwanted) != 0) break;
      position += c.length;
    }
    return position;
  }

  size_t run_of_at_most(size_t position, uint8_t wanted, int count_max) const {
    for (int count = 0; count < count_max && position < text_.size(); ++count) {
      const ClassifiedChar c = at(position);
      if ((c.classes & wanted) == 0) break;
      position += c.length;
    }
    return position;
  }

  // `\s*[\r\n]+|\s+(?!\S)|\s+` (without the first part when newlines are not special): the end of the match that starts
  // at the space character at `position`.
  template <bool kNewlinesSpecial>
  size_t space_match(size_t position) const {
    size_t end = position;
    size_t last_start = position;
    size_t after_last_newline = 0;
    while (end < text_.size()) {
      const ClassifiedChar c = at(end);
      if ((c.classes & kSpace) == 0) break;
      last_start = end;
      end += c.length;
      if (kNewlinesSpecial && (c.classes & kNewline) != 0) after_last_newline = end;
    }
    if (kNewlinesSpecial && after_last_newline != 0) return after_last_newline;
    if (end == text_.size()) return end;
    return last_start > position ? last_start
                                 : end;  // the last space belongs to what follows, unless it is the only one
  }

 private:
  const UnicodeTable& table_;
  std::string_view text_;
};

// Length of 's 't 're 've 'm 'll 'd after the apostrophe at `position`, apostrophe included; 0 when there is none.
size_t contraction_length(std::string_view text, size_t position) {
  const auto letter = [&](size_t i) { return i < text.size() ? text[i] : '\0'; };
  const char first = letter(position + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  const char second = letter(position + 2);
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  if (first == 'l' && second == 'l') return 3;
  return 0;
}

// The same without regard to case; U+017F (long s) is an s in Unicode's case folding.
size_t contraction_length_any_case(std::string_view text, size_t position) {
  char folded[3] = {'\'', '\0', '\0'};
  for (size_t i = 1; i < 3 && position + i < text.size(); ++i) {
    const char c = text[position + i];
    folded[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  const size_t length = contraction_length(std::string_view(folded, 3), 0);
  if (length == 0 && text.substr(position + 1, 2) == "\xC5\xBF") return 3;
  return length;
}

bool is_ascii_letter(char32_t c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }

// The third DeepSeek splitter at one position, on a text without numbers and ideographs. Returns `position` when
// nothing matches there.
size_t deepseek_match(const Scanner& scan, size_t position) {
  const ClassifiedChar c = scan.at(position);
  const size_t next = position + c.length;
  const bool word = (c.classes & (kLetter | kMark)) != 0;
  if (word) return scan.run_of(next, kLetter | kMark);
  const bool mark_or_sign = (c.classes & (kPunctuation | kSymbol)) != 0;
  if (mark_or_sign && c.code_point < 0x80 && is_ascii_letter(scan.at(next).code_point)) {
    size_t end = next + 1;
    while (is_ascii_letter(scan.at(end).code_point)) ++end;
    return end;
  }
  const ClassifiedChar follow = scan.at(next);
  if (!mark_or_sign && (c.classes & kNewline) == 0 && (follow.classes & (kLetter | kMark)) != 0) {
    return scan.run_of(next, kLetter | kMark);
  }
  if (mark_or_sign || (c.code_point == ' ' && (follow.classes & (kPunctuation | kSymbol)) != 0)) {
    return scan.run_of(scan.run_of(next, kPunctuation | kSymbol), kNewline);
  }
  if ((c.classes & kSpace) != 0) return scan.space_match<true>(position);
  return position;
}

// A text without numbers and ideographs. Characters that no alternative takes (controls, unassigned) form pieces of
// their own.
void split_deepseek_rest(std::string_view text, PieceSink sink) {
  const Scanner scan(text);
  size_t gap_begin = 0;
  for (size_t position = 0; position < text.size();) {
    const size_t end = deepseek_match(scan, position);
    if (end == position) {
      position += scan.at(position).length;
      continue;
    }
    if (gap_begin < position) sink(text.substr(gap_begin, position - gap_begin));
    sink(text.substr(position, end - position));
    position = gap_begin = end;
  }
  if (gap_begin < text.size()) sink(text.substr(gap_begin));
}

size_t qwen2_match(const Scanner& scan, std::string_view text, size_t position, int digits_max) {
  const ClassifiedChar c = scan.at(position);
  const size_t next = position + c.length;
  if ((c.classes & kLetter) != 0) return scan.run_of(next, kLetter);
  if ((c.classes & kNumber) != 0) return scan.run_of_at_most(next, kNumber, digits_max - 1);
  if (c.code_point == '\'') {
    if (const size_t length = contraction_length_any_case(text, position); length != 0) return position + length;
  }
  const ClassifiedChar follow = scan.at(next);
  if ((c.classes & kNewline) == 0 && (follow.classes & kLetter) != 0) return scan.run_of(next, kLetter);
  const bool other = (c.classes & kSpace) == 0;
  if (other || (c.code_point == ' ' && follow.length != 0 && (follow.classes & (kSpace | kLetter | kNumber)) == 0)) {
    return scan.run_of(scan.run_without(next, kSpace | kLetter | kNumber), kNewline);
  }
  return scan.space_match<true>(position);
}

size_t gpt2_match(const Scanner& scan, std::string_view text, size_t position) {
  ClassifiedChar c = scan.at(position);
  if (c.code_point == '\'') {
    if (const size_t length = contraction_length(text, position); length != 0) return position + length;
  }
  size_t begin = position;
  if (c.code_point == ' ') {
    const ClassifiedChar follow = scan.at(position + 1);
    if (follow.length != 0 && (follow.classes & kSpace) == 0) {
      begin = position + 1;
      c = follow;
    }
  }
  const size_t next = begin + c.length;
  if ((c.classes & kLetter) != 0) return scan.run_of(next, kLetter);
  if ((c.classes & kNumber) != 0) return scan.run_of(next, kNumber);
  if ((c.classes & kSpace) == 0) return scan.run_without(next, kSpace | kLetter | kNumber);
  return scan.space_match<false>(position);
}

}  // namespace

void split_qwen2(std::string_view text, int digits_max, PieceSink sink) {
  const Scanner scan(text);
  for (size_t position = 0; position < text.size();) {
    const size_t end = qwen2_match(scan, text, position, digits_max);
    sink(text.substr(position, end - position));
    position = end;
  }
}

void split_gpt2(std::string_view text, PieceSink sink) {
  const Scanner scan(text);
  for (size_t position = 0; position < text.size();) {
    const size_t end = gpt2_match(scan, text, position);
    sink(text.substr(position, end - position));
    position = end;
  }
}

void split_deepseek_v3(std::string_view text, PieceSink sink) {
  const Scanner scan(text);
  for (size_t position = 0; position < text.size();) {
    const uint8_t classes = scan.at(position).classes;
    size_t end = position;
    if ((classes & kNumber) != 0) {
      end = scan.run_of_at_most(position, kNumber, 3);
      sink(text.substr(position, end - position));
    } else if ((classes & kIdeograph) != 0) {
      end = scan.run_of(position, kIdeograph);
      sink(text.substr(position, end - position));
    } else {
      end = scan.run_without(position, kNumber | kIdeograph);
      split_deepseek_rest(text.substr(position, end - position), sink);
    }
    position = end;
  }
}

}  // namespace cove::text

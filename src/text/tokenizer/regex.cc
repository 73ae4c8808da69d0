#include "text/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

namespace cove::text {
namespace {

constexpr uint32_t kMatchSteps = 10'000'000;
constexpr uint32_t kMatchHeapKib = 64 * 1024;
constexpr size_t kPatternBytesMax = 64 * 1024;
constexpr size_t kJitStackBytesMax = 1 << 20;

// White_Space, as Oniguruma's \s; PCRE2's own \s would also take U+180E.
constexpr std::string_view kSpaceSet =
    R"(\t-\r\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kWordSet = R"(\p{L}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view kHexSet = "0-9A-Fa-f";

std::string_view shorthand_set(char letter) {
  switch (letter) {
    case 's':
    case 'S': return kSpaceSet;
    case 'w':
    case 'W': return kWordSet;
    case 'h':
    case 'H': return kHexSet;
    default: return {};
  }
}

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  Result<std::string> run() {
    while (at_ < pattern_.size()) {
      if (pattern_[at_] == '\\') {
        TRY(escape());
      } else if (in_class_) {
        TRY(class_char());
      } else {
        TRY(plain_char());
      }
    }
    return std::move(out_);
  }

 private:
  char peek(size_t ahead) const { return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0'; }
  void copy(size_t count) {
    out_ += pattern_.substr(at_, count);
    at_ += count;
  }
  Error refuse(std::string_view what) const {
    return {ErrorCode::kUnsupported,
            fmt::format("regular expression '{}', offset {}: {} is not supported", pattern_, at_, what)};
  }

  Status escape() {
    const char letter = peek(1);
    if (letter == '\0') return refuse("a backslash at the end");
    if (letter == 'u') {  // \uHHHH
      if (at_ + 6 > pattern_.size()) return refuse("a short \\u escape");
      out_ += fmt::format("\\x{{{}}}", pattern_.substr(at_ + 2, 4));
      at_ += 6;
      return {};
    }
    if ((letter == 'p' || letter == 'P' || letter == 'x') && peek(2) == '{') {
      const size_t close = pattern_.find('}', at_);
      if (close == std::string_view::npos) return refuse("an open brace");
      copy(close + 1 - at_);
      return {};
    }
    const std::string_view set = shorthand_set(letter);
    if (set.empty()) {
      copy(2);
      return {};
    }
    const bool negated = letter >= 'A' && letter <= 'Z';
    if (in_class_ && negated) return refuse("a negated shorthand inside a character class");
    if (in_class_) {
      out_ += set;
    } else {
      out_ += fmt::format("[{}{}]", negated ? "^" : "", set);
    }
    at_ += 2;
    return {};
  }

  Status class_char() {
    const char c = pattern_[at_];
    if (c == '[' && peek(1) != ':') return refuse("a character class inside another");
    if (c == '[') {
      const size_t close = pattern_.find(":]", at_ + 2);
      if (close == std::string_view::npos) return refuse("an open POSIX bracket");
      copy(close + 2 - at_);
      return {};
    }
    if (c == '&' && peek(1) == '&') return refuse("an intersection of character classes");
    if (c == ']' && at_ != class_first_) in_class_ = false;
    copy(1);
    return {};
  }

  Status plain_char() {
    const char c = pattern_[at_];
    if (c == '}' && peek(1) == '+') return refuse("'{n,m}+' (possessive in some engines, repeated in others)");
    if (c == '[') {
      in_class_ = true;
      copy(1);
      if (at_ < pattern_.size() && pattern_[at_] == '^') copy(1);
      class_first_ = at_;
      return {};
    }
    if (c == '(' && peek(1) == '?' && (peek(2) == 'm' || peek(2) == 'x')) return refuse("this option group");
    copy(1);
    return {};
  }

  std::string_view pattern_;
  std::string out_;
  size_t at_ = 0;
  size_t class_first_ = 0;
  bool in_class_ = false;
};

// Scratch that PCRE2 wants for each match; one a thread.
struct MatchScratch {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, kJitStackBytesMax, nullptr);

  MatchScratch() {
    if (context == nullptr) return;
    pcre2_set_match_limit(context, kMatchSteps);
    pcre2_set_heap_limit(context, kMatchHeapKib);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  MatchScratch(const MatchScratch&) = delete;
  MatchScratch& operator=(const MatchScratch&) = delete;
  ~MatchScratch() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

std::string pcre2_message(int code) {
  unsigned char buffer[256];
  if (pcre2_get_error_message(code, buffer, sizeof buffer) < 0) return fmt::format("error {}", code);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct Regex::Code {
  explicit Code(pcre2_code* code) : compiled(code) {}
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(compiled); }
  pcre2_code* compiled;
};

Result<std::string> translate_oniguruma(std::string_view pattern) { return Translator(pattern).run(); }

Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > kPatternBytesMax) {
    return data_corrupt(fmt::format("a regular expression of {} bytes is longer than the limit of {}", pattern.size(),
                                    kPatternBytesMax));
  }
  TRY_ASSIGN(const std::string translated, translate_oniguruma(pattern));
  return compile_pcre2(translated, pattern);
}

Result<Regex> Regex::compile_literal(std::string_view literal) {
  std::string pattern;
  for (const char c : literal) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x80 || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
    pattern += plain ? std::string(1, c) : fmt::format("\\x{:02x}", byte);
  }
  return compile_pcre2(pattern, literal);
}

Result<Regex> Regex::compile_pcre2(const std::string& pattern, std::string_view original) {
  int error = 0;
  size_t offset = 0;
  // Ruby's ^ and $ always work on lines.
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  pcre2_code* compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &error, &offset, nullptr);
  if (compiled == nullptr) {
    return data_corrupt(fmt::format("regular expression '{}' does not compile: {} (at offset {} of '{}')", original,
                                    pcre2_message(error), offset, pattern));
  }
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);  // without JIT the interpreter runs the same program
  return Regex(std::make_shared<const Code>(compiled));
}

Result<std::optional<Regex::Span>> Regex::find(std::string_view text, size_t from) const {
  thread_local const MatchScratch scratch;
  if (scratch.data == nullptr || scratch.context == nullptr)
    return Error{ErrorCode::kResourceExhausted, "out of memory for a match"};
  const int found = pcre2_match(code_->compiled, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                                PCRE2_NO_UTF_CHECK, scratch.data, scratch.context);
  if (found == PCRE2_ERROR_NOMATCH) return std::optional<Span>();
  if (found < 0) {
    return Error{ErrorCode::kResourceExhausted,
                 fmt::format("the tokenizer's regular expression gave up: {}", pcre2_message(found))};
  }
  const size_t* ends = pcre2_get_ovector_pointer(scratch.data);
  return std::optional<Span>(Span{ends[0], ends[1]});
}

}  // namespace cove::text

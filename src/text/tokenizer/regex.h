#pragma once
// Regular expressions as tokenizer.json writes them (Oniguruma's Ruby syntax, Unicode), run by PCRE2's JIT. What the
// two engines read differently is translated or refused, never silently matched another way.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cove::text {

class Regex {
 public:
  struct Span {
    size_t begin = 0;
    size_t end = 0;
  };

  // Errors: kUnsupported or kDataCorrupt, naming the pattern and the place in it.
  static Result<Regex> compile(std::string_view oniguruma_pattern);
  // Matches `literal` itself.
  static Result<Regex> compile_literal(std::string_view literal);

  // The leftmost match that starts at or after `from` in well-formed UTF-8. Errors: kResourceExhausted when the pattern
  // needs more than its step limit. Any thread.
  Result<std::optional<Span>> find(std::string_view text, size_t from) const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  static Result<Regex> compile_pcre2(const std::string& pattern, std::string_view original);
  std::shared_ptr<const Code> code_;  // shared: copies of a pre-tokenizer use one compiled program
};

// The PCRE2 spelling of an Oniguruma pattern.
Result<std::string> translate_oniguruma(std::string_view pattern);

}  // namespace cove::text

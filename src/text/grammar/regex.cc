#include "text/grammar/regex.h"

#include <optional>

#include <fmt/format.h>

#include "base/utf8.h"

namespace cove::text::grammar {
namespace {

constexpr int kNestingMax = 64;
constexpr int64_t kRepeatMax = 10'000;

const CharSet kDigits = {{.low = '0', .high = '9'}};
const CharSet kWord = {
    {.low = '0', .high = '9'}, {.low = 'A', .high = 'Z'}, {.low = '_', .high = '_'}, {.low = 'a', .high = 'z'}};
const CharSet kSpace = {{.low = '\t', .high = '\r'},     {.low = ' ', .high = ' '},
                        {.low = 0xA0, .high = 0xA0},     {.low = 0x1680, .high = 0x1680},
                        {.low = 0x2000, .high = 0x200A}, {.low = 0x2028, .high = 0x2029},
                        {.low = 0x202F, .high = 0x202F}, {.low = 0x205F, .high = 0x205F},
                        {.low = 0x3000, .high = 0x3000}, {.low = 0xFEFF, .high = 0xFEFF}};
const CharSet kLineEnds = {{.low = '\n', .high = '\n'}, {.low = '\r', .high = '\r'}, {.low = 0x2028, .high = 0x2029}};

class Parser {
 public:
  Parser(Network& network, std::string_view pattern, TextForm form) : network_(network), text_(pattern), form_(form) {}

  Result<Fragment> parse(Anchoring anchoring) {
    anchoring_ = anchoring;
    TRY_ASSIGN(const Fragment all, alternatives(0));
    if (at_ < text_.size()) return error("an unmatched ')'");
    return all;
  }

 private:
  Error error(std::string_view what) const {
    return invalid_argument(fmt::format("the pattern '{}' has {} at byte {}", text_, what, at_));
  }
  bool more() const { return at_ < text_.size(); }
  bool take(char c) {
    if (!more() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Fragment any_text() {
    const RuleId rule = network_.add_rule();
    network_.define(rule,
                    form_ == TextForm::kPlain ? network_.characters(all_characters()) : any_json_character(network_));
    return network_.repeat(rule, 0, -1);
  }

  Result<Fragment> alternatives(int depth) {
    if (depth > kNestingMax) return error("too many nested groups");
    std::vector<Fragment> parts;
    do {
      TRY_ASSIGN(const Fragment part, alternative(depth));
      parts.push_back(part);
    } while (take('|'));
    return network_.choice(parts);
  }

  Result<Fragment> alternative(int depth) {
    const bool search = depth == 0 && anchoring_ == Anchoring::kSearch;
    std::vector<Fragment> parts;
    const bool pinned_begin = depth == 0 && take('^');
    if (search && !pinned_begin) parts.push_back(any_text());
    bool pinned_end = false;
    while (more() && text_[at_] != '|' && text_[at_] != ')') {
      if (depth == 0 && text_[at_] == '$') {
        ++at_;
        pinned_end = true;
        if (more() && text_[at_] != '|') return error("'$' before the end");
        break;
      }
      TRY_ASSIGN(const Fragment part, repeated(depth));
      parts.push_back(part);
    }
    if (search && !pinned_end) parts.push_back(any_text());
    return network_.sequence(parts);
  }

  Result<Fragment> repeated(int depth) {
    TRY_ASSIGN(const Fragment one, atom(depth));
    int64_t low = 1;
    int64_t high = 1;
    if (take('*')) {
      low = 0;
      high = -1;
    } else if (take('+')) {
      high = -1;
    } else if (take('?')) {
      low = 0;
    } else if (more() && text_[at_] == '{') {
      TRY(bounds(low, high));
    } else {
      return one;
    }
    take('?');  // lazy: the same texts match
    if (more() && (text_[at_] == '*' || text_[at_] == '+')) return error("a quantifier after a quantifier");
    const RuleId rule = network_.add_rule();
    network_.define(rule, one);
    return network_.repeat(rule, low, high);
  }

  std::optional<int64_t> number() {
    if (!more() || text_[at_] < '0' || text_[at_] > '9') return std::nullopt;
    int64_t value = 0;
    while (more() && text_[at_] >= '0' && text_[at_] <= '9')
      value = std::min(value * 10 + (text_[at_++] - '0'), kRepeatMax + 1);
    return value;
  }

  Status bounds(int64_t& low, int64_t& high) {
    ++at_;
    const auto first = number();
    if (!first) return error("no number after '{'");
    low = high = *first;
    if (take(',')) high = number().value_or(-1);
    if (!take('}')) return error("no '}'");
    if (low > kRepeatMax || high > kRepeatMax) return error(fmt::format("a repetition of more than {}", kRepeatMax));
    if (high >= 0 && high < low) return error("bounds in the wrong order");
    return {};
  }

  Result<Fragment> atom(int depth) {
    const char c = text_[at_];
    if (c == '(') return group(depth);
    if (c == '*' || c == '+' || c == '?' || c == '{') return error("nothing to repeat");
    if (c == '^' || c == '$') return error(fmt::format("'{}' inside", c));
    TRY_ASSIGN(const CharSet set, c == '[' ? bracket() : single());
    return one_of(network_, set, form_);
  }

  Result<Fragment> group(int depth) {
    ++at_;
    if (take('?')) {
      if (take('<')) {
        if (more() && (text_[at_] == '=' || text_[at_] == '!')) return error("look-behind, which is not supported,");
        while (more() && text_[at_] != '>') ++at_;
        if (!take('>')) return error("an unfinished group name");
      } else if (!take(':')) {
        return error("look-ahead or a flag, which are not supported,");
      }
    }
    TRY_ASSIGN(const Fragment inner, alternatives(depth + 1));
    if (!take(')')) return error("no ')'");
    return inner;
  }

  Result<CharSet> single() {
    if (take('.')) return complement(kLineEnds);
    if (text_[at_] == '\\') return escape();
    const char32_t c = next_code_point(text_, at_);
    return CharSet{{.low = c, .high = c}};
  }

  Result<char32_t> hex(size_t digits) {
    uint32_t value = 0;
    for (size_t i = 0; i < digits; ++i) {
      const char c = more() ? text_[at_] : ' ';
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return error("a broken hexadecimal escape");
      value = value * 16 + static_cast<uint32_t>(digit);
      ++at_;
    }
    return static_cast<char32_t>(value);
  }

  static CharSet of(char32_t c) { return {{.low = c, .high = c}}; }

  Result<CharSet> escape() {
    ++at_;
    if (!more()) return error("a lone '\\'");
    const char c = text_[at_];
    if (c == 'b' || c == 'B' || (c >= '1' && c <= '9') || c == 'k' || c == 'p' || c == 'P')
      return error(fmt::format("'\\{}', which is not supported,", c));
    const char32_t whole = next_code_point(text_, at_);
    switch (c) {
      case 'd': return kDigits;
      case 'D': return complement(kDigits);
      case 'w': return kWord;
      case 'W': return complement(kWord);
      case 's': return kSpace;
      case 'S': return complement(kSpace);
      case 't': return of('\t');
      case 'n': return of('\n');
      case 'r': return of('\r');
      case 'f': return of('\f');
      case 'v': return of('\v');
      case '0': return of(0);
      default: break;
    }
    if (c == 'x' || c == 'u') {
      TRY_ASSIGN(const char32_t value, hex(c == 'x' ? 2 : 4));
      return of(value);
    }
    return of(whole);
  }

  Result<CharSet> bracket() {
    ++at_;
    const bool inverted = take('^');
    CharSet set;
    while (!take(']')) {
      if (!more()) return error("no ']'");
      TRY_ASSIGN(const CharSet low, class_member());
      const bool range = at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']';
      if (!range) {
        set.insert(set.end(), low.begin(), low.end());
        continue;
      }
      ++at_;
      TRY_ASSIGN(const CharSet high, class_member());
      if (low.size() != 1 || high.size() != 1 || low[0].low > high[0].low) return error("a broken range");
      set.push_back({.low = low[0].low, .high = high[0].low});
    }
    return inverted ? complement(set) : normalise(set);
  }

  Result<CharSet> class_member() {
    if (text_[at_] == '\\') {
      if (at_ + 1 < text_.size() && text_[at_ + 1] == 'b') {
        at_ += 2;
        return of('\b');
      }
      return escape();
    }
    return of(next_code_point(text_, at_));
  }

  Network& network_;
  std::string_view text_;
  TextForm form_;
  Anchoring anchoring_ = Anchoring::kWhole;
  size_t at_ = 0;
};

}  // namespace

Result<Fragment> compile_regex(Network& network, std::string_view pattern, TextForm form, Anchoring anchoring) {
  if (!is_valid_utf8(pattern)) return invalid_argument("the pattern is not UTF-8");
  return Parser(network, pattern, form).parse(anchoring);
}

}  // namespace cove::text::grammar

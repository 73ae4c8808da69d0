// The hand-written splitters against their own regular expressions run by PCRE2: random texts and the test corpus.
#include "text/tokenizer/splitters.h"

#include <fstream>
#include <random>

#include <gtest/gtest.h>

#include "base/testing.h"
#include "base/utf8.h"
#include "text/tokenizer/regex.h"

namespace cove::text {
namespace {

using Pieces = std::vector<std::string>;
using Splitter = void (*)(std::string_view, PieceSink);

Pieces split_by_regex(const std::vector<Regex>& regexes, std::string_view text) {
  Pieces pieces{std::string(text)};
  for (const Regex& regex : regexes) {
    Pieces next;
    for (const std::string& piece : pieces) {
      size_t done = 0;
      while (done < piece.size()) {
        const auto match = regex.find(piece, done).value();
        const size_t begin = match ? match->begin : piece.size();
        if (done < begin) next.push_back(piece.substr(done, begin - done));
        if (match) next.push_back(piece.substr(match->begin, match->end - match->begin));
        done = match ? match->end : piece.size();
      }
    }
    pieces = std::move(next);
  }
  return pieces;
}

struct Case {
  const char* name;
  std::vector<Regex> regexes;
  Splitter split;
};

std::vector<Regex> compile(std::initializer_list<const char*> patterns) {
  std::vector<Regex> regexes;
  for (const char* pattern : patterns) regexes.push_back(Regex::compile(pattern).value());
  return regexes;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"qwen2", compile({kQwen2Pattern}), [](std::string_view text, PieceSink sink) { split_qwen2(text, 1, sink); }},
      {"llama3", compile({kLlama3Pattern}), [](std::string_view text, PieceSink sink) { split_qwen2(text, 3, sink); }},
      {"gpt2", compile({kGpt2Pattern}), split_gpt2},
      {"deepseek_v3", compile({kDeepseekV3Patterns[0], kDeepseekV3Patterns[1], kDeepseekV3Patterns[2]}),
       split_deepseek_v3},
  };
  return all;
}

void expect_same(const Case& c, std::string_view text) {
  Pieces by_hand;
  const auto keep = [&](std::string_view piece) { by_hand.emplace_back(piece); };
  c.split(text, keep);
  const Pieces by_regex = split_by_regex(c.regexes, text);
  if (by_hand == by_regex) return;
  size_t first = 0;
  while (first < by_hand.size() && first < by_regex.size() && by_hand[first] == by_regex[first]) ++first;
  const auto piece = [&](const Pieces& pieces) { return first < pieces.size() ? pieces[first] : std::string("(end)"); };
  ADD_FAILURE() << c.name << ": piece " << first << " is '" << piece(by_hand) << "', the regular expression says '"
                << piece(by_regex) << "' in: " << text.substr(0, 200);
}

// Characters that the patterns tell apart, so that short random texts reach every alternative.
std::string random_text(std::mt19937& random, bool any_character) {
  static const char32_t kInteresting[] = {
      ' ',    ' ',    '\n',   '\r',   '\t',  'a',    'S',    't',    'r',    'e',     'v',    'l',   'L',    'm',
      'd',    '\'',   '\'',   '1',    '2',   '.',    '!',    '(',    '<',    '_',     '$',    '|',   0x85,   0xA0,
      0x3000, 0x2028, 0x180E, 0x200B, 0x17F, 0x4E2D, 0x9FA5, 0x3042, 0x30FC, 0xFF0C,  0x3002, 0x300, 0x93F,  0x0,
      0x1,    0xAD,   0xE9,   0x410,  0x5D0, 0x661,  0xB2,   0x2167, 0x20AC, 0x1F680, 0xE000, 0x378, 0x20000};
  std::string text;
  const size_t length = random() % 24;
  for (size_t i = 0; i < length; ++i) {
    char32_t c = kInteresting[random() % std::size(kInteresting)];
    if (any_character) c = random() % 0x30000;
    if (c >= 0xD800 && c < 0xE000) c = 'x';
    append_utf8(text, c);
  }
  return text;
}

TEST(Splitters, equal_their_regular_expressions_on_random_short_texts) {
  std::mt19937 random(20261124);
  for (int i = 0; i < 20000; ++i) {
    const std::string text = random_text(random, false);
    for (const Case& c : cases()) expect_same(c, text);
    if (HasFailure()) FAIL() << "text number " << i << " of seed 20261124";
  }
}

TEST(Splitters, treat_every_character_up_to_unicode_14_as_pcre2_does) {
  // Code points that Unicode 15 added are letters or symbols here and unassigned in PCRE2 10.42.
  const Regex assigned = Regex::compile(R"(\P{Cn})").value();
  for (const Case& c : cases()) {
    for (char32_t code_point = 0; code_point < 0x32000; ++code_point) {
      if (code_point >= 0xD800 && code_point < 0xE000) continue;
      std::string one;
      append_utf8(one, code_point);
      if (!assigned.find(one, 0).value()) continue;
      expect_same(c, "a" + one + "1 " + one + one + "b" + one);
      if (HasFailure()) FAIL() << "code point " << static_cast<unsigned>(code_point);
    }
  }
}

TEST(Splitters, equal_their_regular_expressions_on_the_corpus) {
  const auto folder = cove::testing::testdata_root() / "corpus";
  COVE_REQUIRE_TESTDATA(folder);
  size_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path());
    std::string text(2 << 20, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(file.gcount()));
    text.resize(complete_utf8_prefix(text));
    ASSERT_TRUE(is_valid_utf8(text)) << entry.path();
    for (const Case& c : cases()) expect_same(c, text);
    bytes += text.size();
  }
  EXPECT_GT(bytes, size_t{10} << 20);
}

TEST(Splitters, take_linear_time_on_long_runs) {
  for (const char* unit : {" ", "a", "\n", "1", "'", "中", "\x01", " \n", "\xCC\x81"}) {
    std::string text;
    while (text.size() < (size_t{1} << 20)) text += unit;
    text += "x";
    for (const Case& c : cases()) {
      size_t bytes = 0;
      const auto count = [&](std::string_view piece) { bytes += piece.size(); };
      c.split(text, count);
      EXPECT_EQ(bytes, text.size()) << c.name;
    }
  }
}

}  // namespace
}  // namespace cove::text

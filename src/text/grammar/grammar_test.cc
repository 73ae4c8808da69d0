#include <cstdlib>
#include <random>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/serialize.hpp>

#include "base/file.h"
#include "base/testing.h"
#include "text/grammar/automaton.h"
#include "text/grammar/json_schema.h"
#include "text/grammar/number_grammar.h"
#include "text/grammar/token_masks.h"
#include "text/tokenizer/regex.h"

namespace cove::text::grammar {
namespace {

bool accepts(const GrammarPtr& grammar, std::string_view text) {
  Automaton automaton(grammar);
  const Automaton::Node end = automaton.advance(automaton.start(), text);
  return end != Automaton::kDead && automaton.accepting(end);
}

GrammarPtr of_schema(std::string_view schema) {
  const auto parsed = parse_json(schema);
  EXPECT_TRUE(parsed) << schema;
  auto grammar = grammar_of_schema(*parsed, TextStart::kAtOnce);
  EXPECT_TRUE(grammar) << schema << ": " << grammar.error().message;
  return *grammar;
}

std::string refusal(std::string_view schema) {
  const auto parsed = parse_json(schema);
  EXPECT_TRUE(parsed) << schema;
  const auto grammar = grammar_of_schema(*parsed, TextStart::kAtOnce);
  EXPECT_FALSE(grammar) << schema;
  return grammar ? "" : grammar.error().message;
}

// A text of the grammar, byte by byte; rare bytes are as likely as common ones, so that corners are seen.
std::optional<std::string> random_text(const GrammarPtr& grammar, std::mt19937& random) {
  Automaton automaton(grammar);
  Automaton::Node node = automaton.start();
  std::string text;
  while (text.size() < 3000) {
    if (automaton.accepting(node) && (random() % 4 == 0 || !automaton.open(node))) return text;
    std::vector<uint8_t> possible;
    for (int byte = 0; byte < 256; ++byte) {
      if (automaton.advance(node, static_cast<uint8_t>(byte)) != Automaton::kDead)
        possible.push_back(static_cast<uint8_t>(byte));
    }
    if (possible.empty()) {
      ADD_FAILURE() << "a dead end after: " << text;
      return std::nullopt;
    }
    // Closing what is open is preferred, so that texts end.
    uint8_t byte = possible[random() % possible.size()];
    for (const char closing : {'"', '}', ']'}) {
      if (random() % 3 == 0 && std::ranges::find(possible, static_cast<uint8_t>(closing)) != possible.end())
        byte = static_cast<uint8_t>(closing);
    }
    text += static_cast<char>(byte);
    node = automaton.advance(node, byte);
  }
  return std::nullopt;
}

TEST(Grammar, json_objects_are_accepted_and_nothing_else) {
  const GrammarPtr grammar = grammar_of_json_object(TextStart::kAtOnce);
  for (const char* good : {"{}", "{ }", R"({"a":1})", R"({"a": [1, 2.5e-3, {"b": null}], "c": "\u00e9\n😀"})",
                           "{\n  \"a\": true\n}", R"({"a": "\ud83d\ude00"})"})
    EXPECT_TRUE(accepts(grammar, good)) << good;
  for (const char* bad : {"", "[]", "1", "{", R"({"a":01})", R"({"a":1,})", R"({a:1})", R"({"a":"\x"})", "{}\n", "{}{}",
                          R"({"a":"\ud83d"})", "{\"a\":\"\n\"}", "{\"a\":\"\xff\"}", R"({"a":.5})", R"({"a":1.})"})
    EXPECT_FALSE(accepts(grammar, bad)) << bad;
}

TEST(Grammar, what_the_grammar_gives_is_json) {
  std::mt19937 random(7);
  const GrammarPtr grammar = grammar_of_json_object(TextStart::kAtOnce);
  int complete = 0;
  for (int i = 0; i < 300; ++i) {
    const auto text = random_text(grammar, random);
    if (!text) continue;
    ++complete;
    const auto parsed = parse_json(*text, {.depth_max = 400});
    EXPECT_TRUE(parsed) << *text << "\n" << parsed.error().message;
  }
  EXPECT_GT(complete, 100);
}

// The published JSON parsing cases: whatever must be refused is refused.
TEST(Grammar, published_broken_json_is_refused) {
  const auto folder = cove::testing::testdata_root() / "json/JSONTestSuite/test_parsing";
  COVE_REQUIRE_TESTDATA(folder);
  const GrammarPtr any = of_schema("true");
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("n_")) continue;
    const auto text = read_file(entry.path(), size_t{1} << 20);
    ASSERT_TRUE(text) << name;
    EXPECT_FALSE(accepts(any, *text)) << name;
    ++seen;
  }
  EXPECT_GT(seen, 100);
}

// The official suite: whatever a compiled schema gives must be valid; schemas that cannot be kept are refused.
TEST(Grammar, official_suite_nothing_invalid_is_accepted) {
  const auto folder = cove::testing::testdata_root() / "json/JSON-Schema-Test-Suite/draft2020-12";
  COVE_REQUIRE_TESTDATA(folder);
  int refused = 0;
  int invalid = 0;
  int valid = 0;
  int valid_accepted = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() || name == "oneOf.json") continue;  // oneOf is taken as anyOf, as documented
    const auto cases = parse_json(*read_file(entry.path(), size_t{1} << 22));
    ASSERT_TRUE(cases) << name;
    for (const json::value& group : cases->as_array()) {
      const auto grammar = grammar_of_schema(group.at("schema"), TextStart::kAtOnce);
      if (!grammar) {
        EXPECT_TRUE(grammar.error().message.starts_with('#')) << grammar.error().message;
        ++refused;
        continue;
      }
      for (const json::value& test : group.at("tests").as_array()) {
        const std::string text = json::serialize(test.at("data"));
        const bool accepted = accepts(*grammar, text);
        if (test.at("valid").as_bool()) {
          ++valid;
          valid_accepted += accepted ? 1 : 0;
        } else {
          ++invalid;
          EXPECT_FALSE(accepted) << name << " " << group.at("description") << ": " << text;
        }
      }
    }
  }
  EXPECT_GT(invalid, 150);
  RecordProperty("schemas_refused", refused);
  std::printf("%d schemas refused; %d invalid texts refused; %d of %d valid texts accepted\n", refused, invalid,
              valid_accepted, valid);
}

TEST(Grammar, objects_follow_their_schema) {
  const GrammarPtr grammar =
      of_schema(R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"},
      "tags":{"type":"array","items":{"enum":["a","b"]},"maxItems":2}},"required":["name","age"],"additionalProperties":false})");
  EXPECT_TRUE(accepts(grammar, R"({"name":"x","age":3})"));
  EXPECT_TRUE(accepts(grammar, R"({"name": "x", "age": -3, "tags": ["a", "b"]})"));
  EXPECT_FALSE(accepts(grammar, R"({"name":"x"})"));
  EXPECT_FALSE(accepts(grammar, R"({"age":3,"name":"x"})"));
  EXPECT_FALSE(accepts(grammar, R"({"name":"x","age":3.5})"));
  EXPECT_FALSE(accepts(grammar, R"({"name":"x","age":3,"tags":["a","b","a"]})"));
  EXPECT_FALSE(accepts(grammar, R"({"name":"x","age":3,"more":1})"));
}

TEST(Grammar, additional_members_never_repeat_a_described_one) {
  const GrammarPtr grammar =
      of_schema(R"({"properties":{"ab":{"type":"null"},"abc":true},"additionalProperties":{"type":"integer"}})");
  EXPECT_TRUE(accepts(grammar, R"({"a":1,"abd":2,"b":3,"":4,"abcd":5})"));
  EXPECT_TRUE(accepts(grammar, R"({"ab":null,"x":1})"));
  EXPECT_FALSE(accepts(grammar, R"({"x":1,"ab":2})"));
  EXPECT_FALSE(accepts(grammar, R"({"abc":1,"abc":2})"));
  EXPECT_FALSE(accepts(grammar, R"({"x":"text"})"));
}

TEST(Grammar, recursion_and_references_work) {
  const GrammarPtr tree = of_schema(
      R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"]}}})");
  EXPECT_TRUE(accepts(tree, R"({"v":1,"next":{"v":2,"next":null}})"));
  EXPECT_FALSE(accepts(tree, R"({"v":1,"next":{"v":2}})"));
}

TEST(Grammar, whole_number_bounds_are_exact) {
  for (const auto& [low, high] : std::vector<std::pair<int, int>>{
           {0, 0}, {0, 9}, {5, 123}, {-7, 12}, {-120, -8}, {99, 1000}, {-1, 1}, {10, 10}, {-10, -10}, {888, 912}}) {
    const GrammarPtr grammar = of_schema(fmt::format(R"({{"type":"integer","minimum":{},"maximum":{}}})", low, high));
    for (int i = -1300; i <= 1300; ++i)
      EXPECT_EQ(accepts(grammar, std::to_string(i)), low <= i && i <= high) << low << ".." << high << ": " << i;
    EXPECT_FALSE(accepts(grammar, "007"));
    EXPECT_FALSE(accepts(grammar, "-0") && low > 0);
  }
  const GrammarPtr open = of_schema(R"({"type":"integer","exclusiveMinimum":99})");
  EXPECT_FALSE(accepts(open, "99"));
  EXPECT_TRUE(accepts(open, "100"));
  EXPECT_TRUE(accepts(open, "123456789012345678901234567890"));
  EXPECT_TRUE(accepts(of_schema(R"({"type":"integer","maximum":-5})"), "-1000"));
  EXPECT_FALSE(accepts(of_schema(R"({"type":"integer","maximum":-5})"), "-4"));
}

TEST(Grammar, number_bounds_are_exact) {
  std::mt19937 random(3);
  const std::vector<std::string> bounds = {R"("minimum":0,"maximum":1)",
                                           R"("exclusiveMinimum":0,"exclusiveMaximum":1)",
                                           R"("minimum":-2,"maximum":3)",
                                           R"("exclusiveMinimum":-13,"maximum":-2)",
                                           R"("minimum":9,"exclusiveMaximum":11)",
                                           R"("minimum":7)",
                                           R"("exclusiveMaximum":-3)"};
  for (const std::string& bound : bounds) {
    const std::string schema = R"({"type":"number",)" + bound + "}";
    const GrammarPtr grammar = of_schema(schema);
    const auto value = *parse_json("{" + bound + "}");
    const auto limit = [&](const char* key) { return find_member(value, key); };
    for (int i = 0; i < 4000; ++i) {
      const int scaled = static_cast<int>(random() % 3200) - 1600;
      const std::string text = scaled % 100 == 0 ? std::to_string(scaled / 100) : fmt::format("{:.2f}", scaled / 100.0);
      bool inside = true;
      if (limit("minimum")) inside &= scaled >= limit("minimum")->to_number<int>() * 100;
      if (limit("maximum")) inside &= scaled <= limit("maximum")->to_number<int>() * 100;
      if (limit("exclusiveMinimum")) inside &= scaled > limit("exclusiveMinimum")->to_number<int>() * 100;
      if (limit("exclusiveMaximum")) inside &= scaled < limit("exclusiveMaximum")->to_number<int>() * 100;
      EXPECT_EQ(accepts(grammar, text), inside) << schema << " " << text;
    }
  }
}

TEST(Grammar, regular_expressions_match_what_pcre2_matches) {
  const std::vector<std::string> patterns = {"a|bc",      "(ab)*c",      "[a-c]{2,3}", "a+b?",     "(a|b)(c|d){2}",
                                             "[^ab]",     "a{0,2}b{1,}", "(a(b|c)*)+", "\\d+-\\w", "a.c",
                                             "(?:ab|c)?", "[a\\-c]+",    "[\\d_]x",    "a{3}",     "\\.|\\\\"};
  std::mt19937 random(11);
  constexpr std::string_view kLetters = "aabbccd1_-.\\x 9";
  for (const std::string& pattern : patterns) {
    auto grammar = grammar_of_regex(pattern, TextStart::kAtOnce);
    ASSERT_TRUE(grammar) << grammar.error().message;
    const auto expected = Regex::compile("\\A(?:" + pattern + ")\\z");
    ASSERT_TRUE(expected) << expected.error().message;
    for (int i = 0; i < 2000; ++i) {
      std::string text;
      for (size_t n = random() % 7; n > 0; --n) text += kLetters[random() % kLetters.size()];
      EXPECT_EQ(accepts(*grammar, text), expected->find(text, 0)->has_value()) << pattern << " on '" << text << "'";
    }
  }
}

TEST(Grammar, patterns_inside_json_strings_escape_what_json_must_escape) {
  EXPECT_TRUE(accepts(of_schema(R"({"type":"string","pattern":"^a\"b$"})"), R"("a\"b")"));
  EXPECT_TRUE(accepts(of_schema(R"({"type":"string","pattern":"^\\s$"})"), R"("\n")"));
  EXPECT_FALSE(accepts(of_schema(R"({"type":"string","pattern":"^\\s$"})"), "\"\n\""));
  EXPECT_TRUE(accepts(of_schema(R"({"type":"string","pattern":"b"})"), R"("abc")"));
  EXPECT_TRUE(accepts(of_schema(R"({"type":"string","pattern":"^[一-龥]{2,4}$"})"), R"("深度求索")"));
  EXPECT_FALSE(accepts(of_schema(R"({"type":"string","pattern":"^[一-龥]{2,4}$"})"), R"("深")"));
  EXPECT_TRUE(accepts(of_schema(R"({"type":"string","format":"date"})"), R"("2026-11-25")"));
  EXPECT_FALSE(accepts(of_schema(R"({"type":"string","format":"date"})"), R"("2026-11-31")"));
  EXPECT_TRUE(accepts(of_schema(R"({"type":"string","minLength":2,"maxLength":3})"), R"("é😀")"));
  EXPECT_FALSE(accepts(of_schema(R"({"type":"string","minLength":2,"maxLength":3})"), R"("abcd")"));
}

TEST(Grammar, refusals_name_the_place_and_the_reason) {
  EXPECT_EQ(refusal(R"({"properties":{"a":{"multipleOf":3}}})"),
            "#/properties/a: the keyword 'multipleOf' is not supported");
  EXPECT_THAT(refusal(R"({"$ref":"https://example.com/x"})"),
              ::testing::HasSubstr("only references within the schema"));
  EXPECT_THAT(refusal(R"({"$ref":"#/$defs/x"})"), ::testing::HasSubstr("leads nowhere"));
  EXPECT_THAT(refusal(R"({"anyOf":[{"$ref":"#"}]})"), ::testing::HasSubstr("refers to itself"));
  EXPECT_THAT(refusal(R"x({"type":"string","pattern":"(?=a)"})x"), ::testing::HasSubstr("look-ahead"));
  EXPECT_THAT(refusal(R"({"type":"number","minimum":0.5})"), ::testing::HasSubstr("whole numbers"));
  EXPECT_THAT(refusal(R"({"type":"strange"})"), ::testing::HasSubstr("'strange' is no JSON type"));
  EXPECT_THAT(
      refusal(R"({"type":"array","items":{"type":"string","minLength":10000},"minItems":10000,"maxItems":20000})"),
      ::testing::HasSubstr("10000 at most"));
}

// One token per byte, and some longer ones; 300 is a control token.
class TinyTokenizer final : public Tokenizer {
 public:
  TinyTokenizer() {
    for (int byte = 0; byte < 256; ++byte) tokens_.push_back(std::string(1, static_cast<char>(byte)));
    for (const char* text : {"{\"", "\":", "true", "tru", "trust", "\"}", "\"a\"", "深", "\xE6\xB7", "{\"a\":true}"})
      tokens_.emplace_back(text);
  }
  Result<std::vector<int32_t>> encode(std::string_view, const EncodeOptions&) const override {
    return std::vector<int32_t>();
  }
  std::string_view token_bytes(int32_t id) const override {
    return id >= 0 && static_cast<size_t>(id) < tokens_.size() ? tokens_[static_cast<size_t>(id)] : std::string_view();
  }
  bool is_control(int32_t id) const override { return id == 0; }
  std::optional<int32_t> find_token(std::string_view) const override { return std::nullopt; }
  int32_t vocab_size() const override { return static_cast<int32_t>(tokens_.size()); }
  std::optional<int32_t> bos_id() const override { return std::nullopt; }
  std::optional<int32_t> eos_id() const override { return std::nullopt; }

 private:
  std::vector<std::string> tokens_;
};

TEST(TokenMasks, allow_exactly_the_tokens_whose_bytes_the_grammar_takes) {
  const TinyTokenizer tokenizer;
  const auto vocabulary = std::make_shared<const SortedVocabulary>(tokenizer);
  std::mt19937 random(5);
  for (const char* schema :
       {R"({"properties":{"a":{"type":"boolean"}},"required":["a"]})", "true", R"({"type":"string"})"}) {
    const GrammarPtr grammar = of_schema(schema);
    GrammarMatcher matcher(grammar, vocabulary);
    Automaton slow(grammar);
    Automaton::Node node = slow.start();
    for (int step = 0; step < 40; ++step) {
      const std::span<const uint32_t> mask = matcher.allowed();
      std::vector<int32_t> possible;
      for (int32_t token = 0; token < tokenizer.vocab_size(); ++token) {
        const bool allowed = (mask[static_cast<size_t>(token) / 32] >> (token % 32) & 1U) != 0;
        const bool expected = token != 0 && slow.advance(node, tokenizer.token_bytes(token)) != Automaton::kDead;
        ASSERT_EQ(allowed, expected) << schema << " step " << step << " token " << token;
        if (allowed) possible.push_back(token);
      }
      EXPECT_EQ(matcher.complete(), slow.accepting(node));
      if (possible.empty()) break;
      const int32_t token = possible[random() % possible.size()];
      matcher.accept(token);
      node = slow.advance(node, tokenizer.token_bytes(token));
    }
  }
}

}  // namespace
}  // namespace cove::text::grammar

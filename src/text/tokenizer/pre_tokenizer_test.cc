#include "text/tokenizer/pre_tokenizer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace cove::text {
namespace {

using Pieces = std::vector<std::string>;

Pieces pieces_of(const PreTokenizer& pre, std::string_view text) {
  Pieces pieces;
  const Status status = pre.split(text, [&](std::string_view piece) { pieces.emplace_back(piece); });
  EXPECT_TRUE(status);
  return pieces;
}

Result<PreTokenizer> from_text(std::string_view declaration) {
  return PreTokenizer::from_json(parse_json(declaration).value());
}

Pieces split_json(std::string_view declaration, std::string_view text) {
  const auto pre = from_text(declaration);
  EXPECT_TRUE(pre) << pre.error().message;
  return pre ? pieces_of(*pre, text) : Pieces();
}

std::string sequence(std::string_view stage) {
  return fmt::format(
      R"({{"type":"Sequence","pretokenizers":[{},{{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}}]}})",
      stage);
}

std::string split_stage(std::string_view pattern, std::string_view behavior, std::string_view invert = "false") {
  return sequence(
      fmt::format(R"({{"type":"Split","pattern":{},"behavior":"{}","invert":{}}})", pattern, behavior, invert));
}

TEST(PreTokenizer, splits_as_qwen2_declares) {
  const Pieces expected = {"Hello", ",", " world", "!", " I", "'M", " ", "1", "2", "3", "\n\n", " ", " 你好", "。"};
  EXPECT_EQ(pieces_of(PreTokenizer::qwen2(), "Hello, world! I'M 123\n\n  你好。"), expected);
}

TEST(PreTokenizer, groups_digits_as_llama3_and_deepseek_declare) {
  EXPECT_EQ(pieces_of(PreTokenizer::llama3(), "12345"), (Pieces{"123", "45"}));
  EXPECT_EQ(pieces_of(PreTokenizer::deepseek_v3(), "12345中文x"), (Pieces{"123", "45", "中文", "x"}));
}

TEST(PreTokenizer, gives_nothing_for_an_empty_text) {
  for (const PreTokenizer& pre : {PreTokenizer::qwen2(), PreTokenizer::deepseek_v3(),
                                  from_text(split_stage(R"({"String":"x"})", "Isolated")).value()}) {
    EXPECT_TRUE(pieces_of(pre, "").empty());
  }
}

TEST(PreTokenizer, follows_every_split_behavior) {
  const char* text = "the-final--countdown";
  const char* dash = R"({"String":"-"})";
  EXPECT_EQ(split_json(split_stage(dash, "Isolated"), text), (Pieces{"the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(split_json(split_stage(dash, "Removed"), text), (Pieces{"the", "final", "countdown"}));
  EXPECT_EQ(split_json(split_stage(dash, "MergedWithPrevious"), text), (Pieces{"the-", "final-", "-", "countdown"}));
  EXPECT_EQ(split_json(split_stage(dash, "MergedWithNext"), text), (Pieces{"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(split_json(split_stage(dash, "Contiguous"), text), (Pieces{"the", "-", "final", "--", "countdown"}));
}

TEST(PreTokenizer, inverts_a_pattern) {
  EXPECT_EQ(split_json(split_stage(R"({"Regex":"\\p{L}+"})", "Removed", "true"), "ab 12 cd"), (Pieces{"ab", "cd"}));
}

TEST(PreTokenizer, takes_a_string_pattern_literally) {
  EXPECT_EQ(split_json(split_stage(R"({"String":".+"})", "Isolated"), "a.+b"), (Pieces{"a", ".+", "b"}));
}

TEST(PreTokenizer, splits_digits_one_by_one_or_together) {
  EXPECT_EQ(split_json(sequence(R"({"type":"Digits","individual_digits":true})"), "a12b"),
            (Pieces{"a", "1", "2", "b"}));
  EXPECT_EQ(split_json(sequence(R"({"type":"Digits","individual_digits":false})"), "a12b"), (Pieces{"a", "12", "b"}));
}

TEST(PreTokenizer, puts_a_space_in_front_when_declared) {
  const char* declaration = R"({"type":"ByteLevel","add_prefix_space":true,"use_regex":true})";
  EXPECT_EQ(split_json(declaration, "Hi you"), (Pieces{" Hi", " you"}));
  EXPECT_EQ(split_json(declaration, " Hi"), (Pieces{" Hi"}));
}

TEST(PreTokenizer, cuts_at_empty_matches) {
  EXPECT_EQ(split_json(split_stage(R"x({"Regex":"(?=[A-Z])"})x", "Isolated"), "oneTwoThree"),
            (Pieces{"one", "Two", "Three"}));
}

TEST(PreTokenizer, knows_ggufs_names) {
  EXPECT_EQ(pieces_of(PreTokenizer::from_gguf_name("deepseek-r1-qwen").value(), "12 ab"), (Pieces{"1", "2", " ab"}));
  EXPECT_EQ(pieces_of(PreTokenizer::from_gguf_name("llama-bpe").value(), "12 ab"), (Pieces{"12", " ab"}));
  EXPECT_EQ(pieces_of(PreTokenizer::from_gguf_name("deepseek-llm").value(), "ab  \ncd中文 "),
            (Pieces{"ab", "  ", "\n", "cd", "中文", " "}));
  EXPECT_EQ(pieces_of(PreTokenizer::from_gguf_name("starcoder").value(), "a12"), (Pieces{"a", "1", "2"}));
  EXPECT_EQ(pieces_of(PreTokenizer::from_gguf_name("falcon").value(), "a12345?!"), (Pieces{"a", "123", "45", "?!"}));
}

TEST(PreTokenizer, refuses_unknown_gguf_names_by_name) {
  const auto pre = PreTokenizer::from_gguf_name("some-new-one");
  ASSERT_FALSE(pre);
  EXPECT_EQ(pre.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(pre.error().message.find("'some-new-one'"), std::string::npos);
}

TEST(PreTokenizer, takes_linear_time_where_deepseek_llms_pattern_would_not) {
  const std::string spaces(1 << 20, ' ');
  size_t bytes = 0;
  const auto count = [&](std::string_view piece) { bytes += piece.size(); };
  ASSERT_TRUE(PreTokenizer::from_gguf_name("deepseek-llm").value().split(spaces + "中", count));
  EXPECT_EQ(bytes, spaces.size() + 3);
}

TEST(PreTokenizer, refuses_what_it_cannot_do) {
  const std::pair<std::string, const char*> cases[] = {
      {R"({"type":"Metaspace"})", "Metaspace"},
      {R"({"type":"Sequence","pretokenizers":[]})", "ByteLevel"},
      {R"({"type":"Sequence"})", "pretokenizers"},
      {R"({})", "type"},
      {R"([1,2])", "type"},
      {R"({"type":"ByteLevel","use_regex":1})", "use_regex"},
      {R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"Digits"}]})", "after ByteLevel"},
      {sequence(R"({"type":"Split"})"), "pattern"},
      {split_stage(R"({"Regex":""})", "Isolated"), "pattern"},
      {split_stage(R"({"Regex":"a"})", "Sideways"), "Sideways"},
      {split_stage(R"({"Regex":"(a"})", "Isolated"), "does not compile"},
      {split_stage(R"({"Regex":"[a[bc]]"})", "Isolated"), "inside another"},
      {split_stage(R"({"Regex":"[a&&b]"})", "Isolated"), "intersection"},
      {split_stage(R"({"Regex":"a{1,2}+"})", "Isolated"), "possessive"},
  };
  for (const auto& [declaration, part] : cases) {
    const auto pre = from_text(declaration);
    ASSERT_FALSE(pre) << declaration;
    EXPECT_NE(pre.error().message.find(part), std::string::npos) << pre.error().message;
  }
}

TEST(PreTokenizer, refuses_endless_nesting) {
  std::string declaration = R"({"type":"ByteLevel"})";
  for (int i = 0; i < 20; ++i) declaration = fmt::format(R"({{"type":"Sequence","pretokenizers":[{}]}})", declaration);
  EXPECT_FALSE(from_text(declaration));
}

TEST(Regex, reads_oniguruma_as_oniguruma_does) {
  EXPECT_EQ(translate_oniguruma(R"(\h\u00e9\p{L}+[^\r\n\p{N}])").value(), R"([0-9A-Fa-f]\x{00e9}\p{L}+[^\r\n\p{N}])");
  const Regex space = Regex::compile(R"(\s)").value();
  EXPECT_FALSE(space.find("\xE1\xA0\x8E", 0).value()) << "U+180E is no white space";
  EXPECT_TRUE(space.find("\xC2\x85", 0).value()) << "U+0085 is";
  EXPECT_EQ(Regex::compile("a$").value().find("a\nb", 0).value()->end, 1u) << "$ is the end of a line";
}

TEST(Regex, gives_up_on_patterns_that_explode) {
  const auto found = Regex::compile("(a+)+(b|c+)+[xy]+$").value().find(std::string(64, 'a') + std::string(64, 'c'), 0);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace cove::text

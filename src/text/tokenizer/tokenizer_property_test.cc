// Properties of real tokenizers on awkward and on large texts.
#include <chrono>
#include <fstream>
#include <random>

#include <gtest/gtest.h>
#include <boost/json/array.hpp>
#include <boost/json/string.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"
#include "base/utf8.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::text {
namespace {

namespace fs = std::filesystem;

fs::path testdata(const char* path) { return cove::testing::testdata_root() / path; }

class RealTokenizers : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const fs::path path = testdata("tokenizers") / GetParam();
    COVE_REQUIRE_TESTDATA(path);
    auto opened = Tokenizer::from_path(path);
    ASSERT_TRUE(opened) << opened.error().message;
    tokenizer_ = std::move(*opened);
  }

  // Encoding then decoding gives the text back, in form C where the tokenizer normalizes.
  void expect_round_trip(std::string_view text, bool parse_special) const {
    const auto ids = tokenizer_->encode(text, {.parse_special = parse_special});
    ASSERT_TRUE(ids) << ids.error().message;
    const std::string back = tokenizer_->decode(*ids, false);
    if (back == text) return;
    std::string buffer;
    EXPECT_EQ(back, normalize_nfc(text, buffer));
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(RealTokenizers, give_awkward_strings_back) {
  COVE_REQUIRE_TESTDATA(testdata("text/blns.json"));
  const json::value strings = parse_json(read_file(testdata("text/blns.json")).value()).value();
  for (const json::value& string : strings.get_array()) {
    expect_round_trip(string.get_string(), true);
    expect_round_trip(string.get_string(), false);
  }
}

TEST_P(RealTokenizers, give_the_corpus_back) {
  COVE_REQUIRE_TESTDATA(testdata("corpus"));
  for (const auto& entry : fs::directory_iterator(testdata("corpus"))) {
    std::ifstream file(entry.path());
    std::string text(256 << 10, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(file.gcount()));
    text.resize(complete_utf8_prefix(text));
    expect_round_trip(text, true);
  }
}

TEST_P(RealTokenizers, give_every_character_back) {
  std::string text;
  for (char32_t c = 0; c < 0x32000; ++c) {
    if (c < 0xD800 || c >= 0xE000) append_utf8(text, c);
  }
  expect_round_trip(text, false);
}

TEST_P(RealTokenizers, take_linear_time_on_long_runs) {
  for (const char* unit : {"a", " ", "\n", "的", "<｜", "1", "\xCC\x81", "x \n"}) {
    std::string text;
    while (text.size() < (size_t{1} << 19)) text += unit;
    const auto start = std::chrono::steady_clock::now();
    ASSERT_TRUE(tokenizer_->encode(text));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    EXPECT_LT(seconds.count(), 20.0)
        << unit << ": generous, for sanitizers on a loaded machine; quadratic time would be minutes";
  }
}

TEST_P(RealTokenizers, stream_what_decode_gives_for_random_ids) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<int32_t> ids;
    std::string streamed;
    StreamingDetokenizer stream(*tokenizer_);
    for (size_t length = random() % 40; length > 0; --length) {
      // Half of them single bytes, which cut characters.
      const std::string byte(1, static_cast<char>(random() % 256));
      const auto any = static_cast<int32_t>(random() % static_cast<uint32_t>(tokenizer_->vocab_size()));
      ids.push_back(random() % 2 == 0 ? tokenizer_->find_token(byte).value_or(any) : any);
      const std::string piece = stream.push(ids.back());
      ASSERT_TRUE(is_valid_utf8(piece));
      streamed += piece;
    }
    streamed += stream.finish();
    ASSERT_EQ(streamed, tokenizer_->decode(ids, true)) << "round " << round << " of seed 5";
  }
}

INSTANTIATE_TEST_SUITE_P(Published, RealTokenizers,
                         ::testing::Values("deepseek-r1", "deepseek-r1-distill-qwen-assembled", "llama3",
                                           "deepseek-v4-reduced"));

TEST(Tokenizer, reads_deepseeks_ranks_file_as_its_tokenizer_json) {
  const fs::path folder = testdata("tokenizers/deepseek-v3");
  COVE_REQUIRE_TESTDATA(folder);
  COVE_REQUIRE_TESTDATA(testdata("tokenizers/vectors/deepseek-r1.dev.jsonl"));
  const auto published = Tokenizer::from_path(folder / "tokenizer.json").value();
  const auto ranks = Tokenizer::from_path(folder / "deepseek_v3.tiktoken").value();
  EXPECT_EQ(ranks->vocab_size(), published->vocab_size());
  for (int32_t id = 0; id < published->vocab_size(); ++id) {
    ASSERT_EQ(ranks->token_bytes(id), published->token_bytes(id)) << id;
    ASSERT_EQ(ranks->is_control(id), published->is_control(id)) << id;
  }
  std::ifstream file(testdata("tokenizers/vectors/deepseek-r1.dev.jsonl"));
  for (std::string line; std::getline(file, line);) {
    const json::value entry = parse_json(line).value();
    const std::string_view text = find_member(entry, "text")->get_string();
    EXPECT_EQ(ranks->encode(text).value(), published->encode(text).value()) << text.substr(0, 100);
  }
}

}  // namespace
}  // namespace cove::text

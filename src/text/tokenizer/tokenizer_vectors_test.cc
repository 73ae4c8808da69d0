// Token for token against what Hugging Face's tokenizers library and llama.cpp produced for the same texts.
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <boost/json/array.hpp>
#include <boost/json/string.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::text {
namespace {

namespace fs = std::filesystem;

fs::path tokenizers() { return cove::testing::testdata_root() / "tokenizers"; }

std::string shorten(std::string_view text) { return std::string(text.substr(0, 120)); }

struct VectorFile {
  const char* vectors;
  const char* tokenizer;
};

class Vectors : public ::testing::TestWithParam<VectorFile> {};

TEST_P(Vectors, are_reproduced_token_for_token) {
  const fs::path path = tokenizers() / "vectors" / GetParam().vectors;
  COVE_REQUIRE_TESTDATA(path);
  auto tokenizer = Tokenizer::from_path(tokenizers() / GetParam().tokenizer);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  std::ifstream file(path);
  std::string line;
  int texts = 0;
  while (std::getline(file, line)) {
    const json::value entry = parse_json(line).value();
    const std::string_view text = find_member(entry, "text")->get_string();
    std::vector<int32_t> expected;
    for (const json::value& id : find_member(entry, "ids")->get_array())
      expected.push_back(static_cast<int32_t>(id.get_int64()));
    const auto ids = (*tokenizer)->encode(text);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(*ids, expected) << shorten(text);
    if (const json::value* decoded = find_member(entry, "decoded")) {
      EXPECT_EQ((*tokenizer)->decode(expected, false), std::string_view(decoded->get_string())) << shorten(text);
    } else {
      EXPECT_EQ((*tokenizer)->decode(expected, false), text);
    }
    if (const json::value* decoded = find_member(entry, "decoded_skip_special")) {
      EXPECT_EQ((*tokenizer)->decode(expected, true), std::string_view(decoded->get_string())) << shorten(text);
    }
    ++texts;
  }
  EXPECT_EQ(texts, 683);
}

INSTANTIATE_TEST_SUITE_P(Published, Vectors,
                         ::testing::Values(VectorFile{"deepseek-r1.dev.jsonl", "deepseek-r1"},
                                           VectorFile{"deepseek-r1-distill-qwen.dev.jsonl",
                                                      "deepseek-r1-distill-qwen-assembled"},
                                           VectorFile{"qwen2.5.dev.jsonl", "qwen2.5/tokenizer.assembled.json"},
                                           VectorFile{"qwen2.5.dev.jsonl", "qwen2.5"}));

// The tokenizer metadata of a GGUF file, read in the plainest way; src/tensor/io has the real reader.
class GgufMetadata {
 public:
  explicit GgufMetadata(const fs::path& path) : bytes_(read_file(path).value()) {
    at_ = 16;
    const auto pairs = number<uint64_t>();
    for (uint64_t i = 0; i < pairs; ++i) {
      const std::string key = text();
      read_value(key, number<uint32_t>());
    }
  }
  GgufVocab vocab;

 private:
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string text() {
    const auto length = number<uint64_t>();
    at_ += length;
    return bytes_.substr(at_ - length, length);
  }
  void read_value(const std::string& key, uint32_t type) {
    static constexpr size_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == 9) {
      read_array(key);
    } else if (type == 8) {
      const std::string value = text();
      if (key == "tokenizer.ggml.model") vocab.model = value;
      if (key == "tokenizer.ggml.pre") vocab.pre = value;
    } else {
      int32_t value = 0;
      std::memcpy(&value, bytes_.data() + at_, std::min<size_t>(4, kSizes[type]));
      at_ += kSizes[type];
      if (key == "tokenizer.ggml.bos_token_id") vocab.bos_id = value;
      if (key == "tokenizer.ggml.eos_token_id") vocab.eos_id = value;
      if (key == "tokenizer.ggml.add_bos_token") vocab.add_bos = value != 0;
    }
  }
  void read_array(const std::string& key) {
    const auto type = number<uint32_t>();
    const auto count = number<uint64_t>();
    for (uint64_t i = 0; i < count; ++i) {
      if (type == 8) {
        std::string value = text();
        if (key == "tokenizer.ggml.tokens") vocab.tokens.push_back(std::move(value));
        if (key == "tokenizer.ggml.merges") vocab.merges.push_back(std::move(value));
      } else {
        const auto value = number<int32_t>();  // the vocabularies hold int32 and float32 arrays only
        if (key == "tokenizer.ggml.token_type") vocab.token_types.push_back(value);
      }
    }
  }
  std::string bytes_;
  size_t at_ = 0;
};

fs::path ggml_vocab(const std::string& name) {
  return tokenizers() / "ggml-vocab" / "llama.cpp" / ("ggml-vocab-" + name);
}

void expect_llama_cpp_vectors(const Tokenizer& tokenizer, const std::string& name) {
  const std::string input = read_file(ggml_vocab(name + ".gguf.inp")).value();
  std::istringstream output(read_file(ggml_vocab(name + ".gguf.out")).value());
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::string line;
  size_t begin = 0;
  while (begin < input.size() && std::getline(output, line)) {
    const size_t end = std::min(input.find(separator, begin), input.size());
    const std::string text = input.substr(begin, end - begin);
    begin = end + separator.size();
    std::istringstream numbers(line);
    const std::vector<int32_t> expected{std::istream_iterator<int32_t>(numbers), {}};
    EXPECT_EQ(tokenizer.encode(text).value(), expected) << name << ": " << text;
  }
  EXPECT_GE(begin, input.size()) << name << ": more texts than results";
}

class GgufVectors : public ::testing::TestWithParam<const char*> {};

TEST_P(GgufVectors, are_reproduced_token_for_token) {
  COVE_REQUIRE_TESTDATA(ggml_vocab(std::string(GetParam()) + ".gguf"));
  auto tokenizer = Tokenizer::from_gguf(GgufMetadata(ggml_vocab(std::string(GetParam()) + ".gguf")).vocab);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  expect_llama_cpp_vectors(**tokenizer, GetParam());
}

INSTANTIATE_TEST_SUITE_P(LlamaCpp, GgufVectors, ::testing::Values("gpt-2", "deepseek-coder", "deepseek-llm"));

struct OtherForm {
  const char* vectors;
  const char* tokenizer;
};

class OtherForms : public ::testing::TestWithParam<OtherForm> {};

TEST_P(OtherForms, give_llama_cpps_tokens) {
  const fs::path path = tokenizers() / GetParam().tokenizer;
  COVE_REQUIRE_TESTDATA(path);
  auto tokenizer = Tokenizer::from_path(path);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  expect_llama_cpp_vectors(**tokenizer, GetParam().vectors);
}

INSTANTIATE_TEST_SUITE_P(LlamaCpp, OtherForms,
                         ::testing::Values(OtherForm{"llama-bpe", "llama3"}, OtherForm{"qwen2", "qwen2.5"},
                                           OtherForm{"deepseek-r1-qwen", "deepseek-r1-distill-qwen-assembled"}));

class OtherVocabularies : public ::testing::TestWithParam<const char*> {};

TEST_P(OtherVocabularies, are_refused_by_name) {
  const fs::path path = ggml_vocab(std::string(GetParam()) + ".gguf");
  COVE_REQUIRE_TESTDATA(path);
  const GgufMetadata metadata(path);
  const auto tokenizer = Tokenizer::from_gguf(metadata.vocab);
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(tokenizer.error().message.find("'" + metadata.vocab.model + "'"), std::string::npos)
      << tokenizer.error().message;
}

INSTANTIATE_TEST_SUITE_P(LlamaCpp, OtherVocabularies, ::testing::Values("llama-spm", "phi-3", "bert-bge"));

}  // namespace
}  // namespace cove::text

// Whole tokenizers: a small one made here, in every published form, and what must be refused.
#include "text/tokenizer/tokenizer.h"

#include <fstream>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "text/tokenizer/byte_alphabet.h"

namespace cove::text {
namespace {

namespace fs = std::filesystem;

// 256 bytes, "he" 256, "hel" 257, "lo" 258, " w" 259, "é" 260; added: <s> 261 control, <think> 262, "word" 263.
json::object small_tokenizer() {
  json::object vocab;
  for (int byte = 0; byte < 256; ++byte) vocab[to_byte_alphabet(std::string(1, static_cast<char>(byte)))] = byte;
  int64_t next = 256;
  for (const char* token : {"he", "hel", "lo", " w", "é"}) vocab[to_byte_alphabet(token)] = next++;
  const auto added = [](const char* content, int id, bool special) {
    return json::object{{"content", content}, {"id", id}, {"special", special}, {"normalized", false}};
  };
  json::object root;
  root["added_tokens"] = json::array{added("<s>", 261, true), added("<think>", 262, false), added("word", 263, false)};
  root["normalizer"] = json::object{{"type", "NFC"}};
  root["pre_tokenizer"] = json::object{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  root["post_processor"] = parse_json(R"({"type":"TemplateProcessing",
      "single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
      "special_tokens":{"<s>":{"id":"<s>","ids":[261],"tokens":["<s>"]}}})")
                               .value();
  root["decoder"] = json::object{{"type", "ByteLevel"}};
  root["model"] = json::object{{"type", "BPE"},
                               {"vocab", vocab},
                               {"merges", json::array{"h e", "he l", "l o", to_byte_alphabet(" ") + " w",
                                                      to_byte_alphabet("\xC3") + " " + to_byte_alphabet("\xA9")}}};
  return root;
}

Result<std::unique_ptr<Tokenizer>> make(const json::object& root, std::string_view config = {}) {
  return Tokenizer::from_json(json::serialize(root), config);
}

std::unique_ptr<Tokenizer> make_small() { return make(small_tokenizer()).value(); }

using Ids = std::vector<int32_t>;

TEST(Tokenizer, encodes_and_decodes) {
  const auto tokenizer = make_small();
  const Ids ids = tokenizer->encode("hello w").value();
  EXPECT_EQ(ids, (Ids{257, 258, 259}));
  EXPECT_EQ(tokenizer->decode(ids, false), "hello w");
  EXPECT_EQ(tokenizer->encode("").value(), Ids{});
  EXPECT_EQ(tokenizer->decode(Ids{}, false), "");
}

TEST(Tokenizer, normalizes_where_declared) { EXPECT_EQ(make_small()->encode("e\u0301").value(), (Ids{260})); }

TEST(Tokenizer, parses_special_tokens_only_when_asked) {
  const auto tokenizer = make_small();
  EXPECT_EQ(tokenizer->encode("<s>he<think>").value(), (Ids{261, 256, 262}));
  const Ids literal = tokenizer->encode("<s>he<think>", {.parse_special = false}).value();
  EXPECT_EQ(literal, (Ids{'<', 's', '>', 256, '<', 't', 'h', 'i', 'n', 'k', '>'}));
  EXPECT_EQ(tokenizer->decode(literal, false), "<s>he<think>");
}

TEST(Tokenizer, adds_what_the_post_processor_declares_only_when_asked) {
  const auto tokenizer = make_small();
  EXPECT_EQ(tokenizer->encode("he").value(), (Ids{256}));
  EXPECT_EQ(tokenizer->encode("he", {.add_special = true}).value(), (Ids{261, 256}));
}

TEST(Tokenizer, adds_bos_that_only_the_config_declares) {
  json::object root = small_tokenizer();
  root["post_processor"] = json::object{{"type", "ByteLevel"}};
  const char* config =
      R"({"bos_token":{"content":"<s>"},"eos_token":"word","add_bos_token":true,"add_eos_token":true})";
  const auto tokenizer = make(root, config).value();
  EXPECT_EQ(tokenizer->bos_id(), 261);
  EXPECT_EQ(tokenizer->eos_id(), 263);
  EXPECT_EQ(tokenizer->encode("he", {.add_special = true}).value(), (Ids{261, 256, 263}));
}

TEST(Tokenizer, takes_tokens_that_only_the_config_lists) {
  const char* config =
      R"({"added_tokens_decoder":{"261":{"content":"<s>","special":true},"264":{"content":"<x>","special":true}}})";
  const auto tokenizer = make(small_tokenizer(), config).value();
  EXPECT_EQ(tokenizer->encode("<x>").value(), (Ids{264}));
  EXPECT_TRUE(tokenizer->is_control(264));
}

TEST(Tokenizer, tells_about_its_tokens) {
  const auto tokenizer = make_small();
  EXPECT_EQ(tokenizer->vocab_size(), 264);
  EXPECT_EQ(tokenizer->token_bytes(259), " w");
  EXPECT_EQ(tokenizer->token_bytes(0xE9), "\xE9");
  EXPECT_EQ(tokenizer->token_bytes(262), "<think>");
  for (const int32_t id : {-1, 264, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(tokenizer->token_bytes(id), "");
    EXPECT_FALSE(tokenizer->is_control(id));
  }
  EXPECT_TRUE(tokenizer->is_control(261));
  EXPECT_FALSE(tokenizer->is_control(262)) << "<think> is text to parse";
  EXPECT_EQ(tokenizer->find_token("<think>"), 262);
  EXPECT_EQ(tokenizer->find_token("hel"), 257);
  EXPECT_EQ(tokenizer->find_token("nothing"), std::nullopt);
  EXPECT_EQ(tokenizer->bos_id(), 261) << "known by its usual name";
}

TEST(Tokenizer, names_the_place_of_ill_formed_utf8) {
  const auto ids = make_small()->encode("abc\xFFz");
  ASSERT_FALSE(ids);
  EXPECT_EQ(ids.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(ids.error().message.find("byte 3"), std::string::npos);
}

TEST(Tokenizer, decodes_broken_sequences_as_replacement_characters_and_skips_control_tokens) {
  const auto tokenizer = make_small();
  EXPECT_EQ(tokenizer->decode(Ids{'a', 0xE4, 'b', 9999}, false), "a\uFFFDb");
  EXPECT_EQ(tokenizer->decode(Ids{261, 'a', 262}, true), "a<think>");
  EXPECT_EQ(tokenizer->decode(Ids{261, 'a', 262}, false), "<s>a<think>");
}

TEST(StreamingDetokenizer, waits_for_whole_characters) {
  const auto tokenizer = make_small();
  StreamingDetokenizer stream(*tokenizer);
  EXPECT_EQ(stream.push('a'), "a");
  EXPECT_EQ(stream.push(0xE4), "");
  EXPECT_EQ(stream.push(261), "") << "a control token in between gives nothing";
  EXPECT_EQ(stream.push(0xB8), "");
  EXPECT_EQ(stream.push(0xAD), "中");
  EXPECT_EQ(stream.push(0xF0), "");
  EXPECT_EQ(stream.push('x'), "\uFFFDx");
  EXPECT_EQ(stream.push(0xC3), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamingDetokenizer, gives_what_decode_gives_for_random_ids) {
  const auto tokenizer = make_small();
  std::mt19937 random(11);
  for (int round = 0; round < 3000; ++round) {
    Ids ids;
    std::string streamed;
    StreamingDetokenizer stream(*tokenizer);
    for (size_t length = random() % 24; length > 0; --length) {
      // Bytes of multi-byte characters mostly, so that whole, cut and broken ones all occur.
      const bool any = random() % 4 == 0;
      ids.push_back(static_cast<int32_t>(any ? random() % 270 : 0x80 + random() % 0x80));
      const std::string piece = stream.push(ids.back());
      ASSERT_TRUE(is_valid_utf8(piece));
      streamed += piece;
    }
    streamed += stream.finish();
    ASSERT_EQ(streamed, tokenizer->decode(ids, true)) << "round " << round << " of seed 11";
  }
}

json::object with(std::string_view path, json::value value) {
  json::object root = small_tokenizer();
  json::object* object = &root;
  for (size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.')) {
    object = &(*object)[path.substr(0, dot)].as_object();
    path.remove_prefix(dot + 1);
  }
  (*object)[path] = std::move(value);
  return root;
}

TEST(Tokenizer, refuses_damaged_and_foreign_files_with_the_reason) {
  const std::pair<json::object, const char*> cases[] = {
      {with("model", nullptr), "'model'"},
      {with("model.type", "WordPiece"), "WordPiece"},
      {with("model.byte_fallback", true), "byte_fallback"},
      {with("model.dropout", 0.5), "dropout"},
      {with("model.end_of_word_suffix", "</w>"), "end_of_word_suffix"},
      {with("model.vocab", json::array{}), "'vocab'"},
      {with("model.vocab", json::object{}), "empty"},
      {with("model.vocab.zz", -1), "'zz'"},
      {with("model.vocab.zz", 1e18), "'zz'"},
      {with("model.vocab.zz", int64_t{1} << 40), "'zz'"},
      {with("model.vocab.zz", "5"), "'zz'"},
      {with("model.vocab.zz", 5), "twice"},
      {with("model.merges", "h e"), "'merges'"},
      {with("model.merges", json::array{"he"}), "merge 0"},
      {with("model.merges", json::array{"h "}), "merge 0"},
      {with("model.merges", json::array{"h e", 7}), "merge 1"},
      {with("model.merges", json::array{json::array{"h"}}), "merge 0"},
      {with("model.merges", json::array{"h z"}), "not in the vocabulary"},
      {with("model.merges", json::array{"<｜ ｜>"}), "byte alphabet"},
      {with("normalizer", json::object{{"type", "Lowercase"}}), "Lowercase"},
      {with("pre_tokenizer", nullptr), "pre_tokenizer"},
      {with("pre_tokenizer", json::object{{"type", "Whitespace"}}), "Whitespace"},
      {with("post_processor", json::object{{"type", "Unheard"}}), "Unheard"},
      {with("post_processor.special_tokens", json::object{}), "not declared"},
      {with("decoder", json::object{{"type", "WordPiece"}}), "WordPiece"},
      {with("added_tokens", 3), "added_tokens"},
      {with("added_tokens", json::array{json::object{{"id", 300}}}), "content"},
      {with("added_tokens", json::array{json::object{{"content", "<x>"}, {"id", -4}}}), "<x>"},
      {with("added_tokens", json::array{json::object{{"content", "<x>"}, {"id", int64_t{1} << 30}}}), "<x>"},
      {with("added_tokens", json::array{json::object{{"content", "<x>"}, {"id", 300}, {"special", "yes"}}}), "special"},
      {with("added_tokens",
            json::array{json::object{{"content", "<x>"}, {"id", 300}}, json::object{{"content", "<x>"}, {"id", 301}}}),
       "two ids"},
      {with("added_tokens", json::array{}), "261"},
  };
  for (const auto& [root, part] : cases) {
    const auto tokenizer = make(root);
    ASSERT_FALSE(tokenizer) << part;
    EXPECT_NE(tokenizer.error().message.find(part), std::string::npos) << tokenizer.error().message;
    EXPECT_TRUE(tokenizer.error().message.starts_with("tokenizer.json: ")) << tokenizer.error().message;
  }
  EXPECT_FALSE(Tokenizer::from_json("{"));
  EXPECT_FALSE(Tokenizer::from_json(""));
  EXPECT_FALSE(Tokenizer::from_json("[]"));
  EXPECT_FALSE(make(small_tokenizer(), "{"));
  EXPECT_FALSE(make(small_tokenizer(), R"({"added_tokens_decoder":{"x":{"content":"a"}}})"));
}

TEST(Tokenizer, takes_merges_as_pairs) {
  const auto tokenizer = make(with("model.merges", json::array{json::array{"h", "e"}})).value();
  EXPECT_EQ(tokenizer->encode("he").value(), (Ids{256}));
}

GgufVocab small_gguf() {
  GgufVocab vocab;
  vocab.model = "gpt2";
  vocab.pre = "qwen2";
  for (int byte = 0; byte < 256; ++byte)
    vocab.tokens.push_back(to_byte_alphabet(std::string(1, static_cast<char>(byte))));
  vocab.token_types.assign(256, 1);
  for (const auto& [text, type] :
       {std::pair("he", 1), std::pair("<|im_end|>", 3), std::pair("<think>", 3), std::pair("<｜tool▁sep｜>", 3)}) {
    vocab.tokens.emplace_back(text);
    vocab.token_types.push_back(type);
  }
  vocab.merges = {"h e"};
  vocab.bos_id = 257;
  vocab.eos_id = 257;
  vocab.add_bos = true;
  return vocab;
}

TEST(Tokenizer, reads_gguf_metadata) {
  const auto tokenizer = Tokenizer::from_gguf(small_gguf()).value();
  EXPECT_EQ(tokenizer->encode("he<think><|im_end|>").value(), (Ids{256, 258, 257}));
  EXPECT_EQ(tokenizer->encode("he", {.add_special = true}).value(), (Ids{257, 256}));
  EXPECT_TRUE(tokenizer->is_control(257));
  EXPECT_FALSE(tokenizer->is_control(258)) << "<think> is text to parse, however it is marked";
  EXPECT_FALSE(tokenizer->is_control(259)) << "tool tags are text to parse";
  EXPECT_EQ(tokenizer->eos_id(), 257);
}

TEST(Tokenizer, refuses_gguf_metadata_that_does_not_fit_together) {
  const auto refused = [](auto&& change, std::string_view part) {
    GgufVocab vocab = small_gguf();
    change(vocab);
    const auto tokenizer = Tokenizer::from_gguf(vocab);
    ASSERT_FALSE(tokenizer) << part;
    EXPECT_NE(tokenizer.error().message.find(part), std::string::npos) << tokenizer.error().message;
  };
  refused([](GgufVocab& v) { v.model = "llama"; }, "'llama'");
  refused([](GgufVocab& v) { v.pre = "brand-new"; }, "'brand-new'");
  refused([](GgufVocab& v) { v.tokens.clear(); }, "empty");
  refused([](GgufVocab& v) { v.token_types.pop_back(); }, "token_type");
  refused([](GgufVocab& v) { v.merges.emplace_back("he"); }, "merge 1");
  refused([](GgufVocab& v) { v.merges.emplace_back("z q"); }, "merge 1");
  refused([](GgufVocab& v) { v.bos_id = 99999; }, "bos_token_id");
  refused([](GgufVocab& v) { v.eos_id = -7; }, "eos_token_id");
}

class TemporaryFolder {
 public:
  TemporaryFolder() : path_(fs::temp_directory_path() / fmt::format("cove_tokenizer_{}_{}", ::getpid(), ++made_)) {
    fs::create_directories(path_);
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  void write(const std::string& name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }
  const fs::path& path() const { return path_; }

 private:
  static inline int made_ = 0;
  fs::path path_;
};

TEST(Tokenizer, opens_a_folder_or_a_file) {
  const TemporaryFolder folder;
  folder.write("tokenizer.json", json::serialize(small_tokenizer()));
  folder.write("tokenizer_config.json", R"({"eos_token":"word"})");
  for (const fs::path& path : {folder.path(), folder.path() / "tokenizer.json"}) {
    const auto tokenizer = Tokenizer::from_path(path);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    EXPECT_EQ((*tokenizer)->eos_id(), 263) << "the configuration beside it is read";
  }
}

TEST(Tokenizer, opens_vocab_json_with_merges_txt) {
  const TemporaryFolder folder;
  const json::object root = small_tokenizer();
  folder.write("vocab.json", json::serialize(root.at("model").at("vocab")));
  folder.write("merges.txt", "#version: 0.2\nh e\r\nhe l\n\n");
  const auto nameless = Tokenizer::from_path(folder.path());
  ASSERT_FALSE(nameless) << "nothing says which pre-tokenizer it is";
  EXPECT_EQ(nameless.error().code, ErrorCode::kUnsupported);
  folder.write(
      "tokenizer_config.json",
      R"({"tokenizer_class":"Qwen2Tokenizer","eos_token":"<|im_end|>","added_tokens_decoder":{"261":{"content":"<|im_end|>","special":true}}})");
  const auto tokenizer = Tokenizer::from_path(folder.path());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->encode("hel<|im_end|>").value(), (Ids{257, 261}));
  EXPECT_EQ((*tokenizer)->eos_id(), 261);
}

TEST(Tokenizer, refuses_paths_that_hold_no_tokenizer) {
  const TemporaryFolder folder;
  const auto empty = Tokenizer::from_path(folder.path());
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, ErrorCode::kNotFound);
  EXPECT_NE(empty.error().message.find(folder.path().string()), std::string::npos);
  EXPECT_FALSE(Tokenizer::from_path(folder.path() / "missing.json"));
  EXPECT_FALSE(Tokenizer::from_path(folder.path() / "missing"));
  folder.write("model.bin", "x");
  EXPECT_FALSE(Tokenizer::from_path(folder.path() / "model.bin"));
  for (const char* ranks :
       {"", "IQ== 0\n", "IQ==\n", "IQ== x\n", "!! 0\n", "IQ== 0\nIg== 0\n", "IQ== 99999999999999999999\n", " 1\n"}) {
    folder.write("x.tiktoken", ranks);
    EXPECT_FALSE(Tokenizer::from_path(folder.path() / "x.tiktoken")) << ranks;
  }
}

TEST(ByteAlphabet, spells_every_byte_and_back) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    std::string back;
    ASSERT_TRUE(append_alphabet_bytes(to_byte_alphabet(one), back));
    EXPECT_EQ(back, one);
  }
  std::string bytes = "kept";
  EXPECT_FALSE(append_alphabet_bytes("aĠ中", bytes));
  EXPECT_FALSE(append_alphabet_bytes("\xC4", bytes)) << "cut off";
  EXPECT_FALSE(append_alphabet_bytes(" ", bytes)) << "a space is spelled Ġ";
  EXPECT_EQ(bytes, "kept");
}

}  // namespace
}  // namespace cove::text

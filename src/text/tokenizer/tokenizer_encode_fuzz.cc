// Any text through each pre-tokenizer: pieces cover the text, ids decode to it, streaming gives what decoding gives.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"
#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::text {
namespace {

const char* const kNames[] = {"qwen2",        "llama-bpe",      "deepseek-v3", "gpt-2",
                              "deepseek-llm", "deepseek-coder", "starcoder",   "default"};

std::unique_ptr<Tokenizer> make(const char* name) {
  GgufVocab vocab;
  vocab.model = "gpt2";
  vocab.pre = name;
  for (int byte = 0; byte < 256; ++byte)
    vocab.tokens.push_back(to_byte_alphabet(std::string(1, static_cast<char>(byte))));
  for (const char* merge : {"h e", "he l", "Ġ t", "Ġ ä", "ä ¸", "ä¸ Ń", "Ń Ġ", "Ġ Ġ", "ĠĠ ĠĠ", "a a", "aa aa", "Ì ģ"}) {
    vocab.merges.emplace_back(merge);
    std::string token = merge;
    token.erase(token.find(' '), 1);
    vocab.tokens.push_back(std::move(token));
  }
  vocab.token_types.assign(vocab.tokens.size(), 1);
  for (const auto& [text, type] : {std::pair("<s>", 3), std::pair("<think>", 4)}) {
    vocab.tokens.emplace_back(text);
    vocab.token_types.push_back(type);
  }
  auto tokenizer = Tokenizer::from_gguf(vocab);
  COVE_CHECK_MSG(tokenizer.has_value(), tokenizer ? "" : tokenizer.error().message);
  return std::move(*tokenizer);
}

void check(const Tokenizer& tokenizer, std::string_view text, bool parse_special) {
  const auto ids = tokenizer.encode(text, {.parse_special = parse_special});
  COVE_CHECK(ids.has_value() == is_valid_utf8(text));
  if (!ids) return;
  const std::string decoded = tokenizer.decode(*ids, false);
  std::string buffer;
  std::string again;
  // Normalizing each part between added tokens is not the same as normalizing the whole.
  COVE_CHECK(decoded == text || normalize_nfc(decoded, again) == normalize_nfc(text, buffer));
  StreamingDetokenizer stream(tokenizer);
  std::string streamed;
  for (const int32_t id : *ids) streamed += stream.push(id);
  streamed += stream.finish();
  COVE_CHECK(streamed == tokenizer.decode(*ids, true));
}

}  // namespace
}  // namespace cove::text

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto* tokenizers = [] {
    auto* made = new std::vector<std::unique_ptr<cove::text::Tokenizer>>();
    for (const char* name : cove::text::kNames) made->push_back(cove::text::make(name));
    return made;
  }();
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  cove::text::check(*(*tokenizers)[data[0] % tokenizers->size()], text, (data[0] & 0x80) != 0);
  return 0;
}

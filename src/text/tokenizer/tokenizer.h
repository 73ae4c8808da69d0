#pragma once
// Byte-level BPE tokenizers as published with Qwen2, Llama 3, DeepSeek V3/R1 and their distilled models: text to ids
// and back. Made once from tokenizer.json or GGUF metadata; then immutable and safe to use from any thread.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cove::text {

struct EncodeOptions {
  // true: special and added tokens written out in the text ("<|im_end|>", "<think>") become their single ids.
  bool parse_special = true;
  // true: what the tokenizer's post-processor declares (a BOS in front) is added. Chat prompts never use it: their
  // template writes the BOS itself.
  bool add_special = false;
};

// What GGUF stores under tokenizer.ggml.*; plain data, so that text/ need not know the container.
struct GgufVocab {
  std::string model;  // "gpt2" is byte-level BPE; others are refused
  std::string pre;    // "qwen2", "llama-bpe", "deepseek-v3", "deepseek-r1-qwen", ...
  std::vector<std::string> tokens;
  std::vector<int32_t> token_types;  // 1 normal, 3 control, 4 user defined, 6 byte; may be empty
  std::vector<std::string> merges;   // "left right"
  std::optional<int32_t> bos_id;
  std::optional<int32_t> eos_id;
  bool add_bos = false;
};

class Tokenizer {
 public:
  // tokenizer_json as published; tokenizer_config_json may be empty. Errors name what is not supported.
  static Result<std::unique_ptr<Tokenizer>> from_json(std::string_view tokenizer_json,
                                                      std::string_view tokenizer_config_json = {});
  // A directory with tokenizer.json, or the file itself.
  static Result<std::unique_ptr<Tokenizer>> from_path(const std::filesystem::path& path);
  static Result<std::unique_ptr<Tokenizer>> from_gguf(const GgufVocab& vocab);

  virtual ~Tokenizer() = default;

  // Errors: kInvalidArgument when `text` is not well-formed UTF-8 (the byte offset is named).
  virtual Result<std::vector<int32_t>> encode(std::string_view text, const EncodeOptions& options = {}) const = 0;

  // The bytes of one token: any bytes, not always whole characters. Empty for ids outside the vocabulary.
  virtual std::string_view token_bytes(int32_t id) const = 0;
  // Control tokens such as <|im_end|>: not shown to readers. <think> and tool tags are shown (they are text to parse).
  virtual bool is_control(int32_t id) const = 0;
  virtual std::optional<int32_t> find_token(std::string_view text) const = 0;
  // One more than the largest id.
  virtual int32_t vocab_size() const = 0;
  virtual std::optional<int32_t> bos_id() const = 0;
  virtual std::optional<int32_t> eos_id() const = 0;

  // All bytes in order, ill-formed parts replaced by U+FFFD. Control tokens are left out when asked.
  std::string decode(std::span<const int32_t> ids, bool skip_control) const;
};

// Token ids to text as they come; never emits a broken character: bytes of an unfinished character wait for the next
// token. One per stream, one thread.
class StreamingDetokenizer {
 public:
  explicit StreamingDetokenizer(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  // The text that became certain with this token, maybe empty. Control tokens give nothing.
  std::string push(int32_t id);
  // What is left when no more tokens come; an unfinished character becomes U+FFFD.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;
};

}  // namespace cove::text

#pragma once
// The first half of byte-level BPE: cuts a text into the pieces ("words") that merges never cross. Used by the
// tokenizer and by the trainer, which counts these pieces. Immutable; safe from any thread.
//   const auto pre = PreTokenizer::qwen2();
//   TRY(pre.split(text, [&](std::string_view piece) { ++counts[std::string(piece)]; }));

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/tokenizer/function_ref.h"
#include "text/tokenizer/regex.h"

namespace cove::text {

class PreTokenizer {
 public:
  using Sink = FunctionRef<void(std::string_view)>;

  static PreTokenizer qwen2();   // also R1-Distill-Qwen, Qwen2.5, Qwen3 and cove-mini
  static PreTokenizer llama3();  // also R1-Distill-Llama
  static PreTokenizer gpt2();
  static PreTokenizer deepseek_v3();  // also DeepSeek R1

  // The "pre_tokenizer" of a tokenizer.json. It must end in ByteLevel. Errors name what is not supported.
  static Result<PreTokenizer> from_json(const json::value& declaration);
  // tokenizer.ggml.pre of a GGUF file. Unknown names are refused: the wrong splitting gives wrong tokens without any
  // error.
  static Result<PreTokenizer> from_gguf_name(std::string_view name);

  // Calls `sink` for each piece in order. `text` must be well-formed UTF-8; pieces are not empty, contain the text's
  // raw bytes, and are valid during the call only. Fails only when a published regular expression exceeds its step
  // limit.
  Status split(std::string_view text, Sink sink) const;

 private:
  enum class Known { kNone, kQwen2, kLlama3, kGpt2, kDeepseekV3 };
  enum class Behavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };
  // ByteLevel maps bytes to printable characters in the published form; here pieces stay bytes, so only its splitting
  // is left.
  struct ByteLevel {
    bool add_prefix_space = false;
    bool use_regex = false;
  };
  struct Stage {
    Regex regex;
    std::string pattern;
    Behavior behavior = Behavior::kIsolated;
    bool invert = false;
  };
  struct Part {
    Regex::Span span;
    bool matched = false;
  };

  explicit PreTokenizer(Known known) : known_(known) {}
  static Result<PreTokenizer> from_patterns(const std::vector<std::string_view>& patterns, const ByteLevel& byte_level);

  Status add_json(const json::value& declaration, int depth);
  Status add_split(const json::value& declaration);
  Status add_digits(const json::value& declaration);
  Status add_byte_level(const json::value& declaration);
  Status add_sequence(const json::value& declaration, int depth);
  void recognize();

  Status split_from(size_t stage, std::string_view text, Sink sink) const;
  Status split_byte_level(std::string_view text, Sink sink) const;
  static Result<std::vector<Part>> cut(const Stage& stage, std::string_view text);
  static void merge_parts(Behavior behavior, std::vector<Part>& parts);

  Known known_ = Known::kNone;
  std::vector<Stage> stages_;
  std::optional<ByteLevel> byte_level_;
};

}  // namespace cove::text

#pragma once
// The published pre-tokenizer patterns, written out by hand: each cuts well-formed UTF-8 into pieces exactly as its
// regular expression does with behavior "Isolated" (splitters_test.cc compares them with PCRE2 on large texts), several
// times faster. Every byte of the text is in exactly one piece; pieces come in order and are never empty.

#include <string_view>

#include "text/tokenizer/function_ref.h"

namespace cove::text {

using PieceSink = FunctionRef<void(std::string_view)>;

// Qwen2 (digits_max = 1) and Llama 3 (digits_max = 3):
// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,M}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
void split_qwen2(std::string_view text, int digits_max, PieceSink sink);

// GPT-2: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
void split_gpt2(std::string_view text, PieceSink sink);

// DeepSeek V3 and R1: three splitters one after another, each seeing only the pieces of the one before:
// \p{N}{1,3}
// [一-龥぀-ゟ゠-ヿ]+
// [ASCII punctuation][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
void split_deepseek_v3(std::string_view text, PieceSink sink);

// The regular expressions themselves, as they stand in the published files.
extern const char* const kQwen2Pattern;
extern const char* const kLlama3Pattern;
extern const char* const kGpt2Pattern;
extern const char* const kDeepseekV3Patterns[3];

}  // namespace cove::text

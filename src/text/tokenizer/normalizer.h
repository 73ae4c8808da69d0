#pragma once
// Unicode normalization form C, as tokenizer.json's "normalizer" declares it for Qwen2 and its kin.

#include <string>
#include <string_view>

namespace cove::text {

// `text` itself when it is already in form C (nearly always), else `buffer` with the composed text. `text` must be
// well-formed UTF-8. Linear but for sorting runs of combining marks (n log n).
std::string_view normalize_nfc(std::string_view text, std::string& buffer);

}  // namespace cove::text

#pragma once
// Exactly one BOS. Published templates write the BOS themselves, some do not, and a conversation can hold a prompt that
// was rendered before. Called by the server on every rendered prompt; the tokenizer is then asked not to add another
// (EncodeOptions::add_special stays false).

#include <string>
#include <string_view>

namespace cove::text {

// `bos_text` is the tokenizer's BOS as text, empty when the model wants none (the prompt is then returned as it is). A
// BOS after white space that a template left in front counts: it is not doubled. BOS texts elsewhere in the prompt are
// what users wrote.
std::string with_one_bos(std::string prompt, std::string_view bos_text);

}  // namespace cove::text

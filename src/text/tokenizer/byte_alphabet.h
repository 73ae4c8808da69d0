#pragma once
// GPT-2's byte alphabet: published vocabularies write each byte as one printable character (a space is "Ġ"), so that
// tokens can stand in JSON. Cove turns tokens back into bytes when it loads them and works on bytes from then on.

#include <string>
#include <string_view>

namespace cove::text {

// Appends the bytes that `published` spells. False, with `bytes` unchanged, when a character is not of the alphabet.
bool append_alphabet_bytes(std::string_view published, std::string& bytes);

// The spelling of `bytes`: what a vocabulary file holds.
std::string to_byte_alphabet(std::string_view bytes);

}  // namespace cove::text

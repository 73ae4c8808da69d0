#pragma once
// Small things that the parts of sealed files share. Internal to tensor/io.

#include <array>
#include <span>
#include <string>

namespace cove {

using Bytes32 = std::array<unsigned char, 32>;

Bytes32 sha256_of(std::span<const unsigned char> bytes);
std::string hex_text(std::span<const unsigned char> bytes);
void fill_random(std::span<unsigned char> out);

}  // namespace cove

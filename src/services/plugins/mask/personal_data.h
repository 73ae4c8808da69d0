#pragma once
// Recognises personal data at one place of a text: Chinese identity numbers (18 characters, region, birth date and
// checksum of GB 11643-1999), Chinese mobile numbers, bank cards (Luhn, ISO/IEC 7812, with a plausible prefix) and
// e-mail addresses. Digits may be full width; numbers may be grouped by single spaces or hyphens as people write them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cove::plugins {

enum class DataKind : uint8_t { kId, kMobile, kCard, kEmail };
inline constexpr DataKind kDataKinds[] = {DataKind::kId, DataKind::kMobile, DataKind::kCard, DataKind::kEmail};
// In the configuration: "id", "mobile", "card", "email".
std::string_view to_string(DataKind kind);

// A set of kinds.
struct DataKinds {
  uint8_t bits = 0;
  void add(DataKind kind) { bits |= static_cast<uint8_t>(1U << static_cast<unsigned>(kind)); }
  bool has(DataKind kind) const { return (bits >> static_cast<unsigned>(kind) & 1U) != 0; }
};

// No match is longer, in bytes.
inline constexpr size_t kDataBytesMax = 64 + 1 + 254;

struct DataMatch {
  enum class Found : uint8_t { kNo, kYes, kNeedsMore } found = Found::kNo;
  DataKind kind = DataKind::kId;
  size_t bytes = 0;  // from the text's beginning
};

enum class TextEnd : uint8_t { kOpen, kClosed };  // whether more text may follow

// What begins at the beginning of `text`, the longest first. kNeedsMore: the end of `text` is too near to tell.
DataMatch match_data(std::string_view text, TextEnd end, DataKinds kinds);

// Whether `c` continues a word or number: data does not begin right after one.
bool continues_number(std::string_view last_char);
bool continues_address(std::string_view last_char);

// The checks, on plain digits.
bool is_identity_number(std::string_view text);  // 17 digits and a digit or X
bool is_mobile_number(std::string_view digits);  // 11 digits
bool is_card_number(std::string_view digits);    // 13 to 19 digits

}  // namespace cove::plugins

#pragma once
// Masks personal data in a text as it streams, and puts masked values back. What is held back is at most what may yet
// become a match: kDataBytesMax bytes. The result does not depend on how the text was cut.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "services/plugins/mask/personal_data.h"
#include "services/plugins/options.h"

namespace cove::plugins {

// Values and their placeholders, "[ID_1]", numbered per kind in the order they come; the same value keeps its number.
class Vault {
 public:
  const std::string& placeholder_of(DataKind kind, std::string_view value);
  // The value of a placeholder; null when there is none of that name.
  const std::string* value_of(std::string_view placeholder) const;
  // Whether a placeholder begins with `text` and is longer.
  bool begins_placeholder(std::string_view text) const;
  bool empty() const { return placeholders_.empty(); }

 private:
  std::map<std::string, std::string, std::less<>> placeholders_;  // by value
  std::map<std::string, std::string, std::less<>> values_;        // by placeholder
  std::array<int, 4> counts_{};
};

// "138****5678" and the like: stars for all letters and digits, or for those in the middle.
std::string starred(DataKind kind, std::string_view value, MaskStyle style);

struct MaskCounts {
  uint64_t masked = 0;
  uint64_t restored = 0;
};

struct MaskStreamOptions {
  DataKinds kinds;
  MaskStyle style = MaskStyle::kPlaceholder;
  Vault* masking = nullptr;          // kPlaceholder: names are taken from and added to it
  const Vault* restoring = nullptr;  // its placeholders become values again; null = not
};

class MaskStream {
 public:
  explicit MaskStream(const MaskStreamOptions& options) : options_(options) {}
  void push(std::string_view text, std::string& out);
  void finish(std::string& out);
  const MaskCounts& counts() const { return counts_; }
  size_t held() const { return held_.size(); }

 private:
  enum class Step : uint8_t { kTaken, kNothing, kWait };
  void process(TextEnd end, std::string& out);
  Step take_data(std::string_view rest, TextEnd end, std::string& out, size_t& bytes);
  Step take_placeholder(std::string_view rest, TextEnd end, std::string& out, size_t& bytes);

  MaskStreamOptions options_;
  std::string held_;
  std::string last_;  // the character before held_
  MaskCounts counts_;
};

}  // namespace cove::plugins

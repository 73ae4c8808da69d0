#pragma once
// A tokenizer for tests of the engine: ids 0-255 are bytes, 256 is the end token (control). Header only; included by
// *_test.cc alone.

#include <array>

#include "text/tokenizer/tokenizer.h"

namespace cove::testing {

class ByteTokenizer final : public text::Tokenizer {
 public:
  static constexpr int32_t kEnd = 256;
  static constexpr int32_t kVocab = 257;

  ByteTokenizer() {
    for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<char>(i);
  }
  Result<std::vector<int32_t>> encode(std::string_view text, const text::EncodeOptions&) const override {
    std::vector<int32_t> ids;
    for (const char c : text) ids.push_back(static_cast<uint8_t>(c));
    return ids;
  }
  std::string_view token_bytes(int32_t id) const override {
    if (id < 0 || id > 255) return {};
    return {&bytes_[static_cast<size_t>(id)], 1};
  }
  bool is_control(int32_t id) const override { return id >= kEnd; }
  std::optional<int32_t> find_token(std::string_view) const override { return std::nullopt; }
  int32_t vocab_size() const override { return kVocab; }
  std::optional<int32_t> bos_id() const override { return std::nullopt; }
  std::optional<int32_t> eos_id() const override { return kEnd; }

 private:
  std::array<char, 256> bytes_;
};

}  // namespace cove::testing

#include "text/tokenizer/tokenizer.h"

#include "base/utf8.h"

namespace cove::text {

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_control) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (skip_control && is_control(id)) continue;
    bytes += token_bytes(id);
  }
  return is_valid_utf8(bytes) ? bytes : replace_invalid_utf8(bytes);
}

std::string StreamingDetokenizer::push(int32_t id) {
  if (tokenizer_->is_control(id)) return {};
  pending_ += tokenizer_->token_bytes(id);
  const size_t certain = complete_utf8_prefix(pending_);
  std::string text = replace_invalid_utf8(std::string_view(pending_).substr(0, certain));
  pending_.erase(0, certain);
  return text;
}

std::string StreamingDetokenizer::finish() {
  std::string text = replace_invalid_utf8(pending_);
  pending_.clear();
  return text;
}

}  // namespace cove::text

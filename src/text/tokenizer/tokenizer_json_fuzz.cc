// Hostile tokenizer.json files: refused with an error or usable, never a crash, a hang or a great deal of memory.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::text {
namespace {

constexpr std::string_view kText = "Hello <s> wörld'S 123 你好\n\n  <think> e\xCC\x81 \xF0\x9F\x9A\x80";

void use(const Tokenizer& tokenizer) {
  for (const bool flag : {false, true}) {
    const auto ids = tokenizer.encode(kText, {.parse_special = flag, .add_special = flag});
    if (!ids) continue;  // a byte that the vocabulary lacks, or a regular expression that gave up
    for (const int32_t id : *ids) COVE_CHECK(id >= 0 && id < tokenizer.vocab_size());
    COVE_CHECK(is_valid_utf8(tokenizer.decode(*ids, flag)));
  }
  COVE_CHECK(tokenizer.token_bytes(tokenizer.vocab_size()).empty());
}

}  // namespace
}  // namespace cove::text

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = text.find('\0');  // what follows is the configuration beside it
  const auto config = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  if (const auto tokenizer = cove::text::Tokenizer::from_json(text.substr(0, end), config))
    cove::text::use(**tokenizer);
  return 0;
}

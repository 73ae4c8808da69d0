#include "tensor/io/printable.h"

#include <fmt/format.h>

#include "base/utf8.h"

namespace cove {

std::string printable_name(std::string_view name) {
  constexpr size_t kShownMax = 120;
  std::string text = "'";
  for (const char c : replace_invalid_utf8(name.substr(0, kShownMax))) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  return text + (name.size() > kShownMax ? "...'" : "'");
}

}  // namespace cove

#include "text/tokenizer/unicode_table.h"

#include <string>
#include <unordered_map>

#include <utf8proc.h>

namespace cove::text {
namespace {

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

uint8_t category_class(utf8proc_category_t category) {
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) return kLetter;
  if (category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME) return kMark;
  if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) return kNumber;
  if (category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO) return kPunctuation;
  if (category >= UTF8PROC_CATEGORY_SM && category <= UTF8PROC_CATEGORY_SO) return kSymbol;
  return 0;
}

uint8_t compute_classes(char32_t c) {
  uint8_t classes = category_class(utf8proc_category(static_cast<utf8proc_int32_t>(c)));
  if (is_white_space(c)) classes |= kSpace;
  if (c == '\r' || c == '\n') classes |= kNewline;
  if ((c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF)) classes |= kIdeograph;
  return classes;
}

}  // namespace

UnicodeTable::UnicodeTable() {
  std::unordered_map<std::string, uint16_t> page_ids;
  std::string page(256, '\0');
  for (char32_t high = 0; high < page_of_.size(); ++high) {
    for (char32_t low = 0; low < 256; ++low) page[low] = static_cast<char>(compute_classes(high << 8 | low));
    const auto [found, added] = page_ids.try_emplace(page, static_cast<uint16_t>(page_ids.size()));
    if (added) pages_.insert(pages_.end(), page.begin(), page.end());
    page_of_[high] = found->second;
  }
}

const UnicodeTable& UnicodeTable::instance() {
  static const UnicodeTable table;
  return table;
}

}  // namespace cove::text

#include "text/tokenizer/unicode_table.h"

#include <algorithm>
#include <iterator>
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

// What Unicode 15.1 and 16.0 added; utf8proc 2.8 knows 15.0, Oniguruma in today's tokenizers library 16.0.
struct Addition {
  char32_t first;
  char32_t last;
  uint8_t classes;
};
constexpr Addition kAdditions[] = {{0x897, 0x897, kMark},
                                   {0x1B4E, 0x1B4F, kPunctuation},
                                   {0x1B7F, 0x1B7F, kPunctuation},
                                   {0x1C89, 0x1C8A, kLetter},
                                   {0x2427, 0x2429, kSymbol},
                                   {0x2FFC, 0x2FFF, kSymbol},
                                   {0x31E4, 0x31E5, kSymbol},
                                   {0x31EF, 0x31EF, kSymbol},
                                   {0xA7CB, 0xA7CD, kLetter},
                                   {0xA7DA, 0xA7DC, kLetter},
                                   {0x105C0, 0x105F3, kLetter},
                                   {0x10D40, 0x10D49, kNumber},
                                   {0x10D4A, 0x10D65, kLetter},
                                   {0x10D69, 0x10D6D, kMark},
                                   {0x10D6E, 0x10D6E, kPunctuation},
                                   {0x10D6F, 0x10D85, kLetter},
                                   {0x10D8E, 0x10D8F, kSymbol},
                                   {0x10EC2, 0x10EC4, kLetter},
                                   {0x10EFC, 0x10EFC, kMark},
                                   {0x11380, 0x11389, kLetter},
                                   {0x1138B, 0x1138B, kLetter},
                                   {0x1138E, 0x1138E, kLetter},
                                   {0x11390, 0x113B5, kLetter},
                                   {0x113B7, 0x113B7, kLetter},
                                   {0x113B8, 0x113C0, kMark},
                                   {0x113C2, 0x113C2, kMark},
                                   {0x113C5, 0x113C5, kMark},
                                   {0x113C7, 0x113CA, kMark},
                                   {0x113CC, 0x113D0, kMark},
                                   {0x113D1, 0x113D1, kLetter},
                                   {0x113D2, 0x113D2, kMark},
                                   {0x113D3, 0x113D3, kLetter},
                                   {0x113D4, 0x113D5, kPunctuation},
                                   {0x113D7, 0x113D8, kPunctuation},
                                   {0x113E1, 0x113E2, kMark},
                                   {0x116D0, 0x116E3, kNumber},
                                   {0x11BC0, 0x11BE0, kLetter},
                                   {0x11BE1, 0x11BE1, kPunctuation},
                                   {0x11BF0, 0x11BF9, kNumber},
                                   {0x11F5A, 0x11F5A, kMark},
                                   {0x13460, 0x143FA, kLetter},
                                   {0x16100, 0x1611D, kLetter},
                                   {0x1611E, 0x1612F, kMark},
                                   {0x16130, 0x16139, kNumber},
                                   {0x16D40, 0x16D6C, kLetter},
                                   {0x16D6D, 0x16D6F, kPunctuation},
                                   {0x16D70, 0x16D79, kNumber},
                                   {0x18CFF, 0x18CFF, kLetter},
                                   {0x1CC00, 0x1CCEF, kSymbol},
                                   {0x1CCF0, 0x1CCF9, kNumber},
                                   {0x1CD00, 0x1CEB3, kSymbol},
                                   {0x1E5D0, 0x1E5ED, kLetter},
                                   {0x1E5EE, 0x1E5EF, kMark},
                                   {0x1E5F0, 0x1E5F0, kLetter},
                                   {0x1E5F1, 0x1E5FA, kNumber},
                                   {0x1E5FF, 0x1E5FF, kPunctuation},
                                   {0x1F8B2, 0x1F8BB, kSymbol},
                                   {0x1F8C0, 0x1F8C1, kSymbol},
                                   {0x1FA89, 0x1FA89, kSymbol},
                                   {0x1FA8F, 0x1FA8F, kSymbol},
                                   {0x1FABE, 0x1FABE, kSymbol},
                                   {0x1FAC6, 0x1FAC6, kSymbol},
                                   {0x1FADC, 0x1FADC, kSymbol},
                                   {0x1FADF, 0x1FADF, kSymbol},
                                   {0x1FAE9, 0x1FAE9, kSymbol},
                                   {0x1FBCB, 0x1FBEF, kSymbol},
                                   {0x2EBF0, 0x2EE5D, kLetter}};

uint8_t compute_classes(char32_t c) {
  uint8_t classes = category_class(utf8proc_category(static_cast<utf8proc_int32_t>(c)));
  if (is_white_space(c)) classes |= kSpace;
  if (c == '\r' || c == '\n') classes |= kNewline;
  if ((c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF)) classes |= kIdeograph;
  if (classes == 0) {
    const auto* row = std::upper_bound(std::begin(kAdditions), std::end(kAdditions), c,
                                       [](char32_t value, const Addition& addition) { return value < addition.first; });
    if (row != std::begin(kAdditions) && c <= std::prev(row)->last) return std::prev(row)->classes;
  }
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

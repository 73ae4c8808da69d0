#include "services/plugins/words/fold.h"

#include <algorithm>

namespace cove::plugins {
namespace {

struct FoldRow {
  char32_t first;
  char32_t last;
  char32_t target;  // of `first`
};
struct SkipRow {
  char32_t first;
  char32_t last;
};

#include "services/plugins/words/fold_table.inc"

}  // namespace

const FoldTable& FoldTable::get() {
  static const FoldTable kTable;
  return kTable;
}

FoldTable::FoldTable() {
  for (const FoldRow& row : kFolds) {
    for (char32_t c = row.first; c <= row.last; ++c) folds_.emplace_back(c, row.target + (c - row.first));
  }
  for (const SkipRow& row : kSkips) {
    for (char32_t c = row.first; c <= row.last; ++c) folds_.emplace_back(c, 0);
  }
  std::ranges::sort(folds_);
  for (char32_t c = 0; c < bmp_.size(); ++c) bmp_[c] = encoded(c);
  for (const auto& [from, to] : folds_) {
    if (from < bmp_.size()) bmp_[from] = encoded(to);
  }
}

char32_t FoldTable::fold(char32_t c) const {
  const auto found = std::ranges::lower_bound(folds_, c, {}, &std::pair<char32_t, char32_t>::first);
  return found != folds_.end() && found->first == c ? found->second : c;
}

FoldedChar FoldTable::encoded(char32_t c) {
  const auto tail = [c](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) return {{static_cast<char>(c)}};
  if (c < 0x800) return {{static_cast<char>(0xC0 | c >> 6), tail(0)}};
  if (c < 0x10000) return {{static_cast<char>(0xE0 | c >> 12), tail(6), tail(0)}};
  return {{static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0)}};
}

}  // namespace cove::plugins

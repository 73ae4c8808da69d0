// Streams of the word filter and of the mask, cut where the input says, against the whole text; Hyperscan against the
// automaton. The first bytes choose words and cuts.
#include <cstdlib>

#include "base/utf8.h"
#include "services/plugins/mask/mask_stream.h"
#include "services/plugins/words/word_filter.h"

namespace {

using namespace cove::plugins;

struct Filters {
  std::unique_ptr<WordFilter> best;
  std::unique_ptr<WordFilter> automaton;
};

const Filters& filters() {
  static const Filters kFilters = [] {
    const auto list = [] {
      return *make_word_list(
          std::vector<WordSource>{{"a", "敏感词\nab\nabc\nfat cat\n乙丙\n丙\nb1\n车a\nass\n", WordAction::kReplace},
                                  {"b", "炸弹\ncd\n", WordAction::kBlock}});
    };
    Filters made;
    made.best = *WordFilter::create(list(), {});
    WordList again = list();
    auto automaton = make_aho_corasick(folded_words(again));
    made.automaton = std::make_unique<WordFilter>(std::move(again), WordFilterOptions{}, std::move(automaton));
    return made;
  }();
  return kFilters;
}

std::string filter_words(const WordFilter& filter, std::string_view text, std::string_view cuts) {
  WordStream stream(filter);
  std::string out;
  for (const char cut : cuts) {
    const size_t bytes = std::min<size_t>(static_cast<unsigned char>(cut) % 17, text.size());
    stream.push(text.substr(0, bytes), out);
    text.remove_prefix(bytes);
    if (stream.held() > filter.longest_match() + 3) std::abort();
  }
  stream.push(text, out);
  stream.finish(out);
  return out;
}

std::string mask(std::string_view text, std::string_view cuts) {
  DataKinds kinds;
  for (const DataKind kind : kDataKinds) kinds.add(kind);
  Vault known;
  known.placeholder_of(DataKind::kMobile, "13812345678");
  Vault vault = known;
  MaskStream stream({.kinds = kinds, .masking = &vault, .restoring = &known});
  std::string out;
  for (const char cut : cuts) {
    const size_t bytes = std::min<size_t>(static_cast<unsigned char>(cut) % 17, text.size());
    stream.push(text.substr(0, bytes), out);
    text.remove_prefix(bytes);
    if (stream.held() > kDataBytesMax + 8) std::abort();
  }
  stream.push(text, out);
  stream.finish(out);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  if (bytes < 8 || bytes > 4096) return 0;
  const std::string_view cuts(reinterpret_cast<const char*>(data), 8);
  const std::string text = cove::replace_invalid_utf8({reinterpret_cast<const char*>(data) + 8, bytes - 8});
  const std::string whole = filter_words(*filters().best, text, {});
  if (filter_words(*filters().best, text, cuts) != whole) std::abort();
  if (filter_words(*filters().automaton, text, cuts) != whole) std::abort();
  if (mask(text, cuts) != mask(text, {})) std::abort();
  return 0;
}

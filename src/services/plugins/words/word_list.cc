#include "services/plugins/words/word_list.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/file.h"
#include "base/utf8.h"
#include "services/plugins/words/normalizer.h"

namespace cove::plugins {
namespace {

constexpr size_t kFileBytesMax = size_t{64} << 20;

// Folds character by character, to note where white space stood.
Word fold_word(std::string_view line, WordAction action) {
  Word word{.folded = normalize_word(line), .action = action, .chars = 0};
  const FoldTable& table = FoldTable::get();
  bool after_space = false;
  bool after_alnum = false;
  for (size_t i = 0; i < line.size();) {
    const DecodedChar c = decode_char(line, i);
    i += c.bytes;
    const char32_t folded = table.fold(c.code);
    if (folded == 0) {
      after_space = after_space || is_white_space(c.code);
      continue;
    }
    const bool alnum = folded < 0x80 && is_ascii_alnum(static_cast<char>(folded));
    if (after_space && after_alnum && alnum) word.spaces.push_back(static_cast<uint8_t>(std::min(word.chars, 255U)));
    after_space = false;
    after_alnum = alnum;
    ++word.chars;
  }
  return word;
}

Status add_words(const WordSource& source, WordList& list) {
  size_t number = 0;
  for (size_t begin = 0; begin < source.text.size();) {
    const size_t end = std::min(source.text.find('\n', begin), source.text.size());
    const std::string_view line = std::string_view(source.text).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.starts_with('#')) continue;
    if (!is_valid_utf8(line)) {
      return invalid_argument(fmt::format(
          "{}:{}: not UTF-8; convert the list, for example with iconv -f gb18030 -t utf-8", source.name, number));
    }
    Word word = fold_word(line, source.action);
    if (word.chars > kWordCharsMax) {
      return invalid_argument(fmt::format("{}:{}: {} characters; a word may have at most {}", source.name, number,
                                          word.chars, kWordCharsMax));
    }
    const bool too_little = word.chars == 0 || (word.chars == 1 && word.folded.size() == 1);
    const bool blank = line.find_first_not_of(" \t\r") == std::string_view::npos;
    if (!too_little) {
      list.words.push_back(std::move(word));
    } else if (!blank) {
      ++list.dropped;
    }
  }
  return {};
}

}  // namespace

Result<WordList> make_word_list(std::span<const WordSource> sources) {
  WordList list;
  for (const WordSource& source : sources) TRY(add_words(source, list));
  if (list.words.empty()) return invalid_argument("the word lists hold no words");
  // Of equal words the strongest action stays.
  std::ranges::stable_sort(list.words, [](const Word& a, const Word& b) {
    const int order = a.folded.compare(b.folded);
    return order != 0 ? order < 0 : a.action > b.action;
  });
  // The same letters with a space in different places are one word, which may have a space in any of them.
  std::vector<Word> unique;
  for (Word& word : list.words) {
    if (!unique.empty() && unique.back().folded == word.folded) {
      Word& kept = unique.back();
      for (const uint8_t at : word.spaces) {
        if (std::ranges::find(kept.spaces, at) == kept.spaces.end()) kept.spaces.push_back(at);
      }
      continue;
    }
    unique.push_back(std::move(word));
  }
  list.words = std::move(unique);
  return list;
}

Result<WordSource> read_words(const std::filesystem::path& path, WordAction action) {
  TRY_ASSIGN(std::string text, read_file(path, kFileBytesMax));
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  return WordSource{.name = path.string(), .text = std::move(text), .action = action};
}

}  // namespace cove::plugins

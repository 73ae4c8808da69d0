#pragma once
// The words of a filter: read from lists, folded, each once with the strongest action it has in any list.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cove::plugins {

inline constexpr size_t kWordCharsMax = 128;

enum class WordAction : uint8_t { kLog, kReplace, kBlock };  // from weak to strong

struct Word {
  std::string folded;  // what is compared
  WordAction action = WordAction::kLog;
  uint32_t chars = 0;
  // The word has white space between two letters or digits in front of these characters ("fly me" has 3).
  std::vector<uint8_t> spaces{};
};

struct WordSource {
  std::string name;  // for messages: the file
  std::string text;  // one word a line; empty lines and lines that begin with # are passed over
  WordAction action = WordAction::kReplace;
};

struct WordList {
  std::vector<Word> words;  // in order of `folded`
  size_t dropped = 0;       // lines of which nothing, or one letter or digit, is left when folded
};

// Errors: kInvalidArgument naming file and line (not UTF-8, too long), or no words at all.
Result<WordList> make_word_list(std::span<const WordSource> sources);
Result<WordSource> read_words(const std::filesystem::path& path, WordAction action);

}  // namespace cove::plugins

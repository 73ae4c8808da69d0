#pragma once
// The sensitive-word filter: finds words in text as people disguise them, and replaces them or cuts the text off.
// What a match is: the word's characters in order, as the fold table reads them, with at most `gap_max` skipped
// characters between two of them. Besides, for letters and digits of ASCII: a word does not begin or end inside a
// longer run of them (`ass` is not in `class`), and white space counts as a disguise only where every letter stands
// apart (`b a d`), because otherwise `pen is` would hold a word that is not there.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "services/plugins/words/normalizer.h"
#include "services/plugins/words/word_list.h"
#include "services/plugins/words/word_matcher.h"

namespace cove::plugins {

enum class WholeWords : uint8_t { kRequired, kAny };  // for words that begin or end with an ASCII letter or digit

struct WordFilterOptions {
  uint32_t gap_max = 3;
  WholeWords whole_words = WholeWords::kRequired;
  std::string replacement = "*";  // for each character of a match
};

// Immutable; any thread. Outlives its streams.
class WordFilter {
 public:
  // Errors: kResourceExhausted when the words cannot be compiled.
  static Result<std::unique_ptr<WordFilter>> create(WordList list, WordFilterOptions options);
  // With a matcher of one's own, made of folded_words(list).
  WordFilter(WordList list, WordFilterOptions options, std::unique_ptr<WordMatcher> matcher);

  const WordFilterOptions& options() const { return options_; }
  // What a match needs of its word, close together: the words themselves do not fit in a core's cache.
  struct Brief {
    uint16_t bytes = 0;  // folded
    WordAction action = WordAction::kLog;
    bool latin = false;  // holds ASCII letters or digits: a match needs a second look
  };
  const Brief& brief(uint32_t index) const { return briefs_[index]; }
  const Word& word(uint32_t index) const { return list_.words[index]; }
  const WordList& list() const { return list_; }
  const WordMatcher& matcher() const { return *matcher_; }
  // Whether more characters could make `folded`, which begins at a character, a word or a longer word.
  bool begins_word(std::string_view folded) const;
  size_t longest_folded() const { return longest_folded_; }
  // No stream holds back more bytes than this: the longest match, every gap full of four-byte characters.
  size_t longest_match() const;

 private:
  WordList list_;
  WordFilterOptions options_;
  std::unique_ptr<WordMatcher> matcher_;
  std::vector<Brief> briefs_;
  std::vector<bool> beginnings_;  // by beginning_of(): a sieve in front of the search
  size_t longest_folded_ = 0;
  size_t longest_chars_ = 0;
};

std::vector<std::string> folded_words(const WordList& list);

struct WordCounts {
  uint64_t logged = 0;
  uint64_t replaced = 0;
  uint64_t blocked = 0;  // 0 or 1: the text ends there
};

// One text, in pieces; the pieces' results together are the whole text's result, wherever it was cut. One thread at a
// time.
class WordStream {
 public:
  explicit WordStream(const WordFilter& filter);

  // Appends to `out` what is decided.
  void push(std::string_view text, std::string& out);
  void finish(std::string& out);
  // A blocking word came: the text ends before it, and what comes later is dropped.
  bool blocked() const { return counts_.blocked > 0; }
  const WordCounts& counts() const { return counts_; }
  size_t held() const { return raw_.size(); }

 private:
  enum class More : uint8_t { kMayCome, kNone };
  enum class Verdict : uint8_t { kNo, kYes, kWait };
  struct Span {
    size_t begin = 0;
    size_t end = 0;
  };

  void process(More more, std::string& out);
  void scan(size_t known);
  void resolve(More more);
  Verdict judge(const WordMatch& match, Span raw, More more) const;
  bool gaps_allowed(const Word& word, size_t normal_begin) const;
  Span raw_span(const WordMatch& match) const;
  void accept(const WordMatch& match, Span raw);
  size_t frontier(More more) const;
  size_t first_candidate() const;
  void emit(size_t end, std::string& out);
  void forget(size_t end);
  size_t char_end(size_t begin) const { return begin + decode_char(raw_, begin).bytes; }

  const WordFilter* filter_;
  std::unique_ptr<MatchStream> matches_;
  Normalizer normalizer_;
  std::string raw_;                 // what is not given out yet
  size_t seen_ = 0;                 // of raw_: folded already
  NormalText normal_;               // of raw_[0, seen_); origins count from raw_'s begin
  uint64_t scanned_ = 0;            // folded bytes given to matches_, since the stream's begin
  std::vector<WordMatch> waiting_;  // undecided, in order of their ends
  std::vector<Span> covered_;       // of raw_: to be replaced
  std::vector<WordMatch> found_;    // scratch
  bool alnum_before_ = false;       // the character in front of raw_ is an ASCII letter or digit, folded
  WordCounts counts_;
};

}  // namespace cove::plugins

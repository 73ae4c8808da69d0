#include "services/plugins/words/word_filter.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace cove::plugins {
namespace {

WordList list_of(std::string_view replace, std::string_view block = {}, std::string_view log = {}) {
  std::vector<WordSource> sources;
  sources.push_back({"replace", std::string(replace), WordAction::kReplace});
  sources.push_back({"block", std::string(block), WordAction::kBlock});
  sources.push_back({"log", std::string(log), WordAction::kLog});
  auto list = make_word_list(sources);
  EXPECT_TRUE(list) << list.error().message;
  return std::move(*list);
}

enum class Kind : uint8_t { kHyperscan, kAutomaton };

std::unique_ptr<WordFilter> filter_of(WordList list, Kind kind = Kind::kHyperscan, WordFilterOptions options = {}) {
  const std::vector<std::string> words = folded_words(list);
  std::unique_ptr<WordMatcher> matcher;
  if (kind == Kind::kHyperscan) matcher = std::move(*make_hyperscan(words));
  if (matcher == nullptr) matcher = make_aho_corasick(words);
  return std::make_unique<WordFilter>(std::move(list), std::move(options), std::move(matcher));
}

std::string filtered(const WordFilter& filter, std::string_view text) {
  WordStream stream(filter);
  std::string out;
  stream.push(text, out);
  stream.finish(out);
  return out;
}

std::string filtered(std::string_view words, std::string_view text) {
  return filtered(*filter_of(list_of(words)), text);
}

TEST(WordFilter, finds_words_as_people_disguise_them) {
  EXPECT_EQ(filtered("敏感词", "这是敏感词吗"), "这是***吗");
  EXPECT_EQ(filtered("敏感词", "这是敏 感*词吗"), "这是*****吗") << "spaces and symbols";
  EXPECT_EQ(filtered("敏感词", "敏\u200B感\uFEFF词"), "*****") << "zero-width characters";
  EXPECT_EQ(filtered("电视台", "電視臺"), "***") << "traditional in the text";
  EXPECT_EQ(filtered("電視臺", "电视台"), "***") << "traditional in the list";
  EXPECT_EQ(filtered("badword", "A BadWord, ＢＡＤＷＯＲＤ!"), "A *******, *******!");
  EXPECT_EQ(filtered("法轮123", "法輪１２③"), "*****") << "full width and circled digits";
  EXPECT_EQ(filtered("abc", "a-b.c"), "*****");
  EXPECT_EQ(filtered("fat cat", "fat cat; fat, cat; fatcat; fat\ncat"), "*******; ********; ******; *******");
}

TEST(WordFilter, a_gap_longer_than_the_bound_separates) {
  EXPECT_EQ(filtered("敏感", "敏...感"), "*****");
  EXPECT_EQ(filtered("敏感", "敏....感"), "敏....感");
  EXPECT_EQ(filtered(*filter_of(list_of("敏感"), Kind::kHyperscan, {.gap_max = 0}), "敏.感敏感"), "敏.感**");
}

TEST(WordFilter, latin_words_match_whole_words_only) {
  EXPECT_EQ(filtered("ass", "class asset ass, as s"), "class asset ***, as s");
  EXPECT_EQ(filtered("penis", "the pen is red"), "the pen is red");
  EXPECT_EQ(filtered("bad", "b a d"), "*****") << "every letter stands apart";
  EXPECT_EQ(filtered("iran", "I ran home"), "I ran home");
  EXPECT_EQ(filtered("av女优", "看AV女优吗"), "看****吗") << "Chinese beside it is no longer word";
  EXPECT_EQ(filtered("64", "1964年 64年"), "1964年 **年");
  EXPECT_EQ(filtered(*filter_of(list_of("ass"), Kind::kHyperscan, {.whole_words = WholeWords::kAny}), "class"),
            "cl***");
}

TEST(WordFilter, overlapping_words_are_replaced_together) {
  EXPECT_EQ(filtered("甲乙\n乙丙\n甲乙丙丁", "甲乙丙戊甲乙丙丁"), "***戊****");
}

TEST(WordFilter, a_blocking_word_ends_the_text_before_it) {
  const auto filter = filter_of(list_of("坏", "炸弹"));
  WordStream stream(*filter);
  std::string out;
  stream.push("坏人造炸", out);
  EXPECT_EQ(out, "*人造");
  EXPECT_FALSE(stream.blocked());
  stream.push("弹，还有坏", out);
  stream.finish(out);
  EXPECT_EQ(out, "*人造");
  EXPECT_TRUE(stream.blocked());
  EXPECT_EQ(stream.counts().blocked, 1U);
  EXPECT_EQ(stream.counts().replaced, 1U);
}

TEST(WordFilter, only_logs_where_the_list_says_so) {
  const auto filter = filter_of(list_of("", "", "股票"));
  WordStream stream(*filter);
  std::string out;
  stream.push("股票、股 票", out);
  stream.finish(out);
  EXPECT_EQ(out, "股票、股 票");
  EXPECT_EQ(stream.counts().logged, 2U);
}

TEST(WordFilter, the_strongest_action_of_a_word_counts) {
  const auto filter = filter_of(list_of("甲\n乙", "乙"), Kind::kHyperscan);
  WordStream stream(*filter);
  std::string out;
  stream.push("甲乙", out);
  EXPECT_TRUE(stream.blocked());
}

TEST(WordFilter, holds_back_only_what_may_become_a_word) {
  const auto filter = filter_of(list_of("敏感词\nbad"));
  WordStream stream(*filter);
  std::string out;
  stream.push("没有事", out);
  EXPECT_EQ(out, "没有事");
  stream.push("敏", out);
  stream.push("感", out);
  EXPECT_EQ(out, "没有事");
  stream.push("的", out);
  EXPECT_EQ(out, "没有事敏感的");
  stream.push("\xE6\x95", out);  // the beginning of a character
  EXPECT_EQ(out, "没有事敏感的");
  stream.finish(out);
}

TEST(WordList, names_the_line_that_is_wrong) {
  const auto bad = make_word_list(std::vector<WordSource>{{"words.txt", "good\n\xFF\n", WordAction::kBlock}});
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("words.txt:2: not UTF-8"), std::string::npos) << bad.error().message;
  const auto lengthy =
      make_word_list(std::vector<WordSource>{{"words.txt", std::string(129, 'x'), WordAction::kBlock}});
  EXPECT_NE(lengthy.error().message.find("words.txt:1: 129 characters"), std::string::npos);
  EXPECT_FALSE(make_word_list(std::vector<WordSource>{{"words.txt", "# nothing\n\n", WordAction::kBlock}}));
  const auto dropped = make_word_list(std::vector<WordSource>{{"words.txt", "ok\n。。\nc++\r\n", WordAction::kBlock}});
  ASSERT_TRUE(dropped);
  EXPECT_EQ(dropped->words.size(), 1U);
  EXPECT_EQ(dropped->dropped, 2U) << "nothing, or one letter, is left of them";
}

// The definition in word_filter.h, character by character, with no automaton and no stream.
class Oracle {
 public:
  Oracle(const WordList& list, const WordFilterOptions& options, std::string_view text)
      : list_(&list), options_(&options), text_(text) {
    for (size_t i = 0; i < text.size();) {
      const DecodedChar c = decode_char(text, i);
      const char32_t folded = FoldTable::get().fold(c.code);
      if (folded != 0) {
        std::string bytes;
        append_utf8(bytes, folded);
        kept_.push_back({i, i + c.bytes, bytes});
      }
      all_.push_back({i, i + c.bytes, {}});
      i += c.bytes;
    }
  }

  std::string result() {
    std::vector<Found> found;
    for (size_t begin = 0; begin < kept_.size(); ++begin) {
      for (const Word& word : list_->words) find(word, begin, found);
    }
    std::ranges::sort(
        found, [](const Found& a, const Found& b) { return a.end != b.end ? a.end < b.end : a.begin < b.begin; });
    size_t cut = text_.size();
    std::vector<bool> covered(text_.size());
    for (const Found& f : found) {
      if (f.action == WordAction::kBlock) {
        cut = f.begin;
        break;
      }
      if (f.action == WordAction::kReplace)
        std::fill(covered.begin() + static_cast<long>(f.begin), covered.begin() + static_cast<long>(f.end), true);
    }
    std::string out;
    for (const Char& c : all_) {
      if (c.begin >= cut) break;
      out += covered[c.begin] ? options_->replacement : std::string(text_.substr(c.begin, c.end - c.begin));
    }
    return out;
  }

 private:
  struct Char {
    size_t begin, end;
    std::string folded;
  };
  struct Found {
    size_t begin, end;
    WordAction action;
  };
  size_t skipped_between(size_t from, size_t to) const {
    return static_cast<size_t>(
        std::ranges::count_if(all_, [&](const Char& c) { return c.begin >= from && c.end <= to; }));
  }
  bool alnum(size_t i) const { return is_ascii_alnum(kept_[i].folded[0]); }

  void find(const Word& word, size_t begin, std::vector<Found>& found) const {
    if (begin + word.chars > kept_.size()) return;
    std::string folded;
    const size_t last = begin + word.chars - 1;
    bool space = false;
    bool tight = false;
    for (size_t i = begin; i <= last; ++i) {
      folded += kept_[i].folded;
      if (i == begin) continue;
      const size_t from = kept_[i - 1].end;
      const size_t to = kept_[i].begin;
      if (skipped_between(from, to) > options_->gap_max) return;
      if (!alnum(i - 1) || !alnum(i)) continue;
      if (from == to) tight = true;
      bool white = false;
      for (const Char& c : all_) {
        if (c.begin >= from && c.end <= to) white = white || is_white_space(decode_char(text_, c.begin).code);
      }
      if (white && std::ranges::find(word.spaces, i - begin) == word.spaces.end()) space = true;
    }
    if (folded != word.folded || (space && tight)) return;
    if (options_->whole_words == WholeWords::kRequired) {
      if (alnum(begin) && begin > 0 && alnum(begin - 1) && kept_[begin - 1].end == kept_[begin].begin) return;
      if (alnum(last) && last + 1 < kept_.size() && alnum(last + 1) && kept_[last].end == kept_[last + 1].begin) return;
    }
    found.push_back({kept_[begin].begin, kept_[last].end, word.action});
  }

  const WordList* list_;
  const WordFilterOptions* options_;
  std::string_view text_;
  std::vector<Char> kept_;
  std::vector<Char> all_;
};

// Few different characters, so that words overlap, nest and almost match all the time.
constexpr std::string_view kAlphabet[] = {"甲", "乙", "車", "车",     "a", "B",  "b",
                                          "ｃ", " ",  "*",  "\u200B", "1", "　", "🙂"};

std::string random_text(std::mt19937& random, size_t chars_max) {
  std::string text;
  const size_t chars = random() % (chars_max + 1);
  for (size_t i = 0; i < chars; ++i) text += kAlphabet[random() % std::size(kAlphabet)];
  return text;
}

WordList random_list(std::mt19937& random) {
  std::string lines[3];
  for (int i = 0; i < 6; ++i) {
    std::string word = random_text(random, 4);
    lines[random() % 3] += word + "\n";
  }
  return list_of(lines[0] + "甲乙\n", random() % 3 == 0 ? lines[1] : "", lines[2]);
}

class WordFilterProperty : public testing::TestWithParam<Kind> {};

TEST_P(WordFilterProperty, streams_equal_the_definition_at_every_cut) {
  const unsigned seed = 20261125;
  std::mt19937 random(seed);
  for (int round = 0; round < 400; ++round) {
    const WordFilterOptions options{.gap_max = static_cast<uint32_t>(random() % 4),
                                    .whole_words = random() % 4 == 0 ? WholeWords::kAny : WholeWords::kRequired};
    const WordList list = random_list(random);
    const auto filter = filter_of(list, GetParam(), options);
    const std::string text = random_text(random, 24);
    const std::string expected = Oracle(list, options, text).result();
    ASSERT_EQ(filtered(*filter, text), expected) << "seed " << seed << " round " << round << ": " << text;
    for (size_t cut = 0; cut <= text.size(); ++cut) {  // inside characters too
      WordStream stream(*filter);
      std::string out;
      stream.push(std::string_view(text).substr(0, cut), out);
      ASSERT_LE(stream.held(), filter->longest_match() + 3);
      stream.push(std::string_view(text).substr(cut), out);
      stream.finish(out);
      ASSERT_EQ(out, expected) << "seed " << seed << " round " << round << " cut " << cut << ": " << text;
    }
    WordStream bytewise(*filter);
    std::string out;
    for (const char byte : text) {
      const size_t before = out.size();
      bytewise.push(std::string_view(&byte, 1), out);
      ASSERT_EQ(out.substr(0, before), expected.substr(0, before));
    }
    bytewise.finish(out);
    ASSERT_EQ(out, expected) << "round " << round;
  }
}

INSTANTIATE_TEST_SUITE_P(Matchers, WordFilterProperty, testing::Values(Kind::kHyperscan, Kind::kAutomaton),
                         [](const auto& test) { return test.param == Kind::kHyperscan ? "hyperscan" : "automaton"; });

TEST(WordFilter, long_texts_cross_its_blocks) {
  const auto filter = filter_of(list_of("敏感词\nlong word"));
  std::string text;
  std::string expected;
  for (int i = 0; i < 4000; ++i) {
    text += "普通的文字，敏、感 词和 LONG word。";
    expected += "普通的文字，*****和 *********。";
  }
  EXPECT_EQ(filtered(*filter, text), expected);
}

}  // namespace
}  // namespace cove::plugins

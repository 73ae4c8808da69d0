#include "services/plugins/words/word_filter.h"

#include <algorithm>

#include "base/utf8.h"

namespace cove::plugins {
namespace {

constexpr size_t kBlockBytes = 16384;  // folded text and origins of a block stay in the L2 cache

bool is_char_begin(char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }
// A hash of the first character or, where there are more, the first two; ASCII letters count for themselves.
size_t beginning_of(std::string_view folded) {
  const auto end_of_char = [folded](size_t begin) {
    size_t end = begin + 1;
    while (end < folded.size() && !is_char_begin(folded[end])) ++end;
    return end;
  };
  const size_t first = end_of_char(0);
  const size_t bytes = first < folded.size() ? end_of_char(first) : first;
  uint32_t hash = 0;
  for (size_t i = 0; i < bytes; ++i) hash = (hash ^ static_cast<unsigned char>(folded[i])) * 0x01000193U;
  return (hash ^ hash >> 15) & 0xFFFF;
}

bool holds_white_space(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const DecodedChar c = decode_char(text, i);
    if (is_white_space(c.code)) return true;
    i += c.bytes;
  }
  return false;
}

}  // namespace

std::vector<std::string> folded_words(const WordList& list) {
  std::vector<std::string> out;
  for (const Word& word : list.words) out.push_back(word.folded);
  return out;
}

Result<std::unique_ptr<WordFilter>> WordFilter::create(WordList list, WordFilterOptions options) {
  TRY_ASSIGN(auto matcher, make_matcher(folded_words(list)));
  return std::make_unique<WordFilter>(std::move(list), std::move(options), std::move(matcher));
}

WordFilter::WordFilter(WordList list, WordFilterOptions options, std::unique_ptr<WordMatcher> matcher)
    : list_(std::move(list)), options_(std::move(options)), matcher_(std::move(matcher)), beginnings_(0x10000) {
  for (const Word& word : list_.words) {
    longest_folded_ = std::max(longest_folded_, word.folded.size());
    longest_chars_ = std::max<size_t>(longest_chars_, word.chars);
    briefs_.push_back({.bytes = static_cast<uint16_t>(word.folded.size()),
                       .action = word.action,
                       .latin = std::ranges::any_of(word.folded, is_ascii_alnum)});
    if (word.chars < 2) continue;
    size_t first = 1;
    while (!is_char_begin(word.folded[first])) ++first;
    beginnings_[beginning_of(word.folded)] = true;
    beginnings_[beginning_of(std::string_view(word.folded).substr(0, first))] = true;
  }
}

bool WordFilter::begins_word(std::string_view folded) const {
  if (!beginnings_[beginning_of(folded)]) return false;
  const auto next =
      std::ranges::upper_bound(list_.words, folded, {}, [](const Word& w) { return std::string_view(w.folded); });
  return next != list_.words.end() && next->folded.starts_with(folded);
}

size_t WordFilter::longest_match() const { return 4 * longest_chars_ * (1 + options_.gap_max); }

WordStream::WordStream(const WordFilter& filter)
    : filter_(&filter), matches_(filter.matcher().open()), normalizer_(filter.options().gap_max) {}

void WordStream::push(std::string_view text, std::string& out) {
  while (!text.empty() && !blocked()) {
    const size_t bytes = std::min(text.size(), kBlockBytes);
    raw_.append(text.substr(0, bytes));
    text.remove_prefix(bytes);
    process(More::kMayCome, out);
  }
}

void WordStream::finish(std::string& out) {
  if (!blocked()) process(More::kNone, out);
}

void WordStream::process(More more, std::string& out) {
  const std::string_view fresh = std::string_view(raw_).substr(seen_);
  const size_t complete = more == More::kNone ? fresh.size() : complete_utf8_prefix(fresh);
  const size_t known = normal_.bytes.size();
  normalizer_.push(std::string_view(raw_).substr(0, seen_ + complete), seen_, normal_);
  seen_ += complete;
  scan(known);
  resolve(more);
  found_.clear();
  if (blocked()) {
    // accept() has cut raw_ where the word begins.
    emit(raw_.size(), out);
    raw_.clear();
    return;
  }
  const size_t end = frontier(more);
  emit(end, out);
  forget(end);
}

// Fills found_ with what waited and what is new, in order of the ends, of those the longest first.
void WordStream::scan(size_t known) {
  found_.swap(waiting_);
  waiting_.clear();
  const size_t waited = found_.size();
  matches_->scan(std::string_view(normal_.bytes).substr(known), found_);
  scanned_ += normal_.bytes.size() - known;
  if (found_.size() == waited) return;
  const auto before = [this](const WordMatch& a, const WordMatch& b) {
    return a.end != b.end ? a.end < b.end : filter_->brief(a.word).bytes > filter_->brief(b.word).bytes;
  };
  if (!std::ranges::is_sorted(found_, before)) std::ranges::sort(found_, before);
}

WordStream::Span WordStream::raw_span(const WordMatch& match) const {
  const size_t normal_end = normal_.bytes.size() - static_cast<size_t>(scanned_ - match.end);
  const size_t normal_begin = normal_end - filter_->brief(match.word).bytes;
  return {normal_.origin[normal_begin], char_end(normal_.origin[normal_end - 1])};
}

// In order of the matches' ends: the first blocking word that is complete ends the text, whatever comes after it.
void WordStream::resolve(More more) {
  for (const WordMatch& match : found_) {
    const Span raw = raw_span(match);
    const Verdict verdict = judge(match, raw, more);
    if (verdict == Verdict::kWait) waiting_.push_back(match);
    if (verdict == Verdict::kYes) accept(match, raw);
    if (blocked()) return;
  }
}

WordStream::Verdict WordStream::judge(const WordMatch& match, Span raw, More more) const {
  if (!filter_->brief(match.word).latin) return Verdict::kYes;
  const Word& word = filter_->word(match.word);
  const size_t normal_end = normal_.bytes.size() - static_cast<size_t>(scanned_ - match.end);
  const size_t normal_begin = normal_end - word.folded.size();
  if (!gaps_allowed(word, normal_begin)) return Verdict::kNo;
  if (filter_->options().whole_words == WholeWords::kAny) return Verdict::kYes;
  if (is_ascii_alnum(word.folded.front())) {
    // The kept character before, if it stands right in front of the match.
    const bool inside = normal_begin > 0;
    const bool alnum = inside ? is_ascii_alnum(normal_.bytes[normal_begin - 1]) &&
                                    char_end(normal_.origin[normal_begin - 1]) == raw.begin
                              : alnum_before_ && raw.begin == 0;
    if (alnum) return Verdict::kNo;
  }
  if (!is_ascii_alnum(word.folded.back())) return Verdict::kYes;
  if (normal_end < normal_.bytes.size()) {
    const bool adjacent = normal_.origin[normal_end] == raw.end;
    return adjacent && is_ascii_alnum(normal_.bytes[normal_end]) ? Verdict::kNo : Verdict::kYes;
  }
  return raw.end < seen_ || more == More::kNone ? Verdict::kYes : Verdict::kWait;
}

// Only gaps between two ASCII letters or digits can forbid anything, and only those with white space.
bool WordStream::gaps_allowed(const Word& word, size_t normal_begin) const {
  const std::string_view folded = word.folded;
  bool unexpected_space = false;
  bool tight = false;  // two letters stand side by side
  uint32_t index = 0;
  for (size_t i = 0; i + 1 < folded.size(); ++i) {
    if (is_char_begin(folded[i + 1])) ++index;
    if (!is_ascii_alnum(folded[i]) || !is_ascii_alnum(folded[i + 1])) continue;
    const size_t gap_begin = char_end(normal_.origin[normal_begin + i]);
    const size_t gap_end = normal_.origin[normal_begin + i + 1];
    if (gap_begin == gap_end) {
      tight = true;
    } else if (std::ranges::find(word.spaces, index) == word.spaces.end() &&
               holds_white_space(std::string_view(raw_).substr(gap_begin, gap_end - gap_begin))) {
      unexpected_space = true;
    }
  }
  return !unexpected_space || !tight;
}

void WordStream::accept(const WordMatch& match, Span raw) {
  switch (filter_->brief(match.word).action) {
    case WordAction::kLog: ++counts_.logged; return;
    case WordAction::kReplace:
      ++counts_.replaced;
      covered_.push_back(raw);
      return;
    case WordAction::kBlock:
      ++counts_.blocked;
      raw_.resize(raw.begin);
      return;
  }
}

// Where the text begins that later characters may still change: in front of a word that has begun or waits for what
// follows it.
size_t WordStream::frontier(More more) const {
  if (more == More::kNone) return raw_.size();
  size_t end = first_candidate();
  for (const WordMatch& match : waiting_) end = std::min(end, raw_span(match).begin);
  return end;
}

size_t WordStream::first_candidate() const {
  const std::string_view normal = normal_.bytes;
  const size_t longest = filter_->longest_folded();
  size_t at = normal.size() < longest ? 0 : normal.size() - longest + 1;
  for (; at < normal.size(); ++at) {
    if (is_char_begin(normal[at]) && filter_->begins_word(normal.substr(at))) return normal_.origin[at];
  }
  return seen_;
}

// Matches may overlap: a character in any of them is replaced once.
void WordStream::emit(size_t end, std::string& out) {
  size_t at = 0;
  if (covered_.size() > 1) std::ranges::sort(covered_, {}, &Span::begin);
  for (const Span& span : covered_) {
    const size_t begin = std::min(std::max(span.begin, at), end);
    const size_t stop = std::min(span.end, end);
    if (begin >= stop) continue;
    out.append(raw_, at, begin - at);
    for (size_t i = begin; i < stop; i = char_end(i)) out += filter_->options().replacement;
    at = stop;
  }
  out.append(raw_, at, end - at);
}

void WordStream::forget(size_t end) {
  if (end == 0) return;
  const auto keep = std::ranges::lower_bound(normal_.origin, end);
  const auto gone = static_cast<size_t>(keep - normal_.origin.begin());
  // The last character given out decides whether a word may begin right after it.
  alnum_before_ = gone > 0 && is_ascii_alnum(normal_.bytes[gone - 1]) && char_end(normal_.origin[gone - 1]) == end;
  normal_.bytes.erase(0, gone);
  normal_.origin.erase(normal_.origin.begin(), keep);
  for (uint32_t& origin : normal_.origin) origin -= static_cast<uint32_t>(end);
  std::erase_if(covered_, [end](const Span& span) { return span.end <= end; });
  for (Span& span : covered_) {
    span.begin = span.begin > end ? span.begin - end : 0;
    span.end -= end;
  }
  raw_.erase(0, end);
  seen_ -= end;
}

}  // namespace cove::plugins

#pragma once
// Lua 5.4's patterns with a bound on the work: the matcher that comes with Lua backtracks inside C, where neither the
// instruction limit nor a timeout reaches it. The language is that of the manual, section 6.4.1; the algorithm follows
// Lua's lstrlib.c (MIT licence). No allocation, no destructors: it may be left by a longjmp.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace cove::plugins {

inline constexpr int kCapturesMax = 32;  // as Lua's

// What may still be done; counts down. Negative = spent.
struct WorkBudget {
  int64_t steps = 0;
};

class PatternMatcher {
 public:
  struct Capture {
    const char* begin = nullptr;
    ptrdiff_t length = 0;  // or one of the two below
  };
  static constexpr ptrdiff_t kUnclosed = -1;
  static constexpr ptrdiff_t kPosition = -2;  // "()": where, not what

  // `pattern` without a leading '^'.
  PatternMatcher(std::string_view subject, std::string_view pattern, WorkBudget& budget)
      : begin_(subject.data()),
        end_(subject.data() + subject.size()),
        pattern_end_(pattern.data() + pattern.size()),
        pattern_(pattern.data()),
        budget_(&budget) {}

  // The end of a match that begins at `at`, or null; error() tells why when something is wrong.
  const char* match(const char* at);
  const char* error() const { return error_; }
  int captures() const { return level_; }
  const Capture& capture(int i) const { return captures_[i]; }

 private:
  const char* fail(const char* why) {
    if (error_ == nullptr) error_ = why;
    return nullptr;
  }
  bool spend() {
    if (--budget_->steps >= 0) return true;
    fail("the pattern takes too many steps");
    return false;
  }
  const char* do_match(const char* s, const char* p);
  const char* match_special(const char* s, const char* p, bool& handled);
  const char* match_item(const char* s, const char* p);
  const char* class_end(const char* p);
  bool single_match(const char* s, const char* p, const char* ep) const;
  const char* max_expand(const char* s, const char* p, const char* ep);
  const char* min_expand(const char* s, const char* p, const char* ep);
  const char* start_capture(const char* s, const char* p, ptrdiff_t what);
  const char* end_capture(const char* s, const char* p);
  const char* match_balance(const char* s, const char* p);
  const char* match_frontier(const char* s, const char* p);
  const char* match_back_reference(const char* s, char digit);
  int capture_to_close();

  const char* begin_;
  const char* end_;
  const char* pattern_end_;
  const char* pattern_;
  WorkBudget* budget_;
  const char* error_ = nullptr;
  int level_ = 0;
  int depth_ = 0;
  Capture captures_[kCapturesMax];
};

}  // namespace cove::plugins

#include "text/chat/reasoning_parser.h"

#include <utility>

#include "text/chat/tag_search.h"

namespace cove::text {
namespace {

void add_reasoning(std::vector<ReasoningDelta>& out, std::string_view text) {
  if (!text.empty()) out.push_back({.reasoning = std::string(text), .content = {}});
}

void add_content(std::vector<ReasoningDelta>& out, std::string_view text) {
  if (!text.empty()) out.push_back({.reasoning = {}, .content = std::string(text)});
}

}  // namespace

ReasoningStart reasoning_start(std::string_view rendered_prompt, const ReasoningFormat& format) {
  const size_t last = rendered_prompt.find_last_not_of(" \t\r\n");
  const std::string_view trimmed = rendered_prompt.substr(0, last == std::string_view::npos ? 0 : last + 1);
  return trimmed.ends_with(format.open) ? ReasoningStart::kInside : ReasoningStart::kDetect;
}

ReasoningParser::ReasoningParser(ReasoningStart start, ReasoningFormat format)
    : state_(start == ReasoningStart::kInside   ? State::kOpening
             : start == ReasoningStart::kDetect ? State::kBeforeOpen
                                                : State::kContent),
      format_(std::move(format)) {}

std::vector<ReasoningDelta> ReasoningParser::push(std::string_view text) {
  held_ += text;
  std::vector<ReasoningDelta> out;
  while (!held_.empty() && step(out) == Progress::kGoOn) {}
  return out;
}

ReasoningParser::Progress ReasoningParser::step(std::vector<ReasoningDelta>& out) {
  switch (state_) {
    case State::kBeforeOpen:
    case State::kOpening: return step_before_text(out);
    case State::kReasoning: return step_reasoning(out);
    case State::kAfterClose: return step_after_close();
    case State::kContent: add_content(out, std::exchange(held_, {})); return Progress::kWait;
  }
  return Progress::kWait;
}

// White space, then a tag or the first text. White space counts only when text follows it.
ReasoningParser::Progress ReasoningParser::step_before_text(std::vector<ReasoningDelta>&) {
  const size_t space = leading_space(held_);
  const std::string_view rest = std::string_view(held_).substr(space);
  if (rest.starts_with(format_.open)) {
    held_.erase(0, space + format_.open.size());
    state_ = State::kOpening;
    return Progress::kGoOn;
  }
  // Inside, white space before the close tag is reasoning like any other; outside, the close tag ends an empty
  // reasoning.
  if (rest.starts_with(format_.close) && state_ == State::kBeforeOpen) {
    held_.erase(0, space + format_.close.size());
    state_ = State::kAfterClose;
    return Progress::kGoOn;
  }
  const bool undecided = rest.empty() || may_become(rest, format_.open) ||
                         (state_ == State::kBeforeOpen && may_become(rest, format_.close));
  if (undecided) return Progress::kWait;
  state_ = state_ == State::kOpening ? State::kReasoning : State::kContent;
  return Progress::kGoOn;
}

ReasoningParser::Progress ReasoningParser::step_reasoning(std::vector<ReasoningDelta>& out) {
  const size_t close = held_.find(format_.close);
  if (close != std::string::npos) {
    add_reasoning(out, std::string_view(held_).substr(0, close));
    held_.erase(0, close + format_.close.size());
    state_ = State::kAfterClose;
    return Progress::kGoOn;
  }
  const size_t certain = held_.size() - partial_tag_at_end(held_, format_.close);
  add_reasoning(out, std::string_view(held_).substr(0, certain));
  held_.erase(0, certain);
  return Progress::kWait;
}

ReasoningParser::Progress ReasoningParser::step_after_close() {
  if (held_ == "\n") return Progress::kWait;
  if (held_.starts_with("\n\n")) held_.erase(0, 2);
  state_ = State::kContent;
  return Progress::kGoOn;
}

std::vector<ReasoningDelta> ReasoningParser::finish() {
  std::vector<ReasoningDelta> out;
  const std::string rest = std::exchange(held_, {});
  if (state_ == State::kOpening) {
    // Space alone is reasoning; a tag that was cut off is not.
    add_reasoning(out, std::string_view(rest).substr(0, leading_space(rest)));
  } else if (state_ == State::kBeforeOpen || state_ == State::kAfterClose) {
    add_content(out, rest);
  }
  return out;
}

}  // namespace cove::text

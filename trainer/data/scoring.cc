#include "data/scoring.h"

#include <algorithm>

namespace cove::trainer {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n')) text.remove_suffix(1);
  return text;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "-12.5" out of "... is -12.5 kg."; empty when there is none.
std::string_view last_number(std::string_view text) {
  size_t end = text.size();
  while (end > 0 && !is_digit(text[end - 1])) --end;
  size_t begin = end;
  while (begin > 0 && (is_digit(text[begin - 1]) || (text[begin - 1] == '.' && begin < end))) --begin;
  if (begin > 0 && text[begin - 1] == '-') --begin;
  return text.substr(begin, end - begin);
}

bool right(std::string_view answer, const Check& check) {
  auto has = [&](const std::string& want) { return answer.find(want) != std::string_view::npos; };
  switch (check.kind) {
    case CheckKind::kNumber: return last_number(answer) == check.want[0];
    case CheckKind::kContains: return std::all_of(check.want.begin(), check.want.end(), has);
    case CheckKind::kAny: return std::any_of(check.want.begin(), check.want.end(), has);
    case CheckKind::kExact: return answer == trim(check.want[0]);
    case CheckKind::kTool: break;
  }
  return answer == "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>" + check.want[0] + "\n```json\n" +
                       check.want[1] + "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>";
}

}  // namespace

Verdict judge(std::string_view generated, const Check& check) {
  constexpr std::string_view kClose = "</think>";
  size_t close = generated.find(kClose);
  if (close == std::string_view::npos) return {};
  return {.closed = true, .correct = right(trim(generated.substr(close + kClose.size())), check)};
}

}  // namespace cove::trainer

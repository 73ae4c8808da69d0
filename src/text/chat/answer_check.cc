#include "text/chat/answer_check.h"

#include <algorithm>
#include <utility>

namespace cove::text {
namespace {

constexpr std::string_view kClose = "</think>";
constexpr std::pair<std::string_view, CheckKind> kKinds[] = {{"number", CheckKind::kNumber},
                                                             {"contains", CheckKind::kContains},
                                                             {"any", CheckKind::kAny},
                                                             {"exact", CheckKind::kExact},
                                                             {"tool", CheckKind::kTool}};

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
  const auto has = [&](const std::string& want) { return answer.find(want) != std::string_view::npos; };
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

std::string_view check_name(CheckKind kind) { return kKinds[static_cast<size_t>(kind)].first; }

Result<Check> check_from_json(const json::value& value) {
  const json::value* kind = find_member(value, "kind");
  const json::value* want = find_member(value, "want");
  if (kind == nullptr || !kind->is_string() || want == nullptr || !want->is_array())
    return invalid_argument("a check needs \"kind\", a string, and \"want\", an array of strings");
  Check check;
  for (const json::value& w : want->get_array()) {
    if (!w.is_string()) return invalid_argument("a check's \"want\" holds something that is not a string");
    check.want.emplace_back(w.get_string());
  }
  const auto* const found =
      std::ranges::find(kKinds, std::string_view(kind->get_string()), &std::pair<std::string_view, CheckKind>::first);
  if (found == std::end(kKinds)) {
    return invalid_argument("a check is of unknown kind '" + std::string(kind->get_string()) +
                            "'; there are number, contains, any, exact and tool");
  }
  check.kind = found->second;
  if (check.want.size() < (check.kind == CheckKind::kTool ? 2U : 1U))
    return invalid_argument("a check's \"want\" has too few values");
  return check;
}

Verdict judge(std::string_view generated, const Check& check) {
  const size_t close = generated.find(kClose);
  if (close == std::string_view::npos) return {};
  return {.closed = true, .correct = right(trim(generated.substr(close + kClose.size())), check)};
}

Verdict judge_without_reasoning(std::string_view generated, const Check& check) {
  const size_t close = generated.find(kClose);
  const size_t begin = close == std::string_view::npos ? 0 : close + kClose.size();
  return {.closed = true, .correct = right(trim(generated.substr(begin)), check)};
}

}  // namespace cove::text

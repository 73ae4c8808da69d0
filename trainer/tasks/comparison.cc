// Comparing numbers (decimals too), sorting lists, who is tallest.

#include <algorithm>

#include "tasks/steps.h"
#include "tasks/tasks.h"
#include "tasks/words.h"

namespace cove::trainer {
namespace {

struct Value {
  int64_t scaled = 0;  // in hundredths
  std::string shown;
};

Value draw_value(Rng& rng, int64_t kind) {
  if (kind == 0) {
    int64_t v = rng.chance(0.5) ? rng.range(1, 99) : rng.chance(0.5) ? rng.range(100, 999) : rng.range(1000, 9999);
    return {v * 100, str(v)};
  }
  int64_t whole = rng.range(0, rng.chance(0.7) ? 20 : 99), places = rng.range(kind == 2 ? 0 : 1, 2);
  int64_t fraction = places == 0 ? 0 : places == 1 ? rng.range(1, 9) * 10 : rng.range(1, 99);
  return {whole * 100 + fraction, decimal(whole * 100 + fraction, 2)};
}

std::string padded(const Value& v) {
  std::string text = v.shown;
  size_t dot = text.find('.');
  if (dot == std::string::npos) return text + ".00";
  while (text.size() - dot < 3) text += '0';
  return text;
}

Sample compare_pair(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t kind = rng.range(0, 1);
  Value a = draw_value(rng, kind), b = draw_value(rng, kind);
  if (rng.chance(0.4)) {
    // Close numbers: the same whole part, or the same length.
    if (kind == 1) b.scaled = a.scaled / 100 * 100 + rng.range(1, 99), b.shown = decimal(b.scaled, 2);
    if (kind == 0) b.scaled = std::max<int64_t>(100, a.scaled + 100 * rng.range(-9, 9)), b.shown = decimal(b.scaled, 2);
  }
  if (a.scaled == b.scaled) return compare_pair(draw);
  bool larger = rng.chance(0.6);
  const Value& best = (a.scaled > b.scaled) == larger ? a : b;
  std::string prompt =
      fill(larger ? (draw.chinese() ? rng.pick({"{a}和{b}哪个大?", "{a}与{b},哪个更大?", "比较{a}和{b},较大的是哪个?",
                                                "{a}大还是{b}大?", "哪个数更大:{a}还是{b}?"})
                                    : rng.pick({"Which is larger, {a} or {b}?", "Which number is bigger: {a} or {b}?",
                                                "Compare {a} and {b}: which is greater?", "Is {a} or {b} larger?"}))
                  : (draw.chinese() ? rng.pick({"{a}和{b}哪个小?", "{a}与{b},哪个更小?", "比较{a}和{b},较小的是哪个?"})
                                    : rng.pick({"Which is smaller, {a} or {b}?", "Which number is less: {a} or {b}?",
                                                "Compare {a} and {b}: which is smaller?"})),
           {{"a", a.shown}, {"b", b.shown}});
  std::string sign = a.scaled > b.scaled ? ">" : "<";
  std::string reasoning = kind == 1 ? padded(a) + sign + padded(b) : a.shown + sign + b.shown;
  std::string answer = fill(larger ? draw.say("{r}更大。", "{r} is larger.") : draw.say("{r}更小。", "{r} is smaller."),
                            {{"r", best.shown}});
  return make_sample(draw, "cmp|" + a.shown + "|" + b.shown, prompt, reasoning, answer, {CheckKind::kExact, {answer}});
}

std::string list_text(const std::vector<Value>& values, const std::string& separator) {
  std::string out;
  for (size_t i = 0; i < values.size(); ++i) out += (i == 0 ? "" : separator) + values[i].shown;
  return out;
}

std::vector<Value> distinct_values(Rng& rng, int64_t count) {
  int64_t kind = rng.chance(0.75) ? 0 : 1;
  int64_t high = rng.pick(std::vector<int64_t>{20, 99, 99, 999, 9999});
  std::vector<Value> values;
  while (static_cast<int64_t>(values.size()) < count) {
    Value v = draw_value(rng, kind);
    if (kind == 0) v.scaled = 100 * rng.range(1, high), v.shown = str(v.scaled / 100);
    bool seen = std::any_of(values.begin(), values.end(), [&](const Value& other) { return other.scaled == v.scaled; });
    if (!seen) values.push_back(v);
  }
  return values;
}

Sample sort_list(const Draw& draw) {
  Rng& rng = draw.rng;
  std::vector<Value> values = distinct_values(rng, rng.range(3, 8));
  bool up = rng.chance(0.6);
  std::string separator = draw.chinese() ? rng.pick({"、", ",", ", ", " "}) : rng.pick({", ", ", ", " ", ","});
  std::string shown = list_text(values, separator);
  std::string prompt = fill(
      up ? (draw.chinese()
                ? rng.pick({"把{l}从小到大排列。", "将下列数从小到大排序:{l}", "从小到大排序:{l}", "按升序排列{l}",
                            "请把这些数从小到大排好:{l}"})
                : rng.pick({"Sort {l} from smallest to largest.", "Sort these numbers in ascending order: {l}",
                            "Arrange from small to large: {l}", "Put {l} in increasing order."}))
         : (draw.chinese()
                ? rng.pick({"把{l}从大到小排列。", "将下列数从大到小排序:{l}", "从大到小排序:{l}", "按降序排列{l}"})
                : rng.pick({"Sort {l} from largest to smallest.", "Sort these numbers in descending order: {l}",
                            "Arrange from large to small: {l}", "Put {l} in decreasing order."})),
      {{"l", shown}});
  // The reasoning takes out the extreme number and writes what is left, so that each line is one comparison pass.
  std::vector<Value> rest = values, sorted;
  std::string reasoning;
  while (!rest.empty()) {
    auto at = std::min_element(rest.begin(), rest.end(), [&](const Value& a, const Value& b) {
      return up ? a.scaled < b.scaled : a.scaled > b.scaled;
    });
    sorted.push_back(*at);
    rest.erase(at);
    if (!rest.empty()) reasoning += sorted.back().shown + " | " + list_text(rest, " ") + "\n";
  }
  reasoning += sorted.back().shown;
  std::string answer = list_text(sorted, draw.chinese() ? "、" : ", ");
  return make_sample(draw, "sort|" + list_text(values, ","), prompt, reasoning, answer, {CheckKind::kExact, {answer}});
}

Sample extreme(const Draw& draw) {
  Rng& rng = draw.rng;
  std::vector<Value> values = distinct_values(rng, rng.range(3, 8));
  bool largest = rng.chance(0.5);
  std::string shown = list_text(values, draw.chinese() ? rng.pick({"、", ",", " "}) : ", ");
  std::string prompt =
      fill(largest ? (draw.chinese() ? rng.pick({"{l}中最大的数是哪个?", "下列数中最大的是:{l}", "找出最大的数:{l}"})
                                     : rng.pick({"What is the largest number in {l}?", "Find the maximum of {l}.",
                                                 "Which of {l} is the largest?"}))
                   : (draw.chinese() ? rng.pick({"{l}中最小的数是哪个?", "下列数中最小的是:{l}", "找出最小的数:{l}"})
                                     : rng.pick({"What is the smallest number in {l}?", "Find the minimum of {l}.",
                                                 "Which of {l} is the smallest?"})),
           {{"l", shown}});
  Value best = values[0];
  std::string reasoning = best.shown;
  for (size_t i = 1; i < values.size(); ++i) {
    bool better = (values[i].scaled > best.scaled) == largest;
    reasoning += "," + values[i].shown + (values[i].scaled > best.scaled ? ">" : "<") + best.shown;
    if (better) best = values[i];
    reasoning += ":" + best.shown;
  }
  std::string answer = fill(largest ? draw.say("最大的数是{r}。", "The largest number is {r}.")
                                    : draw.say("最小的数是{r}。", "The smallest number is {r}."),
                            {{"r", best.shown}});
  return make_sample(draw, "ext|" + list_text(values, ","), prompt, reasoning, answer, {CheckKind::kExact, {answer}});
}

// "甲比乙高,乙比丙高,谁最高?"
Sample ranking(const Draw& draw) {
  Rng& rng = draw.rng;
  std::vector<std::string> people = {person(draw)};
  int64_t count = rng.range(3, 4);
  while (static_cast<int64_t>(people.size()) < count) {
    std::string next = person(draw);
    if (std::find(people.begin(), people.end(), next) == people.end()) people.push_back(next);
  }
  struct Quality {
    std::string_view zh, en, en_most, en_least, zh_opposite;
  };
  static constexpr Quality kQualities[] = {{"高", "taller", "tallest", "shortest", "矮"},
                                           {"重", "heavier", "heaviest", "lightest", "轻"},
                                           {"大", "older", "oldest", "youngest", "小"},
                                           {"快", "faster", "fastest", "slowest", "慢"}};
  const Quality& q = kQualities[rng.range(0, 3)];
  struct Fact {
    std::string sentence, order;
  };
  std::vector<Fact> facts;
  for (size_t i = 0; i + 1 < people.size(); ++i) {
    bool flipped = draw.chinese() && rng.chance(0.3);
    facts.push_back({fill(flipped          ? "{b}比{a}" + std::string(q.zh_opposite)
                          : draw.chinese() ? "{a}比{b}" + std::string(q.zh)
                                           : "{a} is " + std::string(q.en) + " than {b}",
                          {{"a", people[i]}, {"b", people[i + 1]}}),
                     people[i] + ">" + people[i + 1]});
  }
  rng.shuffle(facts);
  std::string story, order;
  for (size_t i = 0; i < facts.size(); ++i) {
    story += (i == 0 ? "" : draw.chinese() ? "," : ". ") + facts[i].sentence;
    order += facts[i].order + "\n";
  }
  bool most = rng.chance(0.5);
  std::string prompt = story + (draw.chinese() ? "。谁最" + std::string(most ? q.zh : q.zh_opposite) + "?"
                                               : ". Who is the " + std::string(most ? q.en_most : q.en_least) + "?");
  std::string chain;
  for (size_t i = 0; i < people.size(); ++i) chain += (i == 0 ? "" : ">") + people[i];
  order += chain;
  const std::string& who = most ? people.front() : people.back();
  std::string answer = draw.chinese() ? who + "最" + std::string(most ? q.zh : q.zh_opposite) + "。"
                                      : who + " is the " + std::string(most ? q.en_most : q.en_least) + ".";
  return make_sample(draw, "rank|" + chain, prompt, order, answer, {CheckKind::kExact, {answer}});
}

}  // namespace

Sample comparison_task(const Draw& draw) {
  int64_t dice = draw.rng.range(0, 99);
  Sample sample = dice < 30   ? compare_pair(draw)
                  : dice < 65 ? sort_list(draw)
                  : dice < 85 ? extreme(draw)
                              : ranking(draw);
  sample.task = "comparison";
  return sample;
}

}  // namespace cove::trainer

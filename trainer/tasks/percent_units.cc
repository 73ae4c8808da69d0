// Percentages and unit conversions.

#include <algorithm>

#include "tasks/steps.h"
#include "tasks/tasks.h"
#include "tasks/words.h"

namespace cove::trainer {
namespace {

Sample number_answer(const Draw& draw, std::string key, std::string prompt, std::string reasoning, std::string answer,
                     const std::string& result) {
  return make_sample(draw, std::move(key), std::move(prompt), std::move(reasoning), fill(answer, {{"r", result}}),
                     {CheckKind::kNumber, {result}});
}

int64_t round_percent(Rng& rng) { return rng.chance(0.6) ? 5 * rng.range(1, 19) : rng.range(1, 99); }

// base × p ÷ 100, the product in columns and then two places.
std::string percent_steps(int64_t base, int64_t p) {
  return multiply_steps(base, p) + "\n" + str(base * p) + "÷100=" + decimal(base * p, 2);
}

int64_t percent_base(Rng& rng) {
  int64_t dice = rng.range(0, 3);
  return dice == 0   ? rng.range(2, 99)
         : dice == 1 ? 10 * rng.range(2, 99)
         : dice == 2 ? 100 * rng.range(1, 50)
                     : rng.range(100, 999);
}

Sample part_of(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t base = percent_base(rng), p = round_percent(rng);
  std::string prompt =
      fill(draw.chinese() ? rng.pick({"{b}的{p}%是多少?", "求{b}的{p}%。", "{b}的百分之{p}是多少?", "计算{b}的{p}%",
                                      "{b}的{p}%等于多少?", "一个班有{b}分的题,得了{p}%的分,得了多少分?"})
                          : rng.pick({"What is {p}% of {b}?", "Calculate {p}% of {b}.", "{p} percent of {b} is what?",
                                      "How much is {p}% of {b}?", "Find {p}% of {b}."}),
           {{"b", str(base)}, {"p", str(p)}});
  return number_answer(draw, "pct|" + str(base) + "|" + str(p), prompt,
                       str(base) + "×" + str(p) + "÷100\n" + percent_steps(base, p),
                       std::string(draw.say("答案是{r}。", "The answer is {r}.")), decimal(base * p, 2));
}

Sample discount(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t price = rng.chance(0.5) ? 10 * rng.range(2, 99) : rng.range(20, 999);
  int64_t off = 5 * rng.range(1, 18);
  bool fold = draw.chinese() && rng.chance(0.6);
  if (fold) off = 10 * rng.range(1, 8);
  int64_t keep = 100 - off;
  static const char* const kFolds[] = {"", "一", "二", "三", "四", "五", "六", "七", "八", "九"};
  std::string thing =
      draw.chinese()
          ? rng.pick({"一件衣服", "一双鞋", "一本书", "一台电脑", "一个书包", "一部手机", "一把椅子", "这件商品"})
          : rng.pick({"A shirt", "A pair of shoes", "A book", "A bag", "A phone", "A chair", "A coat", "A lamp"});
  std::string prompt;
  if (fold) {
    prompt = fill(rng.pick({"{t}原价{b}元,打{f}折后多少元?", "{t}原价{b}元,打{f}折,现价多少钱?",
                            "{t}{b}元,现在打{f}折出售,要付多少元?"}),
                  {{"t", thing}, {"b", str(price)}, {"f", rng.chance(0.5) ? kFolds[keep / 10] : str(keep / 10)}});
  } else {
    prompt = fill(draw.chinese() ? rng.pick({"{t}原价{b}元,降价{p}%后多少元?", "{t}原价{b}元,优惠{p}%,现价多少元?"})
                                 : rng.pick({"{t} costs ${b} and is {p}% off. What is the price now?",
                                             "{t} costs {b} dollars. After a {p}% discount, what is the price?",
                                             "{t} was ${b}. It is reduced by {p}%. What does it cost now?"}),
                  {{"t", thing}, {"b", str(price)}, {"p", str(off)}});
  }
  std::string reasoning = std::string(draw.say("要付原价的", "Pay ")) +
                          (fold ? str(keep) + "%" : "100%-" + str(off) + "%=" + str(keep) + "%") + "\n" +
                          percent_steps(price, keep);
  return number_answer(draw, "off|" + str(price) + "|" + str(keep), prompt, reasoning,
                       std::string(draw.say("现价是{r}元。", "The price is {r} dollars.")), decimal(price * keep, 2));
}

Sample increase(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t base = rng.chance(0.6) ? 10 * rng.range(2, 200) : rng.range(20, 999), p = 5 * rng.range(1, 16);
  std::string prompt =
      fill(draw.chinese()
               ? rng.pick({"{b}增加{p}%后是多少?", "工资{b}元,上涨{p}%后是多少元?", "某商品{b}元,涨价{p}%,现在多少元?",
                           "去年产量{b}吨,今年增长{p}%,今年多少吨?"})
               : rng.pick({"Increase {b} by {p}%.", "A salary of {b} dollars rises by {p}%. What is it now?",
                           "What is {b} increased by {p}%?", "Sales were {b} and grew by {p}%. What are they now?"}),
           {{"b", str(base)}, {"p", str(p)}});
  std::string reasoning = "100%+" + str(p) + "%=" + str(100 + p) + "%\n" + percent_steps(base, 100 + p);
  return number_answer(draw, "inc|" + str(base) + "|" + str(p), prompt, reasoning,
                       std::string(draw.say("结果是{r}。", "The result is {r}.")), decimal(base * (100 + p), 2));
}

Sample what_percent(const Draw& draw) {
  Rng& rng = draw.rng;
  static constexpr int64_t kWholes[] = {4, 5, 10, 20, 25, 40, 50, 80, 100, 200, 250, 400, 500};
  int64_t whole = kWholes[rng.range(0, 12)], part = 0, p = 0;
  do {
    p = rng.range(1, 99);
  } while (whole * p % 100 != 0);
  part = whole * p / 100;
  std::string prompt =
      fill(draw.chinese() ? rng.pick({"{a}是{b}的百分之几?", "{a}占{b}的百分之多少?",
                                      "{b}人中有{a}人及格,及格率是多少?", "{b}道题做对{a}道,正确率是百分之几?"})
                          : rng.pick({"What percent of {b} is {a}?", "{a} is what percentage of {b}?",
                                      "{a} of {b} students passed. What percent is that?",
                                      "{a} out of {b} answers are right. What percentage is that?"}),
           {{"a", str(part)}, {"b", str(whole)}});
  std::string reasoning = str(part) + "×100=" + str(part * 100) + "\n" + divide_steps(part * 100, whole);
  return number_answer(draw, "what|" + str(part) + "|" + str(whole), prompt, reasoning,
                       std::string(draw.say("是{r}%。", "It is {r}%.")), str(p));
}

struct Unit {
  std::string_view zh_big, zh_small, en_big, en_small, en_big_short, en_small_short;
  int64_t factor;
};

constexpr Unit kUnits[] = {{"千米", "米", "kilometers", "meters", "km", "m", 1000},
                           {"米", "厘米", "meters", "centimeters", "m", "cm", 100},
                           {"厘米", "毫米", "centimeters", "millimeters", "cm", "mm", 10},
                           {"千克", "克", "kilograms", "grams", "kg", "g", 1000},
                           {"吨", "千克", "tonnes", "kilograms", "t", "kg", 1000},
                           {"升", "毫升", "liters", "milliliters", "L", "mL", 1000},
                           {"小时", "分钟", "hours", "minutes", "h", "min", 60},
                           {"分钟", "秒", "minutes", "seconds", "min", "s", 60},
                           {"天", "小时", "days", "hours", "days", "hours", 24},
                           {"周", "天", "weeks", "days", "weeks", "days", 7},
                           {"元", "角", "dollars", "dimes", "dollars", "dimes", 10},
                           {"元", "分", "dollars", "cents", "dollars", "cents", 100},
                           {"公里", "米", "kilometers", "meters", "km", "m", 1000},
                           {"公斤", "克", "kilograms", "grams", "kg", "g", 1000},
                           {"打", "个", "dozen", "pieces", "dozen", "pieces", 12},
                           {"斤", "克", "pounds", "ounces", "lb", "oz", 0},
                           {"年", "个月", "years", "months", "years", "months", 12},
                           {"米", "毫米", "meters", "millimeters", "m", "mm", 1000}};

struct UnitNames {
  std::string big, small;
  int64_t factor;
  std::string id;
};

UnitNames pick_unit(const Draw& draw) {
  Rng& rng = draw.rng;
  const Unit& u = kUnits[rng.range(0, static_cast<int64_t>(std::size(kUnits)) - 1)];
  int64_t factor = u.factor == 0 ? (draw.chinese() ? 500 : 16) : u.factor;
  std::string id = std::string(u.en_big) + ">" + std::string(u.en_small);
  bool brief = rng.chance(draw.chinese() ? 0.2 : 0.4) && u.factor % 10 == 0 && u.en_big != "dollars";
  if (brief) return {std::string(u.en_big_short), std::string(u.en_small_short), factor, id};
  return {std::string(draw.say(u.zh_big, u.en_big)), std::string(draw.say(u.zh_small, u.en_small)), factor, id};
}

std::string ask_convert(const Draw& draw, const std::string& amount, const std::string& from, const std::string& to) {
  Rng& rng = draw.rng;
  return fill(draw.chinese() ? rng.pick({"{a}{f}等于多少{t}?", "{a}{f}是多少{t}?", "{a}{f}=?{t}", "把{a}{f}换算成{t}。",
                                         "{a}{f}合多少{t}?", "{a}{f}有多少{t}?"})
                             : rng.pick({"How many {t} are in {a} {f}?", "Convert {a} {f} to {t}.",
                                         "What is {a} {f} in {t}?", "{a} {f} = ? {t}", "{a} {f} is how many {t}?"}),
              {{"a", amount}, {"f", from}, {"t", to}});
}

std::string relation(const Draw& draw, const UnitNames& u) {
  return draw.chinese() ? "1" + u.big + "=" + str(u.factor) + u.small
                        : "1 " + u.big + " = " + str(u.factor) + " " + u.small;
}

std::string measure(const Draw& draw, const std::string& unit) {
  return draw.chinese() ? "等于{r}" + unit + "。" : "It is {r} " + unit + ".";
}

Sample to_small(const Draw& draw) {
  Rng& rng = draw.rng;
  UnitNames u = pick_unit(draw);
  bool tenths = u.factor % 10 == 0 && u.factor >= 100 && rng.chance(0.35);
  int64_t value = rng.range(1, rng.chance(0.7) ? 99 : 500);
  std::string shown = tenths ? decimal(value, 1) : str(value);
  int64_t result = tenths ? value * u.factor / 10 : value * u.factor;
  std::string steps = tenths ? shown + "×" + str(u.factor) + "=" + str(result) : multiply_steps(value, u.factor);
  return number_answer(draw, "unit|" + u.id + "|" + shown, ask_convert(draw, shown, u.big, u.small),
                       relation(draw, u) + "\n" + steps, measure(draw, u.small), str(result));
}

Sample to_big(const Draw& draw) {
  Rng& rng = draw.rng;
  UnitNames u = pick_unit(draw);
  bool fraction = (u.factor == 10 || u.factor == 100 || u.factor == 1000) && rng.chance(0.4);
  int digits = u.factor == 10 ? 1 : u.factor == 100 ? 2 : 3;
  int64_t value = fraction ? rng.range(1, 9999) : u.factor * rng.range(1, rng.chance(0.7) ? 60 : 200);
  std::string result = fraction ? decimal(value, digits) : str(value / u.factor);
  std::string steps =
      fraction || u.factor % 10 == 0 ? str(value) + "÷" + str(u.factor) + "=" + result : divide_steps(value, u.factor);
  if (!fraction && u.factor % 10 == 0 && u.factor != 10 && u.factor != 100 && u.factor != 1000)
    steps = divide_steps(value, u.factor);
  return number_answer(draw, "unit<|" + u.id + "|" + str(value), ask_convert(draw, str(value), u.small, u.big),
                       relation(draw, u) + "\n" + steps, measure(draw, u.big), result);
}

// "2小时35分钟是多少分钟?"
Sample compound(const Draw& draw) {
  Rng& rng = draw.rng;
  UnitNames u = pick_unit(draw);
  int64_t big = rng.range(1, 20), small = rng.range(1, u.factor - 1);
  std::string amount =
      draw.chinese() ? str(big) + u.big + str(small) : str(big) + " " + u.big + rng.pick({" and ", " "}) + str(small);
  std::string steps =
      relation(draw, u) + "\n" + multiply_steps(big, u.factor) + "\n" + add_steps(big * u.factor, small);
  return number_answer(draw, "comp|" + u.id + "|" + str(big) + "|" + str(small),
                       ask_convert(draw, amount, u.small, u.small), steps, measure(draw, u.small),
                       str(big * u.factor + small));
}

}  // namespace

Sample percent_task(const Draw& draw) {
  int64_t dice = draw.rng.range(0, 99);
  Sample sample = dice < 35   ? part_of(draw)
                  : dice < 65 ? discount(draw)
                  : dice < 82 ? increase(draw)
                              : what_percent(draw);
  sample.task = "percent";
  return sample;
}

Sample units_task(const Draw& draw) {
  int64_t dice = draw.rng.range(0, 99);
  Sample sample = dice < 45 ? to_small(draw) : dice < 80 ? to_big(draw) : compound(draw);
  sample.task = "units";
  return sample;
}

}  // namespace cove::trainer

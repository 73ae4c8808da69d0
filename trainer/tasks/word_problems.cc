// Word problems: a story with numbers, the plan in one line a step, the answer with its unit.

#include <algorithm>

#include "tasks/steps.h"
#include "tasks/tasks.h"
#include "tasks/words.h"

namespace cove::trainer {
namespace {

int64_t amount(Rng& rng) {
  int64_t dice = rng.range(0, 99);
  return dice < 25   ? rng.range(2, 20)
         : dice < 80 ? rng.range(10, 99)
         : dice < 95 ? rng.range(100, 999)
                     : rng.range(1000, 5000);
}

Sample number_answer(const Draw& draw, std::string key, std::string prompt, std::string reasoning, std::string answer,
                     const std::string& result) {
  return make_sample(draw, std::move(key), std::move(prompt), std::move(reasoning), fill(answer, {{"r", result}}),
                     {CheckKind::kNumber, {result}});
}

struct Verb {
  std::string_view zh, en;
  std::string_view kind;  // "" fits everything
};

constexpr Verb kGains[] = {{"又买了", "buys", ""},
                           {"又得到", "gets", ""},
                           {"又拿来", "brings", ""},
                           {"妈妈又给了", "receives", ""},
                           {"又收到", "is given", ""},
                           {"捡到", "finds", ""},
                           {"朋友送来", "gets from a friend", ""},
                           {"又买来", "buys", ""},
                           {"又做了", "makes", "food"},
                           {"又借来", "borrows", "book"},
                           {"又赢了", "wins", "toy"},
                           {"后来又买了", "later buys", ""}};
constexpr Verb kLosses[] = {{"吃了", "eats", "food"},
                            {"吃掉", "eats", "food"},
                            {"送给朋友", "gives a friend", ""},
                            {"卖掉", "sells", ""},
                            {"用了", "uses", "toy"},
                            {"丢了", "loses", ""},
                            {"分给同学", "gives classmates", ""},
                            {"借出", "lends out", "book"},
                            {"给了弟弟", "gives her brother", ""},
                            {"送出", "gives away", ""},
                            {"卖出", "sells", ""},
                            {"弄坏了", "breaks", "toy"},
                            {"拿走", "takes away", ""},
                            {"吃了", "eats", "food"}};

const Verb& pick_verb(Rng& rng, bool gain, const std::string& kind) {
  for (;;) {
    const Verb& verb = gain ? kGains[rng.range(0, static_cast<int64_t>(std::size(kGains)) - 1)]
                            : kLosses[rng.range(0, static_cast<int64_t>(std::size(kLosses)) - 1)];
    if (verb.kind.empty() || verb.kind == kind) return verb;
  }
}

// "小明有23个苹果,又买了48个,吃了17个,还剩几个?"
Sample running_total(const Draw& draw) {
  Rng& rng = draw.rng;
  const Thing& thing = rng.pick(things(draw.language));
  std::string name = person(draw), key = "running|", steps;
  int64_t total = amount(rng);
  key += str(total);
  bool zh = draw.chinese();
  std::string prompt =
      fill(zh ? rng.pick({"{n}有{a}{u}{o}", "{n}原来有{a}{u}{o}", "{n}一开始有{a}{u}{o}", "{n}手里有{a}{u}{o}",
                          "{n}有{o}{a}{u}"})
              : rng.pick({"{n} has {a} {o}", "{n} had {a} {o}", "{n} starts with {a} {o}", "At first {n} has {a} {o}"}),
           {{"n", name}, {"a", str(total)}, {"u", thing.unit}, {"o", thing.name}});
  int64_t events = rng.chance(0.55) ? 2 : rng.range(1, 4);
  for (int64_t i = 0; i < events; ++i) {
    bool gain = total < 4 || rng.chance(0.5);
    int64_t change = gain ? amount(rng) : rng.range(1, total - 1);
    const Verb& verb = pick_verb(rng, gain, thing.kind);
    bool last = i + 1 == events;
    prompt += zh ? fill("{c}{v}{x}{u}", {{"c", last && rng.chance(0.2) ? ",然后" : ","},
                                         {"v", std::string(verb.zh)},
                                         {"x", str(change)},
                                         {"u", thing.unit}})
                 : fill("{c} {v} {x}{m}", {{"c", last && events > 1 ? rng.pick({" and", ", and", ", then"})
                                                 : events == 1      ? rng.pick({" and", ", then"})
                                                                    : rng.pick({",", ", then"})},
                                           {"v", std::string(verb.en)},
                                           {"x", str(change)},
                                           {"m", gain && rng.chance(0.4) ? " more" : ""}});
    steps += (i > 0 ? "\n" : "") + (gain ? add_steps(total, change) : subtract_steps(total, change));
    total += gain ? change : -change;
    key += (gain ? "|+" : "|-") + str(change);
  }
  prompt += zh ? fill(rng.pick({",还剩几{u}?", ",现在有几{u}?", ",还剩多少{u}?", ",现在有多少{u}{o}?",
                                ",还有多少{u}{o}?", "。现在还有几{u}{o}?", "。{n}现在有多少{u}{o}?", ",还剩下几{u}?"}),
                      {{"u", thing.unit}, {"o", thing.name}, {"n", name}})
               : fill(rng.pick({". How many {o} are left?", ". How many {o} does {n} have now?",
                                ". How many {o} are there now?", ". How many does {n} have in the end?",
                                ". How many are left?"}),
                      {{"o", thing.name}, {"n", name}});
  std::string reasoning =
      fill(draw.say("{n}有{a}{u}{o},一步步算:\n", "{n} has {a} {o}; step by step:\n"),
           {{"n", name}, {"a", key.substr(8, key.find('|', 8) - 8)}, {"u", thing.unit}, {"o", thing.name}}) +
      steps;
  std::string answer = zh ? fill("{n}现在有{r}{u}{o}。", {{"n", name}, {"u", thing.unit}, {"o", thing.name}})
                          : fill("{n} now has {r} {o}.", {{"n", name}, {"o", thing.name}});
  return number_answer(draw, key, prompt, reasoning, answer, str(total));
}

Sample shopping(const Draw& draw) {
  Rng& rng = draw.rng;
  const Thing& thing = rng.pick(things(draw.language));
  int64_t price = rng.range(2, 60), count = rng.range(2, 30), cost = price * count;
  bool change = rng.chance(0.5);
  int64_t paid = cost + (change ? (100 - cost % 100) % 100 + 100 * rng.range(0, 2) : 0);
  std::string single = thing.single.empty() ? thing.name : thing.single;
  std::string prompt = fill(
      draw.chinese() ? rng.pick({"一{u}{o}{p}元,{n}买了{c}{u}", "{o}每{u}{p}元,{n}买{c}{u}",
                                 "{n}买了{c}{u}{o},每{u}{p}元", "超市里{o}每{u}卖{p}元,{n}买了{c}{u}"})
                     : rng.pick({"One {s} costs {p} dollars. {n} buys {c}", "{n} buys {c} {o} at ${p} each",
                                 "A shop sells {o} for {p} dollars each. {n} buys {c}",
                                 "Each {s} costs ${p}. {n} buys {c} of them"}),
      {{"u", thing.unit}, {"o", thing.name}, {"s", single}, {"n", person(draw)}, {"p", str(price)}, {"c", str(count)}});
  if (change) {
    prompt += fill(draw.chinese()
                       ? rng.pick({",付了{m}元,应找回多少元?", ",给了{m}元,找回多少钱?", "。他付了{m}元,应该找多少元?"})
                       : rng.pick({" and pays {m} dollars. How much change is due?",
                                   " and pays with ${m}. How much money comes back?",
                                   ", paying {m} dollars. What is the change?"}),
                   {{"m", str(paid)}});
  } else {
    prompt += draw.chinese() ? rng.pick({",一共要多少元?", ",一共花了多少钱?", ",总共多少元?", ",要付多少钱?"})
                             : rng.pick({". How much is that in total?", ". How much does it cost altogether?",
                                         ". What is the total cost in dollars?"});
  }
  std::string reasoning =
      std::string(draw.say("总价=单价×数量\n", "Total = price × count\n")) + multiply_steps(price, count);
  if (change)
    reasoning +=
        std::string(draw.say("\n找回=付的钱-总价\n", "\nChange = paid - total\n")) + subtract_steps(paid, cost);
  std::string key = "shop|" + str(price) + "|" + str(count) + (change ? "|" + str(paid) : "");
  std::string answer(change ? draw.say("应找回{r}元。", "The change is {r} dollars.")
                            : draw.say("一共{r}元。", "The total is {r} dollars."));
  return number_answer(draw, key, prompt, reasoning, answer, str(change ? paid - cost : cost));
}

Sample compare_two(const Draw& draw) {
  Rng& rng = draw.rng;
  const Thing& thing = rng.pick(things(draw.language));
  std::string a = person(draw), b = another_person(draw, a);
  int64_t first = amount(rng), by = 0, second = 0, kind = rng.range(0, 2);
  if (kind == 2) {
    by = rng.range(2, 9), first = rng.range(2, 99), second = first * by;
  } else {
    by = rng.range(1, first - 1), second = kind == 0 ? first + by : first - by;
  }
  bool total = rng.chance(0.5);
  std::string_view relation = kind == 0   ? draw.say("{b}比{a}多{y}{u}", "{b} has {y} more than {a}")
                              : kind == 1 ? draw.say("{b}比{a}少{y}{u}", "{b} has {y} fewer than {a}")
                                          : draw.say("{b}的{o}是{a}的{y}倍", "{b} has {y} times as many as {a}");
  std::string prompt =
      fill(std::string(draw.say("{a}有{x}{u}{o},", "{a} has {x} {o}. ")) + std::string(relation) +
               (total ? (draw.chinese()
                             ? rng.pick({",两人一共有多少{u}?", ",他们一共有多少{u}{o}?", "。两人合起来有几{u}{o}?"})
                             : rng.pick({". How many do they have together?", ". How many {o} do they have in total?",
                                         ". How many {o} are there altogether?"}))
                      : (draw.chinese() ? rng.pick({",{b}有多少{u}?", ",{b}有几{u}{o}?", "。{b}有多少{u}{o}?"})
                                        : rng.pick({". How many does {b} have?", ". How many {o} does {b} have?"}))),
           {{"a", a}, {"b", b}, {"x", str(first)}, {"y", str(by)}, {"u", thing.unit}, {"o", thing.name}});
  std::string reasoning = b + ":" +
                          (kind == 0   ? add_steps(first, by)
                           : kind == 1 ? subtract_steps(first, by)
                                       : multiply_steps(first, by));
  if (total) reasoning += std::string(draw.say("\n合计:", "\nTogether:")) + add_steps(first, second);
  std::string answer =
      total ? fill(draw.say("两人一共有{r}{u}{o}。", "Together they have {r} {o}."),
                   {{"u", thing.unit}, {"o", thing.name}})
            : fill(draw.say("{b}有{r}{u}{o}。", "{b} has {r} {o}."), {{"b", b}, {"u", thing.unit}, {"o", thing.name}});
  std::string key = "cmp2|" + str(kind) + "|" + str(first) + "|" + str(by);
  return number_answer(draw, key, prompt, reasoning, answer, str(total ? first + second : second));
}

// One formula, two factors; the plain products and quotients of school books.
struct Product {
  std::string_view zh, en, zh_plan, en_plan, zh_answer, en_answer;
  int64_t a_max, b_max;
};

constexpr Product kProducts[] = {
    {"一辆汽车每小时行{a}千米,{b}小时行多少千米?", "A car drives {a} km an hour. How far does it go in {b} hours?",
     "路程=速度×时间", "Distance = speed × time", "一共行{r}千米。", "It goes {r} km.", 120, 24},
    {"每箱有{a}瓶水,{b}箱一共有多少瓶?", "Each box holds {a} bottles. How many bottles are in {b} boxes?",
     "总数=每箱×箱数", "Total = per box × boxes", "一共有{r}瓶。", "There are {r} bottles.", 48, 60},
    {"教室里有{b}排座位,每排{a}个,一共有多少个座位?",
     "A hall has {b} rows with {a} seats each. How many seats are there?", "总数=每排×排数", "Total = per row × rows",
     "一共有{r}个座位。", "There are {r} seats.", 60, 50},
    {"长方形长{a}厘米,宽{b}厘米,面积是多少平方厘米?",
     "A rectangle is {a} cm long and {b} cm wide. What is its area in square cm?", "面积=长×宽",
     "Area = length × width", "面积是{r}平方厘米。", "The area is {r} square cm.", 99, 99},
    {"工人每天做{a}个零件,{b}天做多少个?", "A worker makes {a} parts a day. How many parts in {b} days?",
     "总数=每天×天数", "Total = per day × days", "一共做{r}个。", "The worker makes {r} parts.", 120, 31},
    {"小学有{b}个班,每班{a}人,一共有多少人?", "A school has {b} classes of {a} pupils. How many pupils is that?",
     "总数=每班×班数", "Total = per class × classes", "一共有{r}人。", "There are {r} pupils.", 55, 40},
    {"一本书每天看{a}页,看了{b}天,一共看了多少页?", "Reading {a} pages a day for {b} days, how many pages are read?",
     "总页数=每天×天数", "Pages = per day × days", "一共看了{r}页。", "{r} pages are read.", 80, 31},
    {"爸爸买了{b}斤水果,每斤{a}元,一共多少钱?", "Dad buys {b} kg of fruit at {a} dollars a kg. How much does he pay?",
     "总价=单价×数量", "Total = price × amount", "一共{r}元。", "He pays {r} dollars.", 60, 30},
    {"一盒鸡蛋有{a}个,{b}盒有多少个鸡蛋?", "A carton holds {a} eggs. How many eggs are in {b} cartons?",
     "总数=每盒×盒数", "Total = per carton × cartons", "一共有{r}个。", "There are {r} eggs.", 36, 40},
    {"每棵树结{a}个果子,{b}棵树结多少个?", "Each tree bears {a} fruits. How many do {b} trees bear?", "总数=每棵×棵数",
     "Total = per tree × trees", "一共{r}个。", "They bear {r} fruits.", 99, 60},
    {"一辆大巴坐{a}人,{b}辆大巴能坐多少人?", "A bus seats {a} people. How many people can {b} buses seat?",
     "总数=每辆×辆数", "Total = per bus × buses", "能坐{r}人。", "They seat {r} people.", 60, 30},
    {"正方形花坛每边种{a}棵花,种{b}行,一共多少棵?", "A garden has {b} rows of {a} flowers. How many flowers are there?",
     "总数=每行×行数", "Total = per row × rows", "一共有{r}棵。", "There are {r} flowers.", 50, 50},
    {"时薪是{a}元,工作{b}小时能挣多少元?", "The pay is {a} dollars an hour. How much is earned in {b} hours?",
     "工资=时薪×小时", "Pay = rate × hours", "能挣{r}元。", "The pay is {r} dollars.", 99, 40}};

Sample product(const Draw& draw) {
  Rng& rng = draw.rng;
  const Product& p = kProducts[rng.range(0, static_cast<int64_t>(std::size(kProducts)) - 1)];
  int64_t a = rng.range(2, p.a_max), b = rng.range(2, p.b_max);
  std::string prompt = fill(draw.say(p.zh, p.en), {{"a", str(a)}, {"b", str(b)}});
  std::string key = "prod|" + str(std::min(a, b)) + "|" + str(std::max(a, b));
  return number_answer(draw, key, prompt, std::string(draw.say(p.zh_plan, p.en_plan)) + "\n" + multiply_steps(a, b),
                       std::string(draw.say(p.zh_answer, p.en_answer)), str(a * b));
}

Sample sharing(const Draw& draw) {
  Rng& rng = draw.rng;
  const Thing& thing = rng.pick(things(draw.language));
  int64_t people = rng.range(2, rng.chance(0.7) ? 9 : 40), each = rng.range(2, 60),
          rest = rng.chance(0.5) ? 0 : rng.range(1, people - 1);
  int64_t total = people * each + rest;
  std::string prompt =
      fill(draw.chinese()
               ? rng.pick({"把{t}{u}{o}平均分给{p}个小朋友,每人分几{u}", "{n}有{t}{u}{o},平均分给{p}个人,每人得多少{u}",
                           "老师把{t}{u}{o}平均分给{p}个同学,每人几{u}"})
               : rng.pick({"{t} {o} are shared equally among {p} children. How many does each get",
                           "{n} divides {t} {o} equally among {p} friends. How many does each friend get",
                           "If {p} people share {t} {o} equally, how many does each person get"}),
           {{"t", str(total)}, {"u", thing.unit}, {"o", thing.name}, {"p", str(people)}, {"n", person(draw)}});
  std::string key = "share|" + str(total) + "|" + str(people);
  std::string steps = divide_steps(total, people);
  if (rest == 0) {
    return number_answer(draw, key, prompt + std::string(draw.say("?", "?")), steps,
                         fill(draw.say("每人{r}{u}。", "Each gets {r}."), {{"u", thing.unit}}), str(each));
  }
  prompt += fill(draw.say(",还剩几{u}?", ", and how many are left over?"), {{"u", thing.unit}});
  std::string answer = fill(draw.say("每人{q}{u},还剩{r}{u}。", "Each gets {q}, and {r} are left over."),
                            {{"q", str(each)}, {"r", str(rest)}, {"u", thing.unit}});
  return make_sample(draw, key, prompt, steps, answer, {CheckKind::kExact, {answer}});
}

// "How long does it take": a whole quotient.
Sample quotient(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t rate = rng.range(2, 90), time = rng.range(2, 30), total = rate * time;
  int64_t kind = rng.range(0, 2);
  std::string_view pattern =
      kind == 0   ? draw.say("一本书有{t}页,每天看{a}页,几天能看完?",
                             "A book has {t} pages. Reading {a} pages a day, how many days does it take?")
      : kind == 1 ? draw.say("两地相距{t}千米,汽车每小时行{a}千米,几小时到达?",
                             "Two towns are {t} km apart. At {a} km an hour, how many hours does the trip take?")
                  : draw.say("要做{t}个零件,每天做{a}个,需要几天?",
                             "A factory must make {t} parts and makes {a} a day. How many days are needed?");
  std::string answer(kind == 1 ? draw.say("需要{r}小时。", "It takes {r} hours.")
                               : draw.say("需要{r}天。", "It takes {r} days."));
  return number_answer(draw, "quot|" + str(total) + "|" + str(rate),
                       fill(pattern, {{"t", str(total)}, {"a", str(rate)}}), divide_steps(total, rate), answer,
                       str(time));
}

Sample ages(const Draw& draw) {
  Rng& rng = draw.rng;
  std::string name = person(draw);
  int64_t age = rng.range(4, 40), older = rng.range(18, 35), years = rng.range(1, 30);
  std::string prompt = fill(
      draw.chinese()
          ? rng.pick({"{n}今年{a}岁,老师比{n}大{o}岁,{y}年后老师多少岁?",
                      "今年{n}{a}岁,老师比他大{o}岁。再过{y}年,老师几岁?"})
          : rng.pick({"{n} is {a} years old. The teacher is {o} years older. How old will the teacher be in {y} years?",
                      "{n} is {a} and the teacher is {o} years older. How old is the teacher {y} years from now?"}),
      {{"n", name}, {"a", str(age)}, {"o", str(older)}, {"y", str(years)}});
  std::string reasoning = std::string(draw.say("老师今年:", "Teacher now:")) + add_steps(age, older) + "\n" +
                          fill(draw.say("{y}年后:", "In {y} years:"), {{"y", str(years)}}) +
                          add_steps(age + older, years);
  return number_answer(draw, "age|" + str(age) + "|" + str(older) + "|" + str(years), prompt, reasoning,
                       std::string(draw.say("老师{r}岁。", "The teacher will be {r} years old.")),
                       str(age + older + years));
}

Sample boxes_and_rest(const Draw& draw) {
  Rng& rng = draw.rng;
  const Thing& thing = rng.pick(things(draw.language));
  int64_t boxes = rng.range(2, 20), each = rng.range(3, 60), total = boxes * each, change = rng.range(1, total - 1);
  bool sold = rng.chance(0.6);
  std::string prompt =
      fill(draw.chinese()
               ? (sold ? rng.pick({"商店有{b}箱{o},每箱{e}{u},卖出{c}{u},还剩多少{u}?",
                                   "{n}有{b}盒{o},每盒{e}{u},送出{c}{u}后还剩几{u}?"})
                       : rng.pick({"商店有{b}箱{o},每箱{e}{u},另外还有{c}{u},一共多少{u}?",
                                   "{n}有{b}盒{o},每盒{e}{u},又买了{c}{u},现在有多少{u}?"}))
               : (sold ? rng.pick({"A shop has {b} boxes with {e} {o} each and sells {c}. How many are left?",
                                   "{n} has {b} boxes of {e} {o} and gives away {c}. How many {o} are left?"})
                       : rng.pick({"A shop has {b} boxes with {e} {o} each and {c} more. How many are there in total?",
                                   "{n} has {b} boxes of {e} {o} and buys {c} more. How many {o} does {n} have?"})),
           {{"b", str(boxes)},
            {"e", str(each)},
            {"o", thing.name},
            {"u", thing.unit},
            {"c", str(change)},
            {"n", person(draw)}});
  std::string reasoning =
      multiply_steps(each, boxes) + "\n" + (sold ? subtract_steps(total, change) : add_steps(total, change));
  std::string answer = sold ? fill(draw.say("还剩{r}{u}。", "There are {r} left."), {{"u", thing.unit}})
                            : fill(draw.say("一共有{r}{u}。", "There are {r} in total."), {{"u", thing.unit}});
  return number_answer(draw, std::string(sold ? "box-|" : "box+|") + str(boxes) + "|" + str(each) + "|" + str(change),
                       prompt, reasoning, answer, str(sold ? total - change : total + change));
}

Sample average(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t count = rng.range(2, 5), sum = 0, mean = rng.range(20, 99);
  std::vector<int64_t> values;
  for (int64_t i = 0; i + 1 < count; ++i) values.push_back(std::max<int64_t>(1, mean + rng.range(-12, 12)));
  for (int64_t v : values) sum += v;
  values.push_back(mean * count - sum);
  if (values.back() < 1) return average(draw);
  std::string list, steps, key = "avg";
  int64_t total = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    list += (i == 0 ? "" : draw.chinese() ? "、" : ", ") + str(values[i]);
    if (i > 0) steps += add_steps(total, values[i]) + "\n";
    total += values[i];
    key += "|" + str(values[i]);
  }
  std::string prompt = fill(
      draw.chinese() ? rng.pick({"求{l}的平均数。", "{n}的{c}次成绩是{l},平均分是多少?", "{l}这{c}个数的平均值是多少?"})
                     : rng.pick({"What is the average of {l}?", "{n} scored {l}. What is the average score?",
                                 "Find the mean of {l}."}),
      {{"l", list}, {"c", str(count)}, {"n", person(draw)}});
  return number_answer(draw, key, prompt, steps + divide_steps(total, count),
                       std::string(draw.say("平均是{r}。", "The average is {r}.")), str(mean));
}

Sample three_people(const Draw& draw) {
  Rng& rng = draw.rng;
  const Thing& thing = rng.pick(things(draw.language));
  std::string a = person(draw), b = another_person(draw, a), c = another_person(draw, a);
  while (c == b) c = another_person(draw, a);
  int64_t x = amount(rng), y = amount(rng), z = amount(rng);
  std::string prompt = fill(
      draw.chinese() ? rng.pick({"{a}有{x}{u}{o},{b}有{y}{u},{c}有{z}{u},三人一共有多少{u}?",
                                 "{a}摘了{x}{u}{o},{b}摘了{y}{u},{c}摘了{z}{u},一共摘了几{u}?"})
                     : rng.pick({"{a} has {x} {o}, {b} has {y} and {c} has {z}. How many {o} do they have in total?",
                                 "{a} collected {x} {o}, {b} {y} and {c} {z}. How many is that altogether?"}),
      {{"a", a},
       {"b", b},
       {"c", c},
       {"x", str(x)},
       {"y", str(y)},
       {"z", str(z)},
       {"u", thing.unit},
       {"o", thing.name}});
  std::string answer =
      fill(draw.say("一共有{r}{u}{o}。", "Together they have {r} {o}."), {{"u", thing.unit}, {"o", thing.name}});
  return number_answer(draw, "three|" + str(x) + "|" + str(y) + "|" + str(z), prompt,
                       add_steps(x, y) + "\n" + add_steps(x + y, z), answer, str(x + y + z));
}

// The total is known, the parts are asked for.
Sample rest_of_total(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t first = amount(rng), second = amount(rng), total = first + second;
  int64_t kind = rng.range(0, 2);
  std::string_view pattern =
      kind == 0   ? draw.say("一个班有{t}人,其中男生{a}人,女生有多少人?",
                             "A class has {t} pupils, {a} of them boys. How many girls are there?")
      : kind == 1 ? draw.say("一本书共{t}页,已经看了{a}页,还剩多少页没看?",
                             "A book has {t} pages and {a} have been read. How many pages are left?")
                  : draw.say("停车场有{t}辆车,开走了{a}辆,还有多少辆?",
                             "There are {t} cars in a car park and {a} drive away. How many cars remain?");
  std::string answer(kind == 0   ? draw.say("女生有{r}人。", "There are {r} girls.")
                     : kind == 1 ? draw.say("还剩{r}页。", "{r} pages are left.")
                                 : draw.say("还有{r}辆。", "{r} cars remain."));
  return number_answer(draw, "rest|" + str(total) + "|" + str(first),
                       fill(pattern, {{"t", str(total)}, {"a", str(first)}}), subtract_steps(total, first), answer,
                       str(second));
}

Sample half(const Draw& draw) {
  Rng& rng = draw.rng;
  const Thing& thing = rng.pick(things(draw.language));
  int64_t part = rng.range(2, 4), left = rng.range(3, 60), total = left * part, more = rng.range(1, 40);
  std::string zh_part = part == 2 ? "一半" : part == 3 ? "三分之一" : "四分之一";
  std::string en_part = part == 2 ? "half" : part == 3 ? "a third" : "a quarter";
  std::string name = person(draw);
  std::string prompt =
      fill(draw.chinese()
               ? rng.pick({"{n}有{t}{u}{o},送出{p},又买了{m}{u},现在有多少{u}?",
                           "{n}有{t}{u}{o},卖掉{p}后又得到{m}{u},现在有几{u}?"})
               : rng.pick({"{n} has {t} {o}, gives away {p} of them and buys {m} more. How many {o} does {n} have now?",
                           "{n} had {t} {o}, lost {p} of them, then found {m}. How many are there now?"}),
           {{"n", name},
            {"t", str(total)},
            {"u", thing.unit},
            {"o", thing.name},
            {"p", draw.chinese() ? zh_part : en_part},
            {"m", str(more)}});
  std::string reasoning =
      divide_steps(total, part) + "\n" + subtract_steps(total, left) + "\n" + add_steps(total - left, more);
  return number_answer(
      draw, "half|" + str(total) + "|" + str(part) + "|" + str(more), prompt, reasoning,
      fill(draw.say("现在有{r}{u}{o}。", "There are {r} {o} now."), {{"u", thing.unit}, {"o", thing.name}}),
      str(total - left + more));
}

}  // namespace

Sample word_problem_task(const Draw& draw) {
  int64_t dice = draw.rng.range(0, 99);
  Sample sample = dice < 31   ? running_total(draw)
                  : dice < 42 ? shopping(draw)
                  : dice < 53 ? compare_two(draw)
                  : dice < 62 ? product(draw)
                  : dice < 70 ? sharing(draw)
                  : dice < 77 ? quotient(draw)
                  : dice < 81 ? ages(draw)
                  : dice < 88 ? boxes_and_rest(draw)
                  : dice < 91 ? average(draw)
                  : dice < 94 ? half(draw)
                  : dice < 97 ? three_people(draw)
                              : rest_of_total(draw);
  sample.task = "word_problem";
  return sample;
}

}  // namespace cove::trainer

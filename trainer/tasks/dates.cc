// Weekdays, dates and clock times.

#include <algorithm>

#include "tasks/steps.h"
#include "tasks/tasks.h"
#include "tasks/words.h"

namespace cove::trainer {
namespace {

bool leap(int64_t year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

int64_t month_days(int64_t year, int64_t month) {
  static constexpr int64_t kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && leap(year) ? 29 : kDays[month - 1];
}

std::string month_name(const Draw& draw, int64_t month) {
  return draw.chinese() ? str(month) + "月" : months()[static_cast<size_t>(month - 1)];
}
std::string date_text(const Draw& draw, int64_t month, int64_t day) {
  return draw.chinese() ? str(month) + "月" + str(day) + "日"
                        : months()[static_cast<size_t>(month - 1)] + " " + str(day);
}

Sample text_answer(const Draw& draw, std::string key, std::string prompt, std::string reasoning, std::string answer) {
  Check check{CheckKind::kExact, {answer}};
  return make_sample(draw, std::move(key), std::move(prompt), std::move(reasoning), std::move(answer),
                     std::move(check));
}

// Counts the weekday on from `start` by `days`, written out so that each name follows the one before.
std::string count_weekdays(const Draw& draw, int64_t start, int64_t days, bool forward) {
  const auto& names = weekdays(draw.language);
  std::string out = names[static_cast<size_t>(start)];
  for (int64_t i = 1; i <= days; ++i) {
    int64_t at = (start + (forward ? i : 7 - i)) % 7;
    out += "→" + names[static_cast<size_t>(at)];
  }
  return out;
}

Sample weekday_after(const Draw& draw) {
  Rng& rng = draw.rng;
  const auto& names = weekdays(draw.language);
  int64_t start = rng.range(0, 6), days = rng.chance(0.5) ? rng.range(2, 30) : rng.range(31, 400);
  bool forward = rng.chance(0.7);
  int64_t end = forward ? (start + days) % 7 : (start + 7 - days % 7) % 7;
  std::string prompt = fill(
      forward ? (draw.chinese() ? rng.pick({"今天是{w},{d}天后是星期几?", "今天{w},再过{d}天是星期几?",
                                            "如果今天是{w},那么{d}天之后是星期几?", "{w}过{d}天是星期几?"})
                                : rng.pick({"Today is {w}. What day is it in {d} days?",
                                            "If today is {w}, what day of the week will it be {d} days from now?",
                                            "What weekday is {d} days after {w}?",
                                            "Today is {w}. Which weekday is it after {d} days?"}))
              : (draw.chinese()
                     ? rng.pick({"今天是{w},{d}天前是星期几?", "如果今天是{w},{d}天以前是星期几?"})
                     : rng.pick({"Today is {w}. What day was it {d} days ago?", "What weekday is {d} days before {w}?",
                                 "If today is {w}, what day of the week was it {d} days ago?"})),
      {{"w", names[static_cast<size_t>(start)]}, {"d", str(days)}});
  std::string reasoning = days >= 7 ? divide_steps(days, 7) + "\n" : "";
  reasoning += fill(days % 7 == 0 ? draw.say("余0,星期不变:", "Remainder 0, the same day: ")
                    : forward     ? draw.say("往后{r}天:", "{r} days on: ")
                                  : draw.say("往前{r}天:", "{r} days back: "),
                    {{"r", str(days % 7)}});
  reasoning += count_weekdays(draw, start, days % 7, forward);
  return text_answer(draw, std::string(forward ? "wd+|" : "wd-|") + str(start) + "|" + str(days), prompt, reasoning,
                     fill(draw.say("是{w}。", "It is {w}."), {{"w", names[static_cast<size_t>(end)]}}));
}

// From one weekday to the next occurrence of another.
Sample weekday_difference(const Draw& draw) {
  Rng& rng = draw.rng;
  const auto& names = weekdays(draw.language);
  int64_t a = rng.range(0, 6), b = (a + rng.range(1, 6)) % 7, days = (b - a + 7) % 7;
  std::string prompt = fill(
      draw.chinese() ? rng.pick({"从{a}到下一个{b}有几天?", "今天是{a},离下一个{b}还有几天?", "{a}之后再过几天是{b}?",
                                 "{n}在{a}出发,下一个{b}到达,路上几天?"})
                     : rng.pick({"How many days are there from {a} to the next {b}?",
                                 "Today is {a}. How many days until {b}?", "How many days after {a} is the next {b}?",
                                 "{n} leaves on {a} and arrives on the next {b}. How many days is that?"}),
      {{"a", names[static_cast<size_t>(a)]}, {"b", names[static_cast<size_t>(b)]}, {"n", person(draw)}});
  std::string answer = fill(draw.say("有{r}天。", "It is {r} days."), {{"r", str(days)}});
  // Only 42 pairs exist, so the split is over the whole sentence.
  return make_sample(
      draw, "wdiff|" + prompt, prompt,
      count_weekdays(draw, a, days, true) + "\n" + std::string(draw.say("数一数:", "Count: ")) + str(days), answer,
      {CheckKind::kNumber, {str(days)}});
}

Sample weekday_of_date(const Draw& draw) {
  Rng& rng = draw.rng;
  const auto& names = weekdays(draw.language);
  int64_t month = rng.range(1, 12), start = rng.range(0, 6), day = rng.range(1, 20),
          later = rng.range(day + 1, month_days(2023, month)), days = later - day;
  int64_t end = (start + days) % 7;
  std::string prompt =
      fill(draw.chinese()
               ? rng.pick({"{x}是{w},{y}是星期几?", "已知{x}是{w},那么{y}是星期几?"})
               : rng.pick({"{x} is a {w}. What weekday is {y}?", "If {x} is a {w}, what day of the week is {y}?"}),
           {{"x", date_text(draw, month, day)},
            {"y", date_text(draw, month, later)},
            {"w", names[static_cast<size_t>(start)]}});
  std::string reasoning = subtract_steps(later, day) + "\n" + (days >= 7 ? divide_steps(days, 7) + "\n" : "") +
                          count_weekdays(draw, start, days % 7, true);
  return text_answer(draw, "wdate|" + str(month) + "|" + str(day) + "|" + str(later) + "|" + str(start), prompt,
                     reasoning,
                     fill(draw.say("{y}是{w}。", "{y} is a {w}."),
                          {{"y", date_text(draw, month, later)}, {"w", names[static_cast<size_t>(end)]}}));
}

Sample date_after(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t year = rng.range(2001, 2035), month = rng.range(1, 12), days = rng.range(2, 75);
  int64_t day = rng.range(1, month_days(year, month));
  bool with_year = month <= 2 || rng.chance(0.3);
  std::string reasoning = add_steps(day, days);
  int64_t at = day + days, m = month, y = year;
  while (at > month_days(y, m)) {
    int64_t length = month_days(y, m);
    reasoning += "\n" +
                 fill(draw.say("{m}有{d}天:", "{m} has {d} days: "), {{"m", month_name(draw, m)}, {"d", str(length)}}) +
                 str(at) + "-" + str(length) + "=" + str(at - length);
    at -= length;
    if (++m > 12) m = 1, ++y;
  }
  reasoning += "\n" + fill(draw.say("是{m}", "It is in {m}"), {{"m", month_name(draw, m)}});
  std::string first = date_text(draw, month, day), last = date_text(draw, m, at);
  if (with_year) {
    first = draw.chinese() ? str(year) + "年" + first : first + ", " + str(year);
    last = draw.chinese() ? str(y) + "年" + last : last + ", " + str(y);
    if (month <= 2)
      reasoning =
          divide_steps(year % 100, 4) + "\n" +
          fill(leap(year) ? draw.say("{y}年是闰年,2月有29天\n", "{y} is a leap year, February has 29 days\n")
                          : draw.say("{y}年不是闰年,2月有28天\n", "{y} is not a leap year, February has 28 days\n"),
               {{"y", str(year)}}) +
          reasoning;
  }
  std::string prompt =
      fill(draw.chinese() ? rng.pick({"{x}之后{d}天是几月几日?", "{x}过{d}天是哪一天?", "从{x}起,{d}天后是几月几日?",
                                      "今天是{x},{d}天后是几号?"})
                          : rng.pick({"What date is {d} days after {x}?", "Today is {x}. What is the date in {d} days?",
                                      "What is the date {d} days from {x}?"}),
           {{"x", first}, {"d", str(days)}});
  return text_answer(draw, "date+|" + str(with_year ? year : 0) + "|" + str(month) + "|" + str(day) + "|" + str(days),
                     prompt, reasoning, fill(draw.say("是{y}。", "It is {y}."), {{"y", last}}));
}

Sample days_between(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t month = rng.range(3, 12), day = rng.range(1, month_days(2023, month)),
          m2 = std::min<int64_t>(12, month + rng.range(0, 3)), d2 = rng.range(1, month_days(2023, m2));
  if (m2 == month && d2 <= day) return days_between(draw);
  std::string reasoning;
  int64_t total = 0;
  if (m2 == month) {
    total = d2 - day;
    reasoning = subtract_steps(d2, day);
  } else {
    total = month_days(2023, month) - day;
    reasoning = fill(draw.say("{m}有{d}天:", "{m} has {d} days: "),
                     {{"m", month_name(draw, month)}, {"d", str(month_days(2023, month))}}) +
                subtract_steps(month_days(2023, month), day);
    for (int64_t m = month + 1; m <= m2; ++m) {
      int64_t part = m == m2 ? d2 : month_days(2023, m);
      reasoning += "\n" + month_name(draw, m) + ":" + add_steps(total, part);
      total += part;
    }
  }
  std::string prompt =
      fill(draw.chinese() ? rng.pick({"从{x}到{y}有多少天?", "{x}到{y}相隔几天?", "{x}和{y}之间差多少天?"})
                          : rng.pick({"How many days are there from {x} to {y}?",
                                      "How many days is it from {x} to {y}?", "{y} is how many days after {x}?"}),
           {{"x", date_text(draw, month, day)}, {"y", date_text(draw, m2, d2)}});
  return make_sample(draw, "between|" + str(month) + "|" + str(day) + "|" + str(m2) + "|" + str(d2), prompt, reasoning,
                     fill(draw.say("有{r}天。", "It is {r} days."), {{"r", str(total)}}),
                     {CheckKind::kNumber, {str(total)}});
}

std::string two(int64_t value) { return value < 10 ? "0" + str(value) : str(value); }
std::string clock(const Draw& draw, int64_t hour, int64_t minute, bool words) {
  if (draw.chinese() && words) return minute == 0 ? str(hour) + "点" : str(hour) + "点" + str(minute) + "分";
  return str(hour) + ":" + two(minute);
}

std::string duration(const Draw& draw, int64_t hours, int64_t minutes) {
  std::string h = hours == 0       ? ""
                  : draw.chinese() ? str(hours) + "小时"
                                   : str(hours) + (hours == 1 ? " hour" : " hours");
  std::string m = minutes == 0     ? ""
                  : draw.chinese() ? str(minutes) + "分钟"
                                   : str(minutes) + (minutes == 1 ? " minute" : " minutes");
  return h + (!draw.chinese() && !h.empty() && !m.empty() ? " and " : "") + m;
}

Sample time_after(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t hour = rng.range(0, 21), minute = rng.chance(0.6) ? 5 * rng.range(0, 11) : rng.range(0, 59);
  int64_t hours = rng.range(0, std::min<int64_t>(9, 22 - hour)),
          minutes = rng.chance(0.6) ? 5 * rng.range(0, 11) : rng.range(0, 59);
  if (hours == 0 && minutes == 0) minutes = 45;
  bool words = rng.chance(0.5);
  std::string prompt = fill(
      draw.chinese()
          ? rng.pick({"现在是{t},{d}后是几点?", "{t}开始,经过{d},几点结束?", "电影{t}开始,片长{d},几点结束?",
                      "火车{t}出发,行驶{d},几点到达?"})
          : rng.pick(
                {"It is {t}. What time will it be in {d}?", "A film starts at {t} and lasts {d}. When does it end?",
                 "A train leaves at {t} and travels for {d}. When does it arrive?", "What time is {d} after {t}?"}),
      {{"t", clock(draw, hour, minute, words)}, {"d", duration(draw, hours, minutes)}});
  int64_t sum = minute + minutes, carry = sum / 60, end = hour + hours + carry;
  std::string reasoning = std::string(draw.say("分:", "minutes: ")) + str(minute) + "+" + str(minutes) + "=" + str(sum);
  if (carry == 1)
    reasoning += "," + str(sum) + "-60=" + str(sum - 60) + std::string(draw.say(",进1小时", ", carry 1 hour"));
  reasoning += std::string(draw.say("\n时:", "\nhours: ")) + str(hour) + "+" + str(hours) + (carry == 1 ? "+1" : "") +
               "=" + str(end);
  return text_answer(draw, "clock+|" + str(hour) + "|" + str(minute) + "|" + str(hours) + "|" + str(minutes), prompt,
                     reasoning, fill(draw.say("是{t}。", "It is {t}."), {{"t", clock(draw, end, sum % 60, words)}}));
}

Sample time_between(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t a = rng.range(0, 22), am = rng.chance(0.6) ? 5 * rng.range(0, 11) : rng.range(0, 59), b = rng.range(a, 23),
          bm = rng.chance(0.6) ? 5 * rng.range(0, 11) : rng.range(0, 59);
  if (b * 60 + bm <= a * 60 + am) return time_between(draw);
  bool words = rng.chance(0.5);
  std::string prompt =
      fill(draw.chinese() ? rng.pick({"从{x}到{y}经过了多长时间?", "{x}到{y}是多长时间?",
                                      "会议{x}开始,{y}结束,开了多久?", "{n}{x}出门,{y}到家,用了多长时间?"})
                          : rng.pick({"How long is it from {x} to {y}?",
                                      "A meeting starts at {x} and ends at {y}. How long does it last?",
                                      "{n} leaves at {x} and arrives at {y}. How long is the trip?",
                                      "How much time passes between {x} and {y}?"}),
           {{"x", clock(draw, a, am, words)}, {"y", clock(draw, b, bm, words)}, {"n", person(draw)}});
  int64_t borrow = bm < am ? 1 : 0;
  std::string reasoning = std::string(draw.say("分:", "minutes: ")) +
                          (borrow == 1 ? str(bm) + "<" + str(am) + "," + str(bm) + "+60=" + str(bm + 60) + "," : "") +
                          str(bm + 60 * borrow) + "-" + str(am) + "=" + str(bm + 60 * borrow - am);
  reasoning += std::string(draw.say("\n时:", "\nhours: ")) + str(b) + "-" + str(a) + (borrow == 1 ? "-1" : "") + "=" +
               str(b - a - borrow);
  return text_answer(
      draw, "span|" + str(a) + "|" + str(am) + "|" + str(b) + "|" + str(bm), prompt, reasoning,
      fill(draw.say("是{d}。", "It is {d}."), {{"d", duration(draw, b - a - borrow, bm + 60 * borrow - am)}}));
}

Sample leap_year(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t year = rng.range(1800, 2200);
  std::string prompt =
      fill(draw.chinese() ? rng.pick({"{y}年2月有多少天?", "{y}年的2月有几天?"})
                          : rng.pick({"How many days does February {y} have?", "How many days are in February {y}?"}),
           {{"y", str(year)}});
  std::string reasoning;
  if (year % 100 == 0) {
    reasoning = str(year) + "÷400" +
                (year % 400 == 0 ? draw.say(":整除,闰年", ": divides, a leap year")
                                 : draw.say(":不整除,平年", ": does not divide, not a leap year"))
                    .data();
  } else {
    reasoning = divide_steps(year % 100, 4) +
                std::string(year % 4 == 0 ? draw.say(",能被4整除,闰年", ", divides by 4, a leap year")
                                          : draw.say(",不能被4整除,平年", ", does not divide by 4, not a leap year"));
  }
  std::string days = leap(year) ? "29" : "28";
  return make_sample(draw, "leap|" + str(year), prompt, reasoning,
                     fill(draw.say("有{r}天。", "It has {r} days."), {{"r", days}}), {CheckKind::kNumber, {days}});
}

Sample month_length(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t month = rng.range(1, 12);
  if (month == 2) month = 3;
  std::string prompt =
      fill(draw.chinese()
               ? rng.pick({"{m}有多少天?", "{m}有几天?", "请问{m}一共有几天?"})
               : rng.pick({"How many days does {m} have?", "How many days are in {m}?", "How long is {m} in days?"}),
           {{"m", month_name(draw, month)}});
  std::string days = str(month_days(2023, month));
  return make_sample(
      draw, "mlen|" + prompt, prompt,
      month_name(draw, month) + std::string(draw.say("有", " has ")) + days + std::string(draw.say("天", " days")),
      fill(draw.say("有{r}天。", "It has {r} days."), {{"r", days}}), {CheckKind::kNumber, {days}});
}

}  // namespace

Sample dates_task(const Draw& draw) {
  int64_t dice = draw.rng.range(0, 99);
  Sample sample = dice < 20   ? weekday_after(draw)
                  : dice < 27 ? weekday_difference(draw)
                  : dice < 35 ? weekday_of_date(draw)
                  : dice < 53 ? date_after(draw)
                  : dice < 65 ? days_between(draw)
                  : dice < 80 ? time_after(draw)
                  : dice < 94 ? time_between(draw)
                  : dice < 98 ? leap_year(draw)
                              : month_length(draw);
  sample.task = "dates";
  return sample;
}

}  // namespace cove::trainer

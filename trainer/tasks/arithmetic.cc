// Bare arithmetic: one operation of up to four digits, expressions with parentheses, short decimals.

#include <algorithm>

#include "tasks/steps.h"
#include "tasks/tasks.h"

namespace cove::trainer {
namespace {

int64_t number_of_digits(Rng& rng, int digits) {
  int64_t low = 1;
  for (int i = 1; i < digits; ++i) low *= 10;
  return rng.range(digits == 1 ? 0 : low, low * 10 - 1);
}

std::string ask(const Draw& draw, const std::string& expression) {
  Rng& rng = draw.rng;
  if (draw.chinese()) {
    return fill(rng.pick({"{e}=?", "{e}=", "{e}等于多少?", "计算{e}", "计算:{e}", "请计算{e}。", "{e}是多少?",
                          "算一下{e}", "帮我算{e}等于几?", "求{e}的值。", "请问{e}等于多少?", "{e}"}),
                {{"e", expression}});
  }
  return fill(
      rng.pick({"{e} = ?", "{e}=", "What is {e}?", "Calculate {e}", "Calculate {e}.", "Compute {e}.",
                "How much is {e}?", "Work out {e}", "Please compute {e}.", "What's {e}?", "Evaluate {e}.", "{e}"}),
      {{"e", expression}});
}

Sample finish(const Draw& draw, std::string key, const std::string& expression, std::string reasoning,
              const std::string& result) {
  return make_sample(draw, std::move(key), ask(draw, expression), std::move(reasoning),
                     fill(draw.say("答案是{r}。", "The answer is {r}."), {{"r", result}}),
                     {CheckKind::kNumber, {result}});
}

struct Operator {
  std::string sign;  // as in the reasoning
  std::string shown;
};

Operator pick_operator(const Draw& draw, char kind) {
  Rng& rng = draw.rng;
  bool words = rng.chance(0.15);
  switch (kind) {
    case '+': return {"+", words ? std::string(draw.say("加", " plus ")) : "+"};
    case '-': return {"-", words ? std::string(draw.say("减", " minus ")) : "-"};
    case '*': return {"×", words ? std::string(draw.say("乘以", " times ")) : rng.pick({"×", "*", "×", "x"})};
    default: return {"÷", words ? std::string(draw.say("除以", " divided by ")) : rng.pick({"÷", "/", "÷"})};
  }
}

std::string join(const Draw& draw, const std::string& a, const Operator& op, const std::string& b) {
  bool spaced = op.shown.front() != ' ' && draw.rng.chance(draw.chinese() ? 0.25 : 0.7);
  return spaced ? a + " " + op.shown + " " + b : a + op.shown + b;
}

Sample one_operation(const Draw& draw) {
  Rng& rng = draw.rng;
  static constexpr char kKinds[] = {'+', '-', '*', '/'};
  char kind = kKinds[rng.range(0, 3)];
  int64_t a = number_of_digits(rng, static_cast<int>(rng.range(1, 4)));
  int64_t b = number_of_digits(rng, static_cast<int>(rng.range(1, 4)));
  if (kind == '*') {
    a = number_of_digits(rng, static_cast<int>(rng.range(1, rng.chance(0.3) ? 4 : 3)));
    b = number_of_digits(rng, static_cast<int>(rng.range(1, rng.chance(0.2) ? 4 : 2)));
    if (rng.chance(0.5)) std::swap(a, b);
  }
  if (kind == '-' && a < b && rng.chance(0.75)) std::swap(a, b);
  std::string steps, result;
  if (kind == '+') {
    steps = add_steps(a, b), result = str(a + b);
  } else if (kind == '-') {
    steps = subtract_steps(a, b), result = str(a - b);
  } else if (kind == '*') {
    steps = multiply_steps(a, b), result = str(a * b);
  } else {
    b = std::max<int64_t>(1, number_of_digits(rng, rng.chance(0.45) ? 1 : rng.chance(0.85) ? 2 : 3));
    a = b * rng.range(0, std::max<int64_t>(1, 9999 / b));
    steps = divide_steps(a, b), result = str(a / b);
  }
  Operator op = pick_operator(draw, kind);
  // Sums and products are the same problem in both orders.
  bool ordered = kind == '-' || kind == '/' || a <= b;
  std::string key = std::string("op|") + kind + "|" + str(ordered ? a : b) + "|" + str(ordered ? b : a);
  return finish(draw, key, join(draw, str(a), op, str(b)), steps, result);
}

Sample with_remainder(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t b = std::max<int64_t>(2, number_of_digits(rng, rng.chance(0.5) ? 1 : 2));
  int64_t a = number_of_digits(rng, static_cast<int>(rng.range(2, 4)));
  if (a % b == 0) a += rng.range(1, b - 1);
  std::string quotient = str(a / b), rest = str(a % b);
  std::string prompt = fill(
      draw.chinese()
          ? rng.pick({"{a}除以{b},商和余数是多少?", "{a}÷{b}商几余几?", "求{a}÷{b}的商和余数。", "{a}÷{b}=?(写出余数)"})
          : rng.pick({"What are the quotient and remainder of {a} ÷ {b}?",
                      "Divide {a} by {b}; give quotient and remainder.", "{a} / {b} with remainder",
                      "What is {a} divided by {b}, with the remainder?"}),
      {{"a", str(a)}, {"b", str(b)}});
  std::string answer = fill(draw.say("商是{q},余数是{r}。", "The quotient is {q}, the remainder is {r}."),
                            {{"q", quotient}, {"r", rest}});
  return make_sample(draw, "rem|" + str(a) + "|" + str(b), prompt, divide_steps(a, b), answer,
                     {CheckKind::kExact, {answer}});
}

// An expression tree of two to four numbers; every step's value is a whole number from 0 to 9999.
struct Expression {
  std::string shown, steps;
  int64_t value = 0;
  int level = 3;  // 1 sum, 2 product, 3 number or parenthesis
};

std::string wrap(const Expression& e, int level) { return e.level < level ? "(" + e.shown + ")" : e.shown; }

void append_step(std::string& steps, const std::string& next) {
  if (!next.empty()) steps += (steps.empty() ? "" : "\n") + next;
}

Expression build(const Draw& draw, int numbers) {
  Rng& rng = draw.rng;
  if (numbers == 1) {
    int64_t value = rng.chance(0.6) ? rng.range(2, 99) : rng.chance(0.5) ? rng.range(2, 9) : rng.range(100, 999);
    return {.shown = str(value), .steps = "", .value = value, .level = 3};
  }
  for (int attempt = 0; attempt < 50; ++attempt) {
    int left_numbers = static_cast<int>(rng.range(1, numbers - 1));
    Expression a = build(draw, left_numbers), b = build(draw, numbers - left_numbers);
    Expression e;
    append_step(e.steps, a.steps);
    append_step(e.steps, b.steps);
    int64_t kind = rng.range(0, 3);
    if (kind == 0) {
      e.value = a.value + b.value, e.level = 1, e.shown = wrap(a, 1) + "+" + wrap(b, 2);
      append_step(e.steps, add_steps(a.value, b.value));
    } else if (kind == 1 && a.value >= b.value) {
      e.value = a.value - b.value, e.level = 1, e.shown = wrap(a, 1) + "-" + wrap(b, 2);
      append_step(e.steps, subtract_steps(a.value, b.value));
    } else if (kind == 2 && std::min(a.value, b.value) < 100) {
      e.value = a.value * b.value, e.level = 2, e.shown = wrap(a, 2) + "×" + wrap(b, 3);
      append_step(e.steps, multiply_steps(a.value, b.value));
    } else if (kind == 3 && b.value > 1 && b.value < 100 && a.value % b.value == 0) {
      e.value = a.value / b.value, e.level = 2, e.shown = wrap(a, 2) + "÷" + wrap(b, 3);
      append_step(e.steps, divide_steps(a.value, b.value));
    } else {
      continue;
    }
    if (e.value <= 9999) return e;
  }
  return {.shown = "7", .steps = "", .value = 7, .level = 3};
}

Sample expression(const Draw& draw) {
  Rng& rng = draw.rng;
  Expression e = build(draw, static_cast<int>(rng.range(2, 4)));
  std::string shown = e.shown;
  if (rng.chance(0.25)) {
    std::string spaced;
    for (size_t i = 0; i < shown.size(); ++i) {
      std::string_view rest = std::string_view(shown).substr(i);
      bool two = rest.starts_with("×") || rest.starts_with("÷");
      if (two || rest[0] == '+' || rest[0] == '-') {
        spaced += " " + std::string(rest.substr(0, two ? 2 : 1)) + " ";
        i += two ? 1 : 0;
      } else {
        spaced += shown[i];
      }
    }
    shown = spaced;
  }
  return finish(draw, "expr|" + e.shown, shown, e.steps.empty() ? e.shown : e.steps, str(e.value));
}

// Sums and differences of prices: both numbers in hundredths or tenths, computed as whole numbers.
Sample decimals(const Draw& draw) {
  Rng& rng = draw.rng;
  int digits = rng.chance(0.5) ? 1 : 2;
  int64_t a = rng.range(1, digits == 1 ? 999 : 9999), b = rng.range(1, digits == 1 ? 999 : 9999);
  int64_t kind = rng.range(0, 2);
  if (kind == 1 && a < b) std::swap(a, b);
  if (kind == 2) b = rng.range(2, 9);
  std::string x = decimal(a, digits), y = kind == 2 ? str(b) : decimal(b, digits);
  int64_t value = kind == 0 ? a + b : kind == 1 ? a - b : a * b;
  Operator op = pick_operator(draw, kind == 0 ? '+' : kind == 1 ? '-' : '*');
  std::string scale = digits == 1 ? "10" : "100";
  std::string steps = kind == 0 ? add_steps(a, b) : kind == 1 ? subtract_steps(a, b) : multiply_steps(a, b);
  std::string result = decimal(value, digits);
  std::string reasoning = x + "×" + scale + "=" + str(a) + (kind == 2 ? "" : "," + y + "×" + scale + "=" + str(b)) +
                          "\n" + steps + "\n" + str(value) + "÷" + scale + "=" + result;
  return finish(draw, "dec|" + x + op.sign + y, join(draw, x, op, y), reasoning, result);
}

}  // namespace

Sample arithmetic_task(const Draw& draw) {
  double dice = static_cast<double>(draw.rng.range(0, 99));
  Sample sample = dice < 55   ? one_operation(draw)
                  : dice < 65 ? with_remainder(draw)
                  : dice < 90 ? expression(draw)
                              : decimals(draw);
  sample.task = "arithmetic";
  return sample;
}

}  // namespace cove::trainer

#include "tasks/steps.h"

#include <algorithm>

namespace cove::trainer {
namespace {

std::string text(int64_t value) { return std::to_string(value); }

// a times one digit, column by column; the carry is always written after the first column.
std::string times_digit(int64_t a, int64_t digit) {
  if (a < 10 || digit == 1) return text(a) + "×" + text(digit) + "=" + text(a * digit);
  std::string out = text(a) + "×" + text(digit) + ":";
  int64_t carry = 0;
  for (int64_t rest = a, column = 0; rest > 0; rest /= 10, ++column) {
    int64_t product = rest % 10 * digit + carry;
    if (column > 0) out += ",";
    out += text(rest % 10) + "×" + text(digit);
    if (column > 0) out += "+" + text(carry);
    out += "=" + text(product);
    carry = product / 10;
  }
  return out + "=>" + text(a * digit);
}

std::string columns_down(int64_t a, int64_t b) {
  std::string out = text(a) + "-" + text(b) + ":";
  int64_t borrow = 0;
  for (int64_t x = a, y = b, column = 0; x > 0 || y > 0; x /= 10, y /= 10, ++column) {
    int64_t top = x % 10, low = y % 10, next = top - borrow < low ? 1 : 0;
    if (column > 0) out += ",";
    out += text(top + 10 * next);
    if (borrow == 1) out += "-1";
    out += "-" + text(low) + "=" + text(top + 10 * next - borrow - low);
    borrow = next;
  }
  return out + "=>" + text(a - b);
}

}  // namespace

std::string add_steps(int64_t a, int64_t b) {
  if (a < 100 && b < 100) return text(a) + "+" + text(b) + "=" + text(a + b);
  std::string out = text(a) + "+" + text(b) + ":";
  int64_t carry = 0;
  for (int64_t x = a, y = b, column = 0; x > 0 || y > 0; x /= 10, y /= 10, ++column) {
    int64_t sum = x % 10 + y % 10 + carry;
    if (column > 0) out += ",";
    out += text(x % 10) + "+" + text(y % 10);
    if (carry == 1) out += "+1";
    out += "=" + text(sum);
    carry = sum / 10;
  }
  return out + "=>" + text(a + b);
}

std::string subtract_steps(int64_t a, int64_t b) {
  if (a < b)
    return text(a) + "<" + text(b) + "," + subtract_steps(b, a) + "," + text(a) + "-" + text(b) + "=-" + text(b - a);
  if (a < 100) return text(a) + "-" + text(b) + "=" + text(a - b);
  return columns_down(a, b);
}

std::string multiply_steps(int64_t a, int64_t b) {
  const std::string whole = text(a) + "×" + text(b) + "=" + text(a * b);
  if (a == 0 || b == 0 || a == 1 || b == 1 || (a < 10 && b < 10)) return whole;
  int64_t x = a, y = b;
  while (x % 10 == 0) x /= 10;
  while (y % 10 == 0) y /= 10;
  if (x != a || y != b) {
    if (x == 1 || y == 1) return whole;
    return multiply_steps(x, y) + "," + whole;
  }
  if (b < 10) return times_digit(a, b);
  if (a < 10) return times_digit(b, a);
  if (a < b) std::swap(a, b);
  std::string out;
  int64_t sum = 0;
  for (int64_t rest = b, scale = 1; rest > 0; rest /= 10, scale *= 10) {
    int64_t digit = rest % 10;
    if (digit == 0) continue;
    out += times_digit(a, digit) + ";";
    if (scale > 1) {
      out += text(a) + "×" + text(digit * scale) + "=" + text(a * digit * scale) + ";";
      out += add_steps(sum, a * digit * scale) + ";";
    }
    sum += a * digit * scale;
  }
  return out + text(a) + "×" + text(b) + "=" + text(sum);
}

std::string divide_steps(int64_t a, int64_t b) {
  if (a < b) return text(a) + "÷" + text(b) + "=0r" + text(a);
  if (b == 1 || ((b == 10 || b == 100 || b == 1000) && a % b == 0)) return text(a) + "÷" + text(b) + "=" + text(a / b);
  if (b < 10 && a < b * 10) return text(a) + "÷" + text(b) + "=" + text(a / b) + (a % b != 0 ? "r" + text(a % b) : "");
  std::string digits = text(a), out = text(a) + "÷" + text(b) + ":";
  int64_t current = 0;
  bool started = false;
  for (char c : digits) {
    current = current * 10 + (c - '0');
    if (!started && current < b) continue;
    if (started) out += ";";
    started = true;
    int64_t q = current / b, product = q * b;
    out += text(current) + "÷" + text(b) + "=" + text(q);
    if (q > 0) out += "," + (b < 100 ? text(b) + "×" + text(q) + "=" + text(product) : multiply_steps(b, q));
    if (q > 0)
      out += "," + (current < 1000 ? text(current) + "-" + text(product) + "=" + text(current - product)
                                   : subtract_steps(current, product));
    current -= product;
  }
  out += "=>" + text(a / b);
  return a % b != 0 ? out + "r" + text(a % b) : out;
}

std::string decimal(int64_t value, int digits) {
  std::string sign = value < 0 ? "-" : "";
  std::string body = text(value < 0 ? -value : value);
  if (digits == 0) return sign + body;
  while (static_cast<int>(body.size()) <= digits) body.insert(body.begin(), '0');
  body.insert(body.size() - static_cast<size_t>(digits), ".");
  while (body.back() == '0') body.pop_back();
  if (body.back() == '.') body.pop_back();
  return sign + body;
}

}  // namespace cove::trainer

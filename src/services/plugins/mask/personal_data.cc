#include "services/plugins/mask/personal_data.h"

#include <algorithm>
#include <array>
#include <vector>

#include "services/plugins/words/fold.h"

namespace cove::plugins {
namespace {

using Found = DataMatch::Found;

constexpr size_t kGroupsMax = 6;  // the longest form: +86 and a number in three groups, or a card in five
constexpr size_t kDigitsMax = 24;
constexpr size_t kLocalPartMax = 64;  // RFC 5321
constexpr size_t kDomainMax = 253;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_alnum(char c) { return is_digit(c) || is_letter(c); }
bool is_local(char c) { return is_alnum(c) || c == '.' || c == '_' || c == '%' || c == '+' || c == '-'; }
bool is_domain(char c) { return is_alnum(c) || c == '.' || c == '-'; }

// A digit of ASCII or full width at `at`.
std::optional<DecodedChar> digit_at(std::string_view text, size_t at) {
  if (at >= text.size()) return std::nullopt;
  DecodedChar c = decode_char(text, at);
  if (c.code >= 0xFF10 && c.code <= 0xFF19) c.code = c.code - 0xFF10 + '0';
  if (c.code < '0' || c.code > '9') return std::nullopt;
  return c;
}

// Digits in groups: "+86 138-1234-5678".
struct Number {
  struct Group {
    std::string digits;  // the last of an identity number may be X
    size_t end = 0;      // bytes from the text's beginning
  };
  std::vector<Group> groups;
  bool plus = false;
  bool same_separators = true;
  bool open = false;   // the text ends inside it
  bool glued = false;  // a letter follows right after the last group
};

Number read_number(std::string_view text) {
  Number number;
  size_t at = text.starts_with('+') ? 1 : 0;
  number.plus = at == 1;
  size_t digits = 0;
  char separator = '\0';
  while (number.groups.size() < kGroupsMax && digits <= kDigitsMax) {
    Number::Group group;
    while (const auto digit = digit_at(text, at)) {
      group.digits.push_back(static_cast<char>(digit->code));
      at += digit->bytes;
      if (++digits > kDigitsMax) break;
    }
    if (group.digits.empty()) break;
    const bool may_end_in_x = group.digits.size() == 17 || (group.digits.size() == 3 && number.groups.size() == 2);
    if (may_end_in_x && at < text.size() && (text[at] == 'x' || text[at] == 'X')) {
      group.digits.push_back('X');
      ++at;
    }
    group.end = at;
    number.groups.push_back(std::move(group));
    if (at >= text.size()) {
      number.open = true;
      break;
    }
    number.glued = is_alnum(text[at]);
    if (text[at] != ' ' && text[at] != '-') break;
    if (at + 1 >= text.size()) {
      number.open = true;
      break;
    }
    if (!digit_at(text, at + 1)) break;
    if (separator != '\0' && text[at] != separator) number.same_separators = false;
    separator = text[at++];
  }
  return number;
}

bool has_shape(const Number& number, size_t first, std::initializer_list<size_t> lengths) {
  if (first + lengths.size() > number.groups.size()) return false;
  size_t i = first;
  for (const size_t length : lengths) {
    if (number.groups[i++].digits.size() != length) return false;
  }
  return true;
}

std::string joined(const Number& number, size_t first, size_t count) {
  std::string out;
  for (size_t i = first; i < first + count; ++i) out += number.groups[i].digits;
  return out;
}

// Groups from the first on that make an identity number; 0 = none.
size_t identity_groups(const Number& number) {
  if (number.plus) return 0;
  if (has_shape(number, 0, {18}) && is_identity_number(number.groups[0].digits)) return 1;
  if (has_shape(number, 0, {6, 8, 4}) && is_identity_number(joined(number, 0, 3))) return 3;
  return 0;
}

size_t mobile_groups(const Number& number) {
  const std::string& first = number.groups[0].digits;
  const auto after = [&](size_t at) -> size_t {
    if (has_shape(number, at, {11}) && is_mobile_number(number.groups[at].digits)) return at + 1;
    if (has_shape(number, at, {3, 4, 4}) && is_mobile_number(joined(number, at, 3))) return at + 3;
    if (has_shape(number, at, {3, 8}) && is_mobile_number(joined(number, at, 2))) return at + 2;
    return 0;
  };
  if (first == "86" || first == "0086") return after(1);
  if (first.size() == 13 && first.starts_with("86") && is_mobile_number(first.substr(2))) return 1;
  if (first.size() == 15 && first.starts_with("0086") && is_mobile_number(first.substr(4))) return 1;
  return number.plus ? 0 : after(0);
}

size_t card_groups(const Number& number) {
  if (number.plus) return 0;
  const size_t length = number.groups[0].digits.size();
  if (length >= 13) return is_card_number(number.groups[0].digits) ? 1 : 0;
  if (has_shape(number, 0, {4, 4, 4, 4})) {
    if (number.groups.size() > 4 && number.groups[4].digits.size() <= 3 && is_card_number(joined(number, 0, 5)))
      return 5;
    if (is_card_number(joined(number, 0, 4))) return 4;
  }
  if (has_shape(number, 0, {4, 6, 5}) && is_card_number(joined(number, 0, 3))) return 3;
  return has_shape(number, 0, {6, 13}) && is_card_number(joined(number, 0, 2)) ? 2 : 0;
}

DataMatch match_number(std::string_view text, TextEnd end, DataKinds kinds) {
  const Number number = read_number(text);
  if (number.groups.empty()) {
    const bool only_plus = number.plus && text.size() == 1;
    return {.found = only_plus && end == TextEnd::kOpen ? Found::kNeedsMore : Found::kNo};
  }
  if (number.open && end == TextEnd::kOpen) return {.found = Found::kNeedsMore};
  const auto match = [&](DataKind kind, size_t groups) -> DataMatch {
    if (!kinds.has(kind) || groups == 0) return {};
    if (groups == number.groups.size() && number.glued) return {};
    return {.found = Found::kYes, .kind = kind, .bytes = number.groups[groups - 1].end};
  };
  DataMatch best;
  for (const DataMatch& one :
       {match(DataKind::kId, identity_groups(number)), match(DataKind::kMobile, mobile_groups(number)),
        match(DataKind::kCard, card_groups(number))}) {
    if (one.found == Found::kYes && one.bytes > best.bytes) best = one;
  }
  return best;
}

// The domain's labels: letters, digits and inner hyphens; the last one letters only.
bool is_domain_name(std::string_view domain) {
  size_t labels = 0;
  std::string_view last;
  for (size_t begin = 0; begin <= domain.size();) {
    const size_t end = std::min(domain.find('.', begin), domain.size());
    last = domain.substr(begin, end - begin);
    if (last.empty() || last.size() > 63 || last.front() == '-' || last.back() == '-') return false;
    ++labels;
    begin = end + 1;
  }
  return labels >= 2 && last.size() >= 2 && std::ranges::all_of(last, is_letter);
}

DataMatch match_email(std::string_view text, TextEnd end) {
  size_t at = 0;
  while (at < text.size() && at <= kLocalPartMax && is_local(text[at])) ++at;
  const Found at_end = end == TextEnd::kOpen ? Found::kNeedsMore : Found::kNo;
  if (at > kLocalPartMax) return {};
  if (at == text.size()) return {.found = at_end};
  if (at == 0 || text[at] != '@') return {};
  const size_t domain_begin = ++at;
  while (at < text.size() && at - domain_begin <= kDomainMax && is_domain(text[at])) ++at;
  if (at - domain_begin > kDomainMax) return {};
  if (at == text.size() && end == TextEnd::kOpen) return {.found = at_end};
  std::string_view domain = text.substr(domain_begin, at - domain_begin);
  while (!domain.empty() && !is_alnum(domain.back())) domain.remove_suffix(1);  // the sentence's full stop
  if (!is_domain_name(domain)) return {};
  return {.found = Found::kYes, .kind = DataKind::kEmail, .bytes = domain_begin + domain.size()};
}

}  // namespace

std::string_view to_string(DataKind kind) {
  constexpr std::array<std::string_view, 4> kNames = {"id", "mobile", "card", "email"};
  return kNames[static_cast<size_t>(kind)];
}

bool continues_number(std::string_view last_char) {
  return !last_char.empty() && (is_alnum(last_char[0]) || digit_at(last_char, 0).has_value());
}

bool continues_address(std::string_view last_char) { return last_char.size() == 1 && is_local(last_char[0]); }

bool is_identity_number(std::string_view text) {
  if (text.size() != 18) return false;
  constexpr std::array<int, 17> kWeights = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
  constexpr std::string_view kChecks = "10X98765432";
  // Province, by GB/T 2260.
  constexpr std::string_view kRegions =
      "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 "
      "62 63 64 65 71 81 82 83 ";
  int sum = 0;
  for (size_t i = 0; i < kWeights.size(); ++i) {
    if (!is_digit(text[i])) return false;
    sum += (text[i] - '0') * kWeights[i];
  }
  if (kRegions.find(std::string(text.substr(0, 2)) + " ") == std::string_view::npos) return false;
  const auto number = [&](size_t at, size_t count) {
    int value = 0;
    for (size_t i = at; i < at + count; ++i) value = value * 10 + (text[i] - '0');
    return value;
  };
  const int year = number(6, 4);
  const int month = number(10, 2);
  const int day = number(12, 2);
  if (year < 1850 || year > 2099 || month < 1 || month > 12 || day < 1 || day > 31) return false;
  const char check = text[17] == 'x' ? 'X' : text[17];
  return check == kChecks[static_cast<size_t>(sum % 11)];
}

bool is_mobile_number(std::string_view digits) {
  return digits.size() == 11 && digits[0] == '1' && digits[1] >= '3' && digits[1] <= '9';
}

bool is_card_number(std::string_view digits) {
  const size_t length = digits.size();
  if (length < 13 || length > 19 || !std::ranges::all_of(digits, is_digit)) return false;
  const auto head = [&](size_t count) {
    int value = 0;
    for (size_t i = 0; i < count; ++i) value = value * 10 + (digits[i] - '0');
    return value;
  };
  const int two = head(2);
  const int four = head(4);
  const bool union_pay = two == 62 || two == 60 || two == 81;
  const bool visa = digits[0] == '4' && (length == 13 || length == 16 || length == 19);
  const bool mastercard = length == 16 && ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720));
  const bool amex = length == 15 && (two == 34 || two == 37);
  const bool others = four == 6011 || two == 65 || two == 35 || (length == 14 && (two == 36 || two == 38 || two == 30));
  if (!union_pay && !visa && !mastercard && !amex && !others) return false;
  int sum = 0;
  for (size_t i = 0; i < length; ++i) {
    int digit = digits[length - 1 - i] - '0';
    if (i % 2 == 1) digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
    sum += digit;
  }
  return sum % 10 == 0;
}

DataMatch match_data(std::string_view text, TextEnd end, DataKinds kinds) {
  DataMatch address;
  if (kinds.has(DataKind::kEmail)) address = match_email(text, end);
  if (address.found == Found::kNeedsMore) return address;
  const DataMatch number = match_number(text, end, kinds);
  if (number.found == Found::kNeedsMore) return number;
  return address.bytes >= number.bytes ? address : number;
}

}  // namespace cove::plugins

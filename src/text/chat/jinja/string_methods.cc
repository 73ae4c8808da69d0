#include "text/chat/jinja/string_methods.h"

#include <algorithm>
#include <functional>
#include <unordered_map>

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/chat/jinja/format.h"
#include "text/chat/jinja/interpreter.h"
#include "text/chat/jinja/unicode.h"

namespace cove::text::jinja {
namespace {

using Args = const Arguments&;
constexpr auto kNpos = std::string_view::npos;

std::string_view self_text(Interpreter&, const Value& self) { return self.as_string(); }

template <std::string (*kChange)(std::string_view)>
Result<Value> changed(Interpreter& in, const Value& self, Args args) {
  TRY(Parameters::bind("str method", args, {}));
  return in.make_string(kChange(self.as_string()));
}

// True when the text is not empty and every character is of the class.
template <bool (*kIs)(char32_t)>
Result<Value> all_are(Interpreter& in, const Value& self, Args args) {
  TRY(Parameters::bind("str method", args, {}));
  const std::string_view text = self_text(in, self);
  TRY(in.charge(text.size()));
  bool all = !text.empty();
  for (size_t at = 0; at < text.size() && all;) all = kIs(next_code_point(text, at));
  return Value::boolean(all);
}

bool is_alphanumeric(char32_t c) { return is_alphabetic(c) || is_numeric(c); }

// At least one cased character, and none of the other case.
template <bool (*kWanted)(char32_t), bool (*kOther)(char32_t)>
Result<Value> cased_as(Interpreter& in, const Value& self, Args args) {
  TRY(Parameters::bind("str method", args, {}));
  const std::string_view text = self_text(in, self);
  TRY(in.charge(text.size()));
  bool some = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (kOther(c)) return Value::boolean(false);
    some |= kWanted(c);
  }
  return Value::boolean(some);
}

Result<Value> is_title(Interpreter& in, const Value& self, Args args) {
  TRY(Parameters::bind("istitle", args, {}));
  const std::string_view text = self_text(in, self);
  bool some = false;
  bool in_word = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (is_upper(c) ? in_word : is_lower(c) && !in_word) return Value::boolean(false);
    in_word = is_upper(c) || is_lower(c);
    some |= in_word;
  }
  return Value::boolean(some);
}

Result<Value> is_ascii(Interpreter& in, const Value& self, Args) {
  const std::string_view text = self_text(in, self);
  return Value::boolean(
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
}

template <Side kSide>
Result<Value> strip_method(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("strip", args, {"chars"}));
  const std::string_view text = self_text(in, self);
  TRY(in.charge(text.size()));
  if (!p.has(0) || p.get(0)->is_none()) return Value::string(std::string(strip(text, kSide)));
  TRY_ASSIGN(const std::string_view characters, p.string(0, {}));
  return Value::string(std::string(strip(text, kSide, characters)));
}

Value list_of(const std::vector<std::string_view>& parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const std::string_view part : parts) items.push_back(Value::string(std::string(part)));
  return Value::list(std::move(items));
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, int64_t maxsplit) {
  std::vector<std::string_view> parts;
  while (maxsplit < 0 || static_cast<int64_t>(parts.size()) < maxsplit) {
    const size_t at = text.find(separator);
    if (at == kNpos) break;
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> split_at_from_right(std::string_view text, std::string_view separator, int64_t maxsplit) {
  std::vector<std::string_view> parts;
  while (maxsplit < 0 || static_cast<int64_t>(parts.size()) < maxsplit) {
    const size_t at = text.rfind(separator);
    if (at == kNpos) break;
    parts.push_back(text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

enum class From { kLeft, kRight };
template <From kFrom>
Result<Value> split(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("split", args, {"sep", "maxsplit"}));
  TRY_ASSIGN(const int64_t maxsplit, p.integer(1, -1));
  const std::string_view text = self_text(in, self);
  TRY(in.charge(text.size()));
  std::vector<std::string_view> parts;
  if (!p.has(0) || p.get(0)->is_none()) {
    parts = kFrom == From::kLeft ? split_white_space(text, maxsplit) : split_white_space_from_right(text, maxsplit);
  } else {
    TRY_ASSIGN(const std::string_view separator, p.string(0, {}));
    if (separator.empty()) return invalid_argument("empty separator");
    parts = kFrom == From::kLeft ? split_at(text, separator, maxsplit) : split_at_from_right(text, separator, maxsplit);
  }
  TRY(in.charge(parts.size() * 96));
  return list_of(parts);
}

Result<Value> splitlines(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("splitlines", args, {"keepends"}));
  const std::vector<std::string_view> lines =
      split_lines(self_text(in, self), p.truthy(0, false) ? LineEnds::kKeep : LineEnds::kDrop);
  TRY(in.charge(self.as_string().size() + lines.size() * 96));
  return list_of(lines);
}

template <From kFrom>
Result<Value> partition(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("partition", args, {"sep"}, 1));
  TRY_ASSIGN(const std::string_view separator, p.string(0, {}));
  if (separator.empty()) return invalid_argument("empty separator");
  const std::string_view text = self_text(in, self);
  TRY(in.charge(text.size()));
  const size_t at = kFrom == From::kLeft ? text.find(separator) : text.rfind(separator);
  const auto make = [](std::string_view part) { return Value::string(std::string(part)); };
  if (at == kNpos && kFrom == From::kLeft) return Value::tuple({make(text), make(""), make("")});
  if (at == kNpos) return Value::tuple({make(""), make(""), make(text)});
  return Value::tuple({make(text.substr(0, at)), make(separator), make(text.substr(at + separator.size()))});
}

// The part of the text that optional start and end arguments select, by code points.
struct Range {
  std::string_view text;
  size_t skipped = 0;  // bytes before it
  bool valid = true;   // false when start lies behind the end: nothing is found there, not even ""
};
Result<Range> selected(std::string_view text, const Parameters& p, size_t first) {
  if (!p.has(first) && !p.has(first + 1)) return Range{text, 0, true};
  const auto size = static_cast<int64_t>(count_code_points(text));
  const auto bound = [&](size_t index, int64_t fallback) -> Result<int64_t> {
    if (!p.has(index) || p.get(index)->is_none()) return fallback;
    TRY_ASSIGN(const int64_t given, p.integer(index, fallback));
    return given < 0 ? std::max<int64_t>(given + size, 0) : given;
  };
  TRY_ASSIGN(const int64_t start, bound(first, 0));
  TRY_ASSIGN(const int64_t raw_end, bound(first + 1, size));
  const int64_t end = std::min(raw_end, size);
  if (start > end) return Range{{}, 0, false};
  const size_t begin = byte_offset(text, static_cast<size_t>(start));
  const size_t length = byte_offset(text.substr(begin), static_cast<size_t>(end - start));
  return Range{text.substr(begin, length), begin, true};
}

enum class Affix { kPrefix, kSuffix };
template <Affix kAffix>
Result<Value> has_affix(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("startswith", args, {"prefix", "start", "end"}, 1));
  TRY_ASSIGN(const Range range, selected(self_text(in, self), p, 1));
  const auto matches = [&](const Value& affix) {
    return range.valid && (kAffix == Affix::kPrefix ? range.text.starts_with(affix.as_string())
                                                    : range.text.ends_with(affix.as_string()));
  };
  if (p.get(0)->is_string()) return Value::boolean(matches(*p.get(0)));
  if (!p.get(0)->is_sequence(Sequence::kTuple)) {
    return invalid_argument(fmt::format("{} first arg must be str or a tuple of str, not {}",
                                        kAffix == Affix::kPrefix ? "startswith" : "endswith", p.get(0)->type_name()));
  }
  for (const Value& affix : p.get(0)->items()) {
    if (!affix.is_string()) return invalid_argument("a prefix or suffix must be a string");
    if (matches(affix)) return Value::boolean(true);
  }
  return Value::boolean(false);
}

// -1 when the text is not there.
template <From kFrom>
Result<int64_t> find_index(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("find", args, {"sub", "start", "end"}, 1));
  TRY_ASSIGN(const std::string_view wanted, p.string(0, {}));
  TRY(in.charge(self.as_string().size()));
  TRY_ASSIGN(const Range range, selected(self.as_string(), p, 1));
  if (!range.valid) return -1;
  const size_t at = kFrom == From::kLeft ? range.text.find(wanted) : range.text.rfind(wanted);
  if (at == kNpos) return -1;
  return static_cast<int64_t>(count_code_points(self.as_string().substr(0, range.skipped + at)));
}

template <From kFrom>
Result<Value> find_method_of(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const int64_t index, find_index<kFrom>(in, self, args));
  return Value::integer(index);
}

template <From kFrom>
Result<Value> index_method(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const int64_t index, find_index<kFrom>(in, self, args));
  if (index < 0) return invalid_argument("substring not found");
  return Value::integer(index);
}

Result<Value> count(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("count", args, {"sub", "start", "end"}, 1));
  TRY_ASSIGN(const std::string_view wanted, p.string(0, {}));
  TRY(in.charge(self.as_string().size()));
  TRY_ASSIGN(const Range range, selected(self.as_string(), p, 1));
  if (!range.valid) return Value::integer(0);
  if (wanted.empty()) return Value::integer(static_cast<int64_t>(count_code_points(range.text)) + 1);
  return Value::integer(static_cast<int64_t>(split_at(range.text, wanted, -1).size()) - 1);
}

Result<Value> replace(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("replace", args, {"old", "new", "count"}, 2));
  TRY_ASSIGN(const std::string_view from, p.string(0, {}));
  TRY_ASSIGN(const std::string_view to, p.string(1, {}));
  TRY_ASSIGN(const int64_t limit, p.integer(2, -1));
  const std::string_view text = self_text(in, self);
  // The result is at most this long; charging it first keeps a small template from asking for terabytes.
  const size_t places = from.empty() ? text.size() + 1 : text.size() / from.size();
  if (to.size() > 0 && places > in.output_bytes_max() / to.size() &&
      text.size() + places * to.size() > in.output_bytes_max() * 4) {
    return invalid_argument(
        fmt::format("replace could make a string longer than the limit of {} bytes", in.output_bytes_max()));
  }
  return in.make_string(replace_all(text, from, to, limit));
}

Result<Value> join(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("join", args, {"iterable"}, 1));
  TRY_ASSIGN(const std::vector<Value> items, in.iterate(*p.get(0)));
  std::string text;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is_string()) {
      return invalid_argument(
          fmt::format("sequence item {}: expected str instance, {} found", i, items[i].type_name()));
    }
    if (i > 0) text += self.as_string();
    text += items[i].as_string();
    if (text.size() > in.output_bytes_max()) break;
  }
  return in.make_string(std::move(text));
}

template <Affix kAffix>
Result<Value> remove_affix(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("removeprefix", args, {"affix"}, 1));
  TRY_ASSIGN(const std::string_view affix, p.string(0, {}));
  std::string_view text = self_text(in, self);
  if (kAffix == Affix::kPrefix && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (kAffix == Affix::kSuffix && text.ends_with(affix)) text.remove_suffix(affix.size());
  return in.make_string(std::string(text));
}

enum class Align { kLeft, kCenter, kRight };
template <Align kAlign>
Result<Value> justify(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("center", args, {"width", "fillchar"}, 1));
  TRY_ASSIGN(const int64_t width, p.integer(0, 0));
  TRY_ASSIGN(const std::string_view fill, p.string(1, " "));
  if (count_code_points(fill) != 1) return invalid_argument("The fill character must be exactly one character long");
  const auto size = static_cast<int64_t>(count_code_points(self.as_string()));
  if (width <= size) return self;
  if (static_cast<size_t>(width) > in.output_bytes_max() / 4)
    return invalid_argument("the width is larger than the output may be");
  const int64_t missing = width - size;
  // As in CPython: the odd one goes left when the width is odd.
  const int64_t left = kAlign == Align::kLeft    ? 0
                       : kAlign == Align::kRight ? missing
                                                 : missing / 2 + (missing & width & 1);
  std::string text;
  for (int64_t i = 0; i < left; ++i) text += fill;
  text += self.as_string();
  for (int64_t i = left; i < missing; ++i) text += fill;
  return in.make_string(std::move(text));
}

Result<Value> zfill(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("zfill", args, {"width"}, 1));
  TRY_ASSIGN(const int64_t width, p.integer(0, 0));
  const std::string_view text = self_text(in, self);
  const auto size = static_cast<int64_t>(count_code_points(text));
  if (width <= size) return self;
  if (static_cast<size_t>(width) > in.output_bytes_max())
    return invalid_argument("the width is larger than the output may be");
  const size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  return in.make_string(std::string(text.substr(0, sign)) + std::string(static_cast<size_t>(width - size), '0') +
                        std::string(text.substr(sign)));
}

Result<Value> expandtabs(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("expandtabs", args, {"tabsize"}));
  TRY_ASSIGN(const int64_t tab, p.integer(0, 8));
  if (tab > 1024) return invalid_argument("expandtabs(): the tab size is larger than 1024");
  std::string text;
  int64_t column = 0;
  for (const char c : self.as_string()) {
    if (c == '\t') {
      const int64_t spaces = tab > 0 ? tab - column % tab : 0;
      text.append(static_cast<size_t>(spaces), ' ');
      column += spaces;
      if (text.size() > in.output_bytes_max()) break;
      continue;
    }
    text += c;
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) column = c == '\n' || c == '\r' ? 0 : column + 1;
  }
  return in.make_string(std::move(text));
}

Result<Value> format(Interpreter& in, const Value& self, Args args) {
  TRY_ASSIGN(std::string text, format_braces(in, self.as_string(), args));
  return in.make_string(std::move(text));
}

}  // namespace

std::string replace_all(std::string_view text, std::string_view from, std::string_view to, int64_t count) {
  std::string out;
  int64_t done = 0;
  const auto more = [&] { return count < 0 || done < count; };
  if (from.empty()) {
    for (const std::string_view character : split_code_points(text)) {
      if (more()) out += to;
      ++done;
      out += character;
    }
    if (more()) out += to;
    return out;
  }
  while (more()) {
    const size_t at = text.find(from);
    if (at == kNpos) break;
    out += text.substr(0, at);
    out += to;
    text.remove_prefix(at + from.size());
    ++done;
  }
  out += text;
  return out;
}

Method find_string_method(std::string_view name) {
  static const std::unordered_map<std::string_view, Method> kMethods = {
      {"upper", changed<to_upper>},
      {"lower", changed<to_lower>},
      {"casefold", changed<to_casefold>},
      {"capitalize", changed<capitalize>},
      {"title", changed<to_title>},
      {"swapcase", changed<swap_case>},
      {"strip", strip_method<Side::kBoth>},
      {"lstrip", strip_method<Side::kLeft>},
      {"rstrip", strip_method<Side::kRight>},
      {"split", split<From::kLeft>},
      {"rsplit", split<From::kRight>},
      {"splitlines", splitlines},
      {"partition", partition<From::kLeft>},
      {"rpartition", partition<From::kRight>},
      {"startswith", has_affix<Affix::kPrefix>},
      {"endswith", has_affix<Affix::kSuffix>},
      {"removeprefix", remove_affix<Affix::kPrefix>},
      {"removesuffix", remove_affix<Affix::kSuffix>},
      {"find", find_method_of<From::kLeft>},
      {"rfind", find_method_of<From::kRight>},
      {"index", index_method<From::kLeft>},
      {"rindex", index_method<From::kRight>},
      {"count", count},
      {"replace", replace},
      {"join", join},
      {"format", format},
      {"center", justify<Align::kCenter>},
      {"ljust", justify<Align::kLeft>},
      {"rjust", justify<Align::kRight>},
      {"zfill", zfill},
      {"expandtabs", expandtabs},
      {"isspace", all_are<is_space>},
      {"isalpha", all_are<is_alphabetic>},
      {"isdigit", all_are<is_decimal>},
      {"isdecimal", all_are<is_decimal>},
      {"isnumeric", all_are<is_numeric>},
      {"isalnum", all_are<is_alphanumeric>},
      {"isupper", cased_as<is_upper, is_lower>},
      {"islower", cased_as<is_lower, is_upper>},
      {"istitle", is_title},
      {"isascii", is_ascii},
  };
  const auto found = kMethods.find(name);
  return found == kMethods.end() ? nullptr : found->second;
}

}  // namespace cove::text::jinja

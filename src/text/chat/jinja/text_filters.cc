// Filters that give text.
#include <algorithm>

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/chat/jinja/filter_functions.h"
#include "text/chat/jinja/format.h"
#include "text/chat/jinja/interpreter.h"
#include "text/chat/jinja/operators.h"
#include "text/chat/jinja/print.h"
#include "text/chat/jinja/string_methods.h"
#include "text/chat/jinja/unicode.h"

namespace cove::text::jinja {
namespace {

using Args = const Arguments&;

template <std::string (*kChange)(std::string_view)>
Result<Value> changed(Interpreter& in, const Value& subject, Args args) {
  TRY(Parameters::bind("filter", args, {}));
  TRY_ASSIGN(const std::string text, in.to_text(subject));
  return in.make_string(kChange(text));
}

bool begins_word_after(char32_t c) { return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c); }

// Jinja's own: unlike str.title, "it's" stays one word.
std::string title_words(std::string_view text) {
  std::string out;
  size_t begin = 0;
  const auto flush = [&](size_t end) {
    if (begin >= end) return;
    size_t second = begin;
    next_code_point(text, second);
    out += to_upper(text.substr(begin, second - begin));
    out += to_lower(text.substr(second, end - second));
  };
  for (size_t at = 0; at < text.size();) {
    const size_t here = at;
    if (!begins_word_after(next_code_point(text, at))) continue;
    flush(here);
    out += text.substr(here, at - here);
    begin = at;
  }
  flush(text.size());
  return out;
}

Result<Value> trim(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("trim", args, {"chars"}));
  TRY_ASSIGN(const std::string text, in.to_text(subject));
  if (!p.has(0) || p.get(0)->is_none()) return in.make_string(std::string(strip(text, Side::kBoth)));
  TRY_ASSIGN(const std::string_view characters, p.string(0, {}));
  return in.make_string(std::string(strip(text, Side::kBoth, characters)));
}

Result<Value> replace(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("replace", args, {"old", "new", "count"}, 2));
  TRY_ASSIGN(const std::string text, in.to_text(subject));
  TRY_ASSIGN(const std::string from, in.to_text(*p.get(0)));
  TRY_ASSIGN(const std::string to, in.to_text(*p.get(1)));
  Arguments method_args;
  method_args.positional = {Value::string(from), Value::string(to)};
  if (p.has(2) && !p.get(2)->is_none()) method_args.positional.push_back(*p.get(2));
  return find_string_method("replace")(in, Value::string(text), method_args);
}

Result<Value> to_string(Interpreter& in, const Value& subject, Args args) {
  TRY(Parameters::bind("string", args, {}));
  if (subject.is_string()) return subject;
  TRY_ASSIGN(std::string text, in.to_text(subject));
  return in.make_string(std::move(text));
}

Result<Value> mark_safe(Interpreter& in, const Value& subject, Args) {
  TRY_ASSIGN(std::string text, in.to_text(subject));
  TRY(in.charge(text.size()));
  return Value::safe_string(std::move(text));
}

Result<Value> force_escape(Interpreter& in, const Value& subject, Args) {
  TRY_ASSIGN(const std::string text, in.to_text(subject));
  TRY(in.charge(text.size() * 6));
  return Value::safe_string(escape_html(text));
}

Result<Value> escape(Interpreter& in, const Value& subject, Args args) {
  if (subject.is_string() && subject.string_object().safe) return subject;
  return force_escape(in, subject, args);
}

// Tags and comments removed, white space collapsed; the five entities that escape() makes are turned back.
Result<Value> striptags(Interpreter& in, const Value& subject, Args) {
  TRY_ASSIGN(const std::string text, in.to_text(subject));
  std::string bare;
  for (size_t at = 0; at < text.size();) {
    const bool comment = text.compare(at, 4, "<!--") == 0;
    const size_t end = text[at] == '<' ? text.find(comment ? "-->" : ">", at) : std::string::npos;
    if (end == std::string::npos) {
      bare += text[at++];
    } else {
      at = end + (comment ? 3 : 1);
    }
  }
  std::string out;
  for (const std::string_view word : split_white_space(bare, -1)) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  static constexpr std::pair<std::string_view, std::string_view> kEntities[] = {
      {"&lt;", "<"}, {"&gt;", ">"}, {"&#34;", "\""}, {"&quot;", "\""}, {"&#39;", "'"}, {"&amp;", "&"}};
  for (const auto& [entity, character] : kEntities) out = replace_all(out, entity, character, -1);
  return in.make_string(std::move(out));
}

Result<Value> indent(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("indent", args, {"width", "first", "blank"}));
  TRY(Interpreter::require_defined(subject));
  if (!subject.is_string()) {
    return invalid_argument(fmt::format("unsupported operand type(s) for +=: '{}' and 'str'", subject.type_name()));
  }
  std::string indention;
  if (p.has(0) && p.get(0)->is_string()) {
    indention = p.get(0)->as_string();
  } else {
    TRY_ASSIGN(const int64_t width, p.integer(0, 4));
    if (width > 65536) return invalid_argument("indent(): the width is larger than 65536");
    indention.assign(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  const std::string text = std::string(subject.as_string()) + "\n";
  std::string out = p.truthy(1, false) ? indention : "";
  bool first = true;
  for (const std::string_view line : split_lines(text, LineEnds::kDrop)) {
    if (!first) out += '\n';
    if (!first && (p.truthy(2, false) || !line.empty())) out += indention;
    first = false;
    out += line;
    if (out.size() > in.output_bytes_max()) break;
  }
  return in.make_string(std::move(out));
}

Result<Value> wordcount(Interpreter& in, const Value& subject, Args) {
  TRY_ASSIGN(const std::string text, in.to_text(subject));
  int64_t words = 0;
  bool in_word = false;
  for (size_t at = 0; at < text.size();) {
    const bool word = is_word(next_code_point(text, at));
    words += word && !in_word ? 1 : 0;
    in_word = word;
  }
  return Value::integer(words);
}

Result<Value> center(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("center", args, {"width"}));
  TRY_ASSIGN(std::string text, in.to_text(subject));
  Arguments method_args;
  method_args.positional.push_back(p.has(0) ? *p.get(0) : Value::integer(80));
  return find_string_method("center")(in, Value::string(std::move(text)), method_args);
}

// Python measures what is not a string as it is, and cannot cut it.
Result<Value> truncate_other(Interpreter& in, const Value& subject, int64_t length_max) {
  TRY_ASSIGN(const Value length, find_filter("length")->run(in, subject, {}));
  if (length.as_int() <= length_max) return subject;
  return invalid_argument(fmt::format("truncate(): cannot cut a {}", subject.type_name()));
}

Result<Value> truncate(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p, Parameters::bind("truncate", args, {"length", "killwords", "end", "leeway"}));
  TRY_ASSIGN(const int64_t length, p.integer(0, 255));
  TRY_ASSIGN(const std::string_view end, p.string(2, "..."));
  TRY_ASSIGN(const int64_t leeway, p.integer(3, 5));
  if (!subject.is_string()) return truncate_other(in, subject, length + leeway);
  std::string text(subject.as_string());
  const auto end_length = static_cast<int64_t>(count_code_points(end));
  if (length < end_length || leeway < 0)
    return invalid_argument("truncate(): the length must be at least that of the end");
  const auto size = static_cast<int64_t>(count_code_points(text));
  if (size <= leeway || size - leeway <= length) return in.make_string(std::move(text));
  std::string kept = text.substr(0, byte_offset(text, static_cast<size_t>(length - end_length)));
  if (!p.truthy(1, false)) {
    const size_t space = kept.rfind(' ');
    if (space != std::string::npos) kept.resize(space);
  }
  return in.make_string(kept + std::string(end));
}

Result<Value> format(Interpreter& in, const Value& subject, Args args) {
  if (!args.positional.empty() && !args.named.empty()) {
    return invalid_argument("can't handle positional and keyword arguments at the same time");
  }
  TRY_ASSIGN(const std::string text, in.to_text(subject));
  Value values = Value::tuple(args.positional);
  if (!args.named.empty()) {
    auto dict = std::make_unique<DictObject>();
    for (const auto& [name, value] : args.named) dict->set(Value::string(name), value, in.budget());
    values = Value::dict(std::move(dict));
  }
  TRY_ASSIGN(std::string out, format_percent(in, text, values));
  return in.make_string(std::move(out));
}

std::vector<Value> pairs_of(const DictObject& dict) {
  std::vector<Value> pairs;
  for (const auto& [key, value] : dict.entries) pairs.push_back(Value::tuple({key, value}));
  return pairs;
}

std::string quote(std::string_view text, std::string_view safe) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("_.-~").find(c) != std::string_view::npos ||
                       safe.find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// A string with its slashes; a dict or pairs as a query.
Result<Value> urlencode(Interpreter& in, const Value& subject, Args) {
  if (!subject.is_dict() && !subject.is_list()) {
    TRY_ASSIGN(const std::string text, in.to_text(subject));
    return in.make_string(quote(text, "/"));
  }
  TRY_ASSIGN(const std::vector<Value> pairs,
             in.iterate(subject.is_dict() ? Value::list(pairs_of(subject.dict_object())) : subject));
  std::string out;
  for (const Value& pair : pairs) {
    TRY_ASSIGN(const std::vector<Value> parts, in.iterate(pair));
    if (parts.size() != 2) return invalid_argument("urlencode() needs pairs of a key and a value");
    TRY_ASSIGN(const std::string key, in.to_text(parts[0]));
    TRY_ASSIGN(const std::string value, in.to_text(parts[1]));
    out += (out.empty() ? "" : "&") + replace_all(quote(key, ""), "%20", "+", -1) + "=" +
           replace_all(quote(value, ""), "%20", "+", -1);
  }
  return in.make_string(std::move(out));
}

Status json_indent(const Parameters& p, JsonStyle& style) {
  if (!p.has(1) || p.get(1)->is_none()) return {};
  style.pretty = true;
  style.item_separator = ",";
  if (p.get(1)->is_string()) {
    style.indent = p.get(1)->as_string();
    return {};
  }
  TRY_ASSIGN(const int64_t width, p.integer(1, 0));
  if (width > 256) return invalid_argument("tojson(): the indent is larger than 256");
  style.indent.assign(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  return {};
}

// transformers' tojson: json.dumps without HTML escaping.
Result<Value> tojson(Interpreter& in, const Value& subject, Args args) {
  TRY_ASSIGN(const Parameters p,
             Parameters::bind("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  style.ensure_ascii = p.truthy(0, false);
  style.sort_keys = p.truthy(3, false);
  TRY(json_indent(p, style));
  if (p.has(2) && !p.get(2)->is_none()) {
    TRY_ASSIGN(const std::vector<Value> pair, in.iterate(*p.get(2)));
    if (pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
      return invalid_argument("tojson(): separators must be two strings");
    }
    style.item_separator = pair[0].as_string();
    style.key_separator = pair[1].as_string();
  }
  std::string text;
  Writer writer(text, in.output_bytes_max(), in.budget());
  TRY(write_json(subject, style, writer));
  if (!writer.ok()) {
    return invalid_argument(fmt::format("tojson(): longer than the limit of {} bytes", in.output_bytes_max()));
  }
  return in.make_string(std::move(text));
}

Result<Value> pretty(Interpreter& in, const Value& subject, Args) {
  std::string text;
  Writer writer(text, in.output_bytes_max(), in.budget());
  write_repr(subject, writer);
  if (!writer.ok()) return invalid_argument("pprint(): the value is too large");
  return in.make_string(std::move(text));
}

constexpr FilterEntry kFilters[] = {
    {"upper", changed<to_upper>},
    {"lower", changed<to_lower>},
    {"capitalize", changed<capitalize>},
    {"title", changed<title_words>},
    {"trim", trim},
    {"replace", replace},
    {"string", to_string},
    {"safe", mark_safe},
    {"escape", escape},
    {"e", escape},
    {"forceescape", force_escape},
    {"striptags", striptags},
    {"indent", indent},
    {"wordcount", wordcount},
    {"center", center},
    {"truncate", truncate},
    {"format", format},
    {"urlencode", urlencode},
    {"tojson", tojson},
    {"pprint", pretty},
};

}  // namespace

std::span<const FilterEntry> text_filters() { return kFilters; }

}  // namespace cove::text::jinja

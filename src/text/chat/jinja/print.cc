#include "text/chat/jinja/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/chat/jinja/unicode.h"

namespace cove::text::jinja {
namespace {

// Namespaces can hold themselves; every other value is less deep.
constexpr int kPrintDepthMax = 400;

void write_string_repr(std::string_view text, Writer& writer) {
  const char quote = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      out += text.substr(begin, at - begin);
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
    }
  }
  out += quote;
  writer.write(out);
}

void write_repr_at(const Value& value, Writer& writer, int depth);

void write_items(const std::vector<Value>& items, Writer& writer, int depth) {
  bool first = true;
  for (const Value& item : items) {
    if (!writer.ok()) return;
    if (!first) writer.write(", ");
    first = false;
    write_repr_at(item, writer, depth);
  }
}

void write_list(const ListObject& list, Writer& writer, int depth) {
  switch (list.sequence) {
    case Sequence::kList:
      writer.write("[");
      write_items(list.items, writer, depth);
      writer.write("]");
      return;
    case Sequence::kGroup:
    case Sequence::kTuple:
      writer.write("(");
      write_items(list.items, writer, depth);
      writer.write(list.items.size() == 1 ? ",)" : ")");
      return;
    case Sequence::kRange:
      writer.write(list.range_step == 1
                       ? fmt::format("range({}, {})", list.range_start, list.range_stop)
                       : fmt::format("range({}, {}, {})", list.range_start, list.range_stop, list.range_step));
      return;
    case Sequence::kGenerator: writer.write("<generator object>"); return;
    case Sequence::kKeys: writer.write("dict_keys(["); break;
    case Sequence::kValues: writer.write("dict_values(["); break;
    case Sequence::kItems: writer.write("dict_items(["); break;
  }
  write_items(list.items, writer, depth);
  writer.write("])");
}

void write_namespace(const NamespaceObject& ns, Writer& writer, int depth) {
  writer.write("<Namespace {");
  bool first = true;
  for (const auto& [name, value] : ns.attributes) {
    if (!writer.ok()) return;
    if (!first) writer.write(", ");
    first = false;
    write_string_repr(name, writer);
    writer.write(": ");
    write_repr_at(value, writer, depth);
  }
  writer.write("}>");
}

void write_dict(const DictObject& dict, Writer& writer, int depth) {
  writer.write("{");
  bool first = true;
  for (const auto& [key, value] : dict.entries) {
    if (!writer.ok()) return;
    if (!first) writer.write(", ");
    first = false;
    write_repr_at(key, writer, depth);
    writer.write(": ");
    write_repr_at(value, writer, depth);
  }
  writer.write("}");
}

void write_repr_at(const Value& value, Writer& writer, int depth) {
  if (depth > kPrintDepthMax) return writer.write("...");
  switch (value.kind()) {
    case Kind::kUndefined: return writer.write("Undefined");
    case Kind::kNone: return writer.write("None");
    case Kind::kBool: return writer.write(value.as_bool() ? "True" : "False");
    case Kind::kInt: return writer.write(fmt::format_int(value.as_int()).c_str());
    case Kind::kFloat: return writer.write(float_repr(value.as_float()));
    case Kind::kString: return write_string_repr(value.as_string(), writer);
    case Kind::kList: return write_list(value.list_object(), writer, depth + 1);
    case Kind::kDict: return write_dict(value.dict_object(), writer, depth + 1);
    case Kind::kNamespace: return write_namespace(value.namespace_object(), writer, depth + 1);
    case Kind::kLoop: return writer.write("<LoopContext>");
    case Kind::kCallable: return writer.write(fmt::format("<{}>", value.type_name()));
  }
}

void write_json_string(std::string_view text, const JsonStyle& style, Writer& writer) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    switch (c) {
      case '"': out += "\\\""; continue;
      case '\\': out += "\\\\"; continue;
      case '\n': out += "\\n"; continue;
      case '\r': out += "\\r"; continue;
      case '\t': out += "\\t"; continue;
      case '\f': out += "\\f"; continue;
      case '\b': out += "\\b"; continue;
      default: break;
    }
    const auto code = static_cast<uint32_t>(c);
    if (c < 0x20 || (style.ensure_ascii && c >= 0x7F && c < 0x10000 && c != 0x7F)) {
      out += fmt::format("\\u{:04x}", code);
    } else if (style.ensure_ascii && c >= 0x10000) {
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF));
    } else {
      out += text.substr(begin, at - begin);
    }
  }
  out += '"';
  writer.write(out);
}

std::string json_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return float_repr(value);
}

class JsonPrinter {
 public:
  JsonPrinter(const JsonStyle& style, Writer& writer) : style_(style), writer_(writer) {}

  Status print(const Value& value, int level) {
    if (!writer_.ok()) return {};
    switch (value.kind()) {
      case Kind::kNone: writer_.write("null"); return {};
      case Kind::kBool: writer_.write(value.as_bool() ? "true" : "false"); return {};
      case Kind::kInt: writer_.write(fmt::format_int(value.as_int()).c_str()); return {};
      case Kind::kFloat: writer_.write(json_float(value.as_float())); return {};
      case Kind::kString: write_json_string(value.as_string(), style_, writer_); return {};
      case Kind::kList: return print_list(value, level);
      case Kind::kDict: return print_dict(value.dict_object(), level);
      default: return not_serializable(value);
    }
  }

 private:
  static Status not_serializable(const Value& value) {
    return invalid_argument(fmt::format("Object of type {} is not JSON serializable", value.type_name()));
  }

  void new_line(int level) {
    if (!style_.pretty) return;
    writer_.write("\n");
    for (int i = 0; i < level; ++i) writer_.write(style_.indent);
  }

  Status print_list(const Value& value, int level) {
    const ListObject& list = value.list_object();
    if (list.sequence > Sequence::kTuple && list.sequence != Sequence::kGroup) return not_serializable(value);
    if (list.items.empty()) {
      writer_.write("[]");
      return {};
    }
    writer_.write("[");
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) writer_.write(style_.item_separator);
      new_line(level + 1);
      TRY(print(list.items[i], level + 1));
    }
    new_line(level);
    writer_.write("]");
    return {};
  }

  Status print_key(const Value& key) {
    if (key.is_string()) {
      write_json_string(key.as_string(), style_, writer_);
      return {};
    }
    if (!key.is_number() && !key.is_none()) {
      return invalid_argument(fmt::format("keys must be str, int, float, bool or None, not {}", key.type_name()));
    }
    writer_.write("\"");
    TRY(print(key, 0));
    writer_.write("\"");
    return {};
  }

  Result<std::vector<const std::pair<Value, Value>*>> ordered(const DictObject& dict) {
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (!style_.sort_keys) return entries;
    Budget budget(static_cast<int64_t>(entries.size()) * 64 + 1024);
    for (size_t i = 1; i < entries.size(); ++i) {
      TRY_ASSIGN(const int order, compare(entries[i - 1]->first, entries[i]->first, "<", budget));
      if (order == kUnordered) return invalid_argument("a key that is NaN cannot be sorted");
    }
    // Keys of one kind, all different: the order is total.
    std::sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
      const Result<int> order = compare(a->first, b->first, "<", budget);
      return order && *order == -1;
    });
    return entries;
  }

  Status print_dict(const DictObject& dict, int level) {
    if (dict.entries.empty()) {
      writer_.write("{}");
      return {};
    }
    TRY_ASSIGN(const auto entries, ordered(dict));
    writer_.write("{");
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) writer_.write(style_.item_separator);
      new_line(level + 1);
      TRY(print_key(entries[i]->first));
      writer_.write(style_.key_separator);
      TRY(print(entries[i]->second, level + 1));
    }
    new_line(level);
    writer_.write("}");
    return {};
  }

  const JsonStyle& style_;
  Writer& writer_;
};

}  // namespace

void Writer::write(std::string_view text) {
  if (!ok()) return;
  if (text.size() > bytes_max_ || out_->size() > bytes_max_ - text.size()) {
    overflowed_ = true;
    return;
  }
  budget_->spend(1 + static_cast<int64_t>(text.size() / 32));
  *out_ += text;
}

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char digits[64];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value, std::chars_format::scientific).ptr;
  const std::string_view text(digits, static_cast<size_t>(end - digits));
  const size_t mark = text.find('e');
  int exponent = 0;
  const bool plus = text[mark + 1] == '+';
  std::from_chars(text.data() + mark + (plus ? 2 : 1), text.data() + text.size(), exponent);
  // Python writes an exponent below 1e-4 and from 1e16 on.
  if (exponent < -4 || exponent >= 16) {
    return fmt::format("{}e{}{:02d}", text.substr(0, mark), exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  const auto fixed_end = std::to_chars(digits, digits + sizeof(digits), value, std::chars_format::fixed).ptr;
  std::string fixed(digits, static_cast<size_t>(fixed_end - digits));
  if (fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

void write_repr(const Value& value, Writer& writer) { write_repr_at(value, writer, 0); }

void write_str(const Value& value, Writer& writer) {
  if (value.is_string()) return writer.write(value.as_string());
  if (value.is_undefined()) return;
  write_repr_at(value, writer, 0);
}

Status write_json(const Value& value, const JsonStyle& style, Writer& writer) {
  return JsonPrinter(style, writer).print(value, 0);
}

}  // namespace cove::text::jinja

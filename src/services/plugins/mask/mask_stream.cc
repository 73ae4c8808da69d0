#include "services/plugins/mask/mask_stream.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/utf8.h"
#include "services/plugins/words/fold.h"

namespace cove::plugins {
namespace {

constexpr size_t kPlaceholderBytesMax = 24;

std::string_view placeholder_name(DataKind kind) {
  constexpr std::array<std::string_view, 4> kNames = {"ID", "MOBILE", "CARD", "EMAIL"};
  return kNames[static_cast<size_t>(kind)];
}

bool is_kept(char32_t c) { return c == ' ' || c == '-' || c == '@' || c == '.' || c == '+'; }

struct Visible {
  size_t head;
  size_t tail;
};

Visible visible_part(DataKind kind) {
  switch (kind) {
    case DataKind::kId: return {.head = 3, .tail = 4};
    case DataKind::kMobile: return {.head = 3, .tail = 4};
    case DataKind::kCard: return {.head = 4, .tail = 4};
    case DataKind::kEmail: return {.head = 1, .tail = 0};
  }
  return {.head = 0, .tail = 0};
}

// Whether anything can begin with this byte: most text is passed over quickly.
bool may_begin(unsigned char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '+' ||
         byte == '_' || byte == '.' || byte == '%' || byte == '-' || byte == '[' || byte == 0xEF;
}

}  // namespace

const std::string& Vault::placeholder_of(DataKind kind, std::string_view value) {
  const auto found = placeholders_.find(value);
  if (found != placeholders_.end()) return found->second;
  const std::string name = fmt::format("[{}_{}]", placeholder_name(kind), ++counts_[static_cast<size_t>(kind)]);
  values_.emplace(name, std::string(value));
  return placeholders_.emplace(std::string(value), name).first->second;
}

const std::string* Vault::value_of(std::string_view placeholder) const {
  const auto found = values_.find(placeholder);
  return found == values_.end() ? nullptr : &found->second;
}

bool Vault::begins_placeholder(std::string_view text) const {
  const auto next = values_.upper_bound(text);
  return next != values_.end() && next->first.starts_with(text);
}

std::string starred(DataKind kind, std::string_view value, MaskStyle style) {
  const size_t at_sign = kind == DataKind::kEmail ? value.find('@') : std::string_view::npos;
  size_t characters = 0;
  for (size_t i = 0; i < value.size(); ++characters) i += decode_char(value, i).bytes;
  std::string out;
  size_t index = 0;
  const Visible visible = visible_part(kind);
  for (size_t i = 0; i < value.size(); ++index) {
    const DecodedChar c = decode_char(value, i);
    const bool domain = i >= at_sign;
    bool shown = is_kept(c.code);
    if (style == MaskStyle::kPartial) {
      shown = shown || domain || index < visible.head ||
              (kind != DataKind::kEmail && index >= characters - std::min(characters, visible.tail));
    }
    if (shown) {
      out += value.substr(i, c.bytes);
    } else {
      out += '*';
    }
    i += c.bytes;
  }
  return out;
}

void MaskStream::push(std::string_view text, std::string& out) {
  held_ += text;
  process(TextEnd::kOpen, out);
}

void MaskStream::finish(std::string& out) { process(TextEnd::kClosed, out); }

MaskStream::Step MaskStream::take_data(std::string_view rest, TextEnd end, std::string& out, size_t& bytes) {
  if (continues_number(last_)) return Step::kNothing;
  DataKinds kinds = options_.kinds;
  if (continues_address(last_)) kinds.bits &= static_cast<uint8_t>(~(1U << static_cast<unsigned>(DataKind::kEmail)));
  const DataMatch match = match_data(rest, end, kinds);
  if (match.found == DataMatch::Found::kNeedsMore) return Step::kWait;
  if (match.found == DataMatch::Found::kNo) return Step::kNothing;
  const std::string_view value = rest.substr(0, match.bytes);
  if (options_.style == MaskStyle::kPlaceholder) {
    out += options_.masking->placeholder_of(match.kind, value);
  } else {
    out += starred(match.kind, value, options_.style);
  }
  ++counts_.masked;
  bytes = match.bytes;
  return Step::kTaken;
}

MaskStream::Step MaskStream::take_placeholder(std::string_view rest, TextEnd end, std::string& out, size_t& bytes) {
  if (options_.restoring == nullptr) return Step::kNothing;
  const size_t close = rest.substr(0, kPlaceholderBytesMax).find(']');
  if (close == std::string_view::npos) {
    const bool wait = end == TextEnd::kOpen && options_.restoring->begins_placeholder(rest);
    return wait ? Step::kWait : Step::kNothing;
  }
  const std::string* value = options_.restoring->value_of(rest.substr(0, close + 1));
  if (value == nullptr) return Step::kNothing;
  out += *value;
  ++counts_.restored;
  bytes = close + 1;
  return Step::kTaken;
}

void MaskStream::process(TextEnd end, std::string& out) {
  const size_t known = end == TextEnd::kClosed ? held_.size() : complete_utf8_prefix(held_);
  const std::string_view text = std::string_view(held_).substr(0, known);
  size_t at = 0;
  while (at < known) {
    size_t bytes = 0;
    Step step = Step::kNothing;
    if (may_begin(static_cast<unsigned char>(text[at]))) {
      step = text[at] == '[' ? take_placeholder(text.substr(at), end, out, bytes)
                             : take_data(text.substr(at), end, out, bytes);
    }
    if (step == Step::kWait) break;
    if (step == Step::kTaken) {
      last_ = text.substr(at + bytes - 1, 1);
    } else {
      bytes = decode_char(text, at).bytes;
      out += text.substr(at, bytes);
      last_ = text.substr(at, bytes);
    }
    at += bytes;
  }
  held_.erase(0, at);
}

}  // namespace cove::plugins

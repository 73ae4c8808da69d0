#include "services/audit/line.h"

#include <charconv>
#include <ctime>

#include <fmt/format.h>

#include "base/json_text.h"

namespace cove::audit {
namespace {

constexpr std::string_view kSequence = R"({"seq":)";
constexpr std::string_view kPrevious = R"(,"prev":")";
constexpr std::string_view kType = R"(","type":")";
constexpr std::string_view kHash = R"(,"hash":")";
constexpr std::string_view kEnd = R"("})";
constexpr size_t kHexDigits = 64;
constexpr size_t kSuffix = kHash.size() + kHexDigits + kEnd.size();

// Takes `expected` off the front of `text`.
bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

bool take_hash(std::string_view& text, Hash& hash) {
  if (!read_hex(text.substr(0, kHexDigits), hash.data(), hash.size())) return false;
  text.remove_prefix(kHexDigits);
  return true;
}

// Without sign, space or leading zero, so that a number has one spelling.
bool take_number(std::string_view& text, uint64_t& value) {
  if (text.empty() || text[0] < '1' || text[0] > '9') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool take_type(std::string_view& text, std::string_view& type) {
  const size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_");
  if (end == 0 || end == std::string_view::npos || text[end] != '"') return false;
  type = text.substr(0, end);
  text.remove_prefix(end + 1);
  return true;
}

void append_text(std::string& out, std::string_view key, std::string_view value) {
  out += fmt::format(R"(,"{}":)", key);
  append_json_string(out, value);
}

}  // namespace

void append_line(std::string& out, ChainState& state, std::string_view type, std::string_view members) {
  const size_t begin = out.size();
  ++state.sequence;
  out += kSequence;
  append_json_number(out, static_cast<int64_t>(state.sequence));
  out += kPrevious;
  append_hex(out, state.hash.data(), state.hash.size());
  out += kType;
  out += type;
  out += '"';
  out += members;
  state.hash = sha256(std::string_view(out).substr(begin));
  out += kHash;
  append_hex(out, state.hash.data(), state.hash.size());
  out += kEnd;
  out += '\n';
}

Result<Line> parse_line(std::string_view text) {
  Line line;
  std::string_view rest = text;
  const bool head = take(rest, kSequence) && take_number(rest, line.sequence) && take(rest, kPrevious) &&
                    take_hash(rest, line.previous) && take(rest, kType) && take_type(rest, line.type);
  if (!head || rest.size() < kSuffix) return data_corrupt("this is no line of an audit log");
  line.content = text.substr(0, text.size() - kSuffix);
  rest.remove_prefix(rest.size() - kSuffix);
  if (!take(rest, kHash) || !take_hash(rest, line.hash) || rest != kEnd)
    return data_corrupt("this is no line of an audit log: it does not end with its hash");
  return line;
}

std::string time_text(int64_t time_ns) {
  constexpr int64_t kSecond = 1'000'000'000;
  int64_t seconds = time_ns / kSecond;
  int64_t rest = time_ns % kSecond;
  if (rest < 0) {
    rest += kSecond;
    --seconds;
  }
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, rest / 1'000'000);
}

Result<int64_t> parse_time(std::string_view text) {
  const Error wrong =
      invalid_argument(fmt::format("'{}' is no time: write 2026-11-29, 2026-11-29T05:37:45 or 2026-11-29T05:37:45.123Z "
                                   "(UTC)",
                                   text));
  std::string copy(text);
  if (copy.ends_with('Z')) copy.pop_back();
  int64_t millis = 0;
  if (const size_t dot = copy.find('.'); dot != std::string::npos) {
    const std::string digits = copy.substr(dot + 1);
    if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != std::string::npos)
      return wrong;
    for (size_t i = 0; i < 3; ++i) millis = millis * 10 + (i < digits.size() ? digits[i] - '0' : 0);
    copy.resize(dot);
  }
  std::tm parts{};
  const char* format = copy.size() <= 10 ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%S";
  const char* end = ::strptime(copy.c_str(), format, &parts);
  if (end == nullptr || *end != '\0' || parts.tm_year < 70 || parts.tm_year > 300) return wrong;
  return (static_cast<int64_t>(::timegm(&parts)) * 1000 + millis) * 1'000'000;
}

void append_time(std::string& out, int64_t time_ns) {
  fmt::format_to(std::back_inserter(out), R"(,"time":"{}","time_ns":"{}")", time_text(time_ns), time_ns);
}

std::string checkpoint_message(const CheckpointFields& fields) {
  return fmt::format("cove-audit-checkpoint-1\n{}\n{}\n{}\n{}\n", fields.log_id, fields.sequence,
                     to_hex(fields.previous), fields.time_ns);
}

std::string checkpoint_members(const CheckpointFields& fields, const SigningKey& key) {
  std::string out;
  append_time(out, fields.time_ns);
  append_text(out, "log", fields.log_id);
  append_text(out, "key", key.public_key().id());
  append_text(out, "signature", to_hex(key.sign(checkpoint_message(fields))));
  return out;
}

std::string open_members(const OpenFields& fields, int64_t time_ns) {
  std::string out;
  append_time(out, time_ns);
  append_text(out, "reason", fields.reason);
  fmt::format_to(std::back_inserter(out), R"(,"format":{},"cove":"{}","file":{})", kFormatVersion, COVE_VERSION,
                 fields.file);
  append_text(out, "log", fields.log_id);
  append_text(out, "public_key", fields.public_key);
  append_text(out, "hash_key", fields.hash_key_id);
  fmt::format_to(std::back_inserter(out), R"(,"checkpoint_lines":{})", fields.checkpoint_lines);
  return out;
}

Result<json::object> parse_content(const Line& line) {
  auto parsed = parse_json(std::string(line.content) + "}");
  if (!parsed || !parsed->is_object()) return data_corrupt("the line is no JSON object");
  return std::move(parsed->as_object());
}

std::string_view string_member(const json::object& object, std::string_view key) {
  const json::value* member = object.if_contains(key);
  const json::string* text = member == nullptr ? nullptr : member->if_string();
  return text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
}

int64_t integer_member(const json::object& object, std::string_view key, int64_t missing) {
  const json::value* member = object.if_contains(key);
  if (member == nullptr) return missing;
  if (const int64_t* number = member->if_int64()) return *number;
  return missing;
}

Result<OpenFields> parse_open(const Line& line) {
  if (line.type != kOpenLine) return data_corrupt(fmt::format("a line of type '{}', not 'open'", line.type));
  TRY_ASSIGN(const json::object object, parse_content(line));
  if (integer_member(object, "format", 0) != kFormatVersion) {
    return data_corrupt(fmt::format("format {} is not known to this version of Cove, which reads {}",
                                    integer_member(object, "format", 0), kFormatVersion));
  }
  OpenFields fields{
      .log_id = std::string(string_member(object, "log")),
      .file = static_cast<uint64_t>(std::max<int64_t>(0, integer_member(object, "file", 0))),
      .public_key = std::string(string_member(object, "public_key")),
      .hash_key_id = std::string(string_member(object, "hash_key")),
      .checkpoint_lines = static_cast<uint64_t>(std::max<int64_t>(0, integer_member(object, "checkpoint_lines", 0))),
      .reason = std::string(string_member(object, "reason"))};
  if (fields.log_id.size() != 32 || fields.file == 0 || fields.checkpoint_lines == 0)
    return data_corrupt("an 'open' line lacks its log, file or checkpoint_lines");
  return fields;
}

}  // namespace cove::audit

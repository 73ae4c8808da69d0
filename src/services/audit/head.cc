#include "services/audit/head.h"

#include <fmt/format.h>

#include "services/audit/line.h"
#include "services/audit/log_files.h"

namespace cove::audit {
namespace {

Result<Head> parse_head(std::string_view text) {
  TRY_ASSIGN(const json::value value, parse_json(text));
  const json::object* object = value.if_object();
  Head head;
  if (object == nullptr) return invalid_argument("a head is a JSON object, as 'cove audit head' prints it");
  head.log_id = string_member(*object, "log");
  const int64_t sequence = integer_member(*object, "seq", 0);
  head.sequence = static_cast<uint64_t>(std::max<int64_t>(0, sequence));
  head.time = string_member(*object, "time");
  const bool hashed = read_hex(string_member(*object, "hash"), head.hash.data(), head.hash.size());
  if (head.log_id.empty() || head.sequence == 0 || !hashed)
    return invalid_argument("a head has 'log', 'seq' and 'hash', as 'cove audit head' prints them");
  return head;
}

}  // namespace

std::string to_json(const Head& head) {
  return fmt::format(R"({{"log":"{}","seq":{},"hash":"{}","time":"{}"}})", head.log_id, head.sequence,
                     to_hex(head.hash), head.time);
}

Result<std::vector<Head>> parse_heads(std::string_view text) {
  std::vector<Head> heads;
  size_t number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto head = parse_head(line);
    if (!head) return with_context(head.error(), fmt::format("line {}", number));
    heads.push_back(std::move(*head));
  }
  if (heads.empty()) return invalid_argument("there is no head in it; 'cove audit head' prints one");
  return heads;
}

Result<Head> read_head(const std::filesystem::path& dir, int64_t now_ns) {
  TRY_ASSIGN(const auto files, list_log_files(dir));
  for (size_t i = files.size(); i-- > 0;) {
    TRY_ASSIGN(const Tail tail, read_tail(files[i]));
    if (tail.good_bytes == 0) continue;
    return Head{.log_id = tail.open.log_id,
                .sequence = tail.state.sequence,
                .hash = tail.state.hash,
                .time = time_text(now_ns)};
  }
  return make_error(ErrorCode::kNotFound, fmt::format("{}: there is no audit log yet", dir.string()));
}

}  // namespace cove::audit

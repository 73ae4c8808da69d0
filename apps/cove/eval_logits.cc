#include "eval_logits.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/json.h"
#include "json_lines.h"

namespace cove::app {
namespace {

constexpr int64_t kPositionsMax = LogitReader::kRowsMax - 1;  // the prompt's last one may be needed besides

Result<std::vector<int32_t>> integers(const json::value& value, std::string_view key, int64_t limit) {
  if (!value.is_array()) return invalid_argument(fmt::format("\"{}\" must be an array of integers", key));
  std::vector<int32_t> out;
  for (const json::value& item : value.get_array()) {
    if (!item.is_int64() || item.get_int64() < 0 || item.get_int64() >= limit) {
      return invalid_argument(fmt::format("\"{}\" must hold integers from 0 to {}", key, limit - 1));
    }
    out.push_back(static_cast<int32_t>(item.get_int64()));
  }
  return out;
}

Status read_member(LogitRequest& request, std::string_view key, const json::value& value, const LogitBounds& bounds) {
  if (key == "ids") {
    TRY_ASSIGN(request.ids, integers(value, key, bounds.vocab));
  } else if (key == "positions") {
    TRY_ASSIGN(request.positions, integers(value, key, bounds.context_max));
  } else if (key == "follow") {
    TRY_ASSIGN(request.follow, integers(value, key, bounds.vocab));
  } else if (key == "greedy") {
    if (!value.is_int64() || value.get_int64() < 0) return invalid_argument("\"greedy\" must be a number of steps");
    request.greedy = value.get_int64();
  } else {
    return invalid_argument(fmt::format("\"{}\" is not known; there are ids, positions, greedy and follow", key));
  }
  return {};
}

Status check(const LogitRequest& request, const LogitBounds& bounds) {
  const auto length = static_cast<int64_t>(request.ids.size());
  if (length == 0) return invalid_argument("\"ids\" must hold at least one token");
  if (request.greedy > 0 && !request.follow.empty()) return invalid_argument("give \"greedy\" or \"follow\", not both");
  // Compared without adding: "greedy" may be any number.
  if (length > bounds.context_max || request.steps() > bounds.context_max - length) {
    return invalid_argument(fmt::format("{} tokens and {} steps are more than the model's context of {}", length,
                                        request.steps(), bounds.context_max));
  }
  const std::vector<int32_t>& positions = request.positions;
  if (!positions.empty() && positions.back() >= length)
    return invalid_argument(fmt::format("position {} is behind the {} tokens", positions.back(), length));
  if (std::ranges::adjacent_find(positions, std::ranges::greater_equal()) != positions.end())
    return invalid_argument("\"positions\" must ascend");
  if (static_cast<int64_t>(positions.size()) > kPositionsMax)
    return invalid_argument(fmt::format("at most {} positions a line", kPositionsMax));
  return {};
}

Result<LogitRequest> parse_request(std::string_view text, const LogitBounds& bounds) {
  TRY_ASSIGN(const json::value line, parse_json(text));
  if (!line.is_object()) return invalid_argument("a request is a JSON object");
  LogitRequest request;
  for (const auto& member : line.get_object()) TRY(read_member(request, member.key(), member.value(), bounds));
  if (find_member(line, "positions") == nullptr && !request.ids.empty())
    request.positions = {static_cast<int32_t>(request.ids.size()) - 1};
  TRY(check(request, bounds));
  return request;
}

void append_row(std::string& out, std::span<const float> row) {
  out.push_back('[');
  for (const float value : row) fmt::format_to(std::back_inserter(out), "{}{}", out.back() == '[' ? "" : ",", value);
  out.push_back(']');
}

Status check_finite(std::span<const float> row, int64_t position) {
  if (std::ranges::all_of(row, [](float value) { return std::isfinite(value); })) return {};
  return make_error(ErrorCode::kDataCorrupt, fmt::format("a logit at position {} is not finite", position));
}

struct Choice {
  int32_t token = 0;
  float gap = 0;  // 0 with a vocabulary of one
};

Choice likeliest(std::span<const float> row) {
  const auto best = std::ranges::max_element(row);
  float second = -INFINITY;
  for (auto value = row.begin(); value != row.end(); ++value) {
    if (value != best) second = std::max(second, *value);
  }
  return {.token = static_cast<int32_t>(best - row.begin()), .gap = row.size() > 1 ? *best - second : 0.0F};
}

// Reads the prompt; "logits" of its positions, and the last row.
struct Prompt {
  std::string rows;
  std::vector<float> last;
};

Result<Prompt> read_prompt(LogitReader& reader, const LogitRequest& request) {
  const std::span<const int32_t> ids(request.ids);
  const auto vocab = static_cast<size_t>(reader.vocab());
  Prompt prompt{.rows = "[", .last = {}};
  auto position = request.positions.begin();
  for (size_t at = 0; at < ids.size();) {
    const size_t count = std::min(ids.size() - at, static_cast<size_t>(reader.chunk_tokens()));
    std::vector<int32_t> rows;
    for (; position != request.positions.end() && static_cast<size_t>(*position) < at + count; ++position)
      rows.push_back(*position - static_cast<int32_t>(at));
    const size_t wanted = rows.size();
    const auto end = static_cast<int32_t>(count) - 1;
    if (at + count == ids.size() && (rows.empty() || rows.back() != end)) rows.push_back(end);
    TRY_ASSIGN(const auto logits, reader.feed(ids.subspan(at, count), rows));
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto row = logits.subspan(i * vocab, vocab);
      TRY(check_finite(row, static_cast<int64_t>(at) + rows[i]));
      if (i < wanted) prompt.rows += prompt.rows.size() == 1 ? "" : ",";
      if (i < wanted) append_row(prompt.rows, row);
      if (at + count == ids.size()) prompt.last.assign(row.begin(), row.end());
    }
    at += count;
  }
  prompt.rows += "]";
  return prompt;
}

}  // namespace

Result<std::vector<LogitRequest>> parse_logit_requests(std::string_view lines, const LogitBounds& bounds) {
  std::vector<LogitRequest> requests;
  for (const NumberedLine& line : numbered_lines(lines)) {
    auto request = parse_request(line.text, bounds);
    if (!request) return with_context(request.error(), fmt::format("line {}", line.number));
    requests.push_back(std::move(*request));
  }
  if (requests.empty()) return invalid_argument("there is no request");
  return requests;
}

Result<std::string> answer_logits(LogitReader& reader, const LogitRequest& request) {
  reader.begin();
  TRY_ASSIGN(Prompt prompt, read_prompt(reader, request));
  std::string out = "{\"logits\":" + prompt.rows;
  if (request.steps() == 0) return out + "}";
  std::string tokens;
  std::string gaps;
  std::span<const float> row = prompt.last;
  for (int64_t step = 0; step < request.steps(); ++step) {
    const Choice choice = likeliest(row);
    fmt::format_to(std::back_inserter(tokens), "{}{}", tokens.empty() ? "" : ",", choice.token);
    fmt::format_to(std::back_inserter(gaps), "{}{}", gaps.empty() ? "" : ",", choice.gap);
    const int32_t next = request.follow.empty() ? choice.token : request.follow[static_cast<size_t>(step)];
    TRY_ASSIGN(row, reader.feed(std::span(&next, 1)));
    TRY(check_finite(row, static_cast<int64_t>(request.ids.size()) + step));
  }
  out += fmt::format(",\"greedy\":[{}],\"gaps\":[{}],\"last\":", tokens, gaps);
  append_row(out, row);
  return out + "}";
}

}  // namespace cove::app

// GET /v1/admin/audit: the records of a period, the newest first. Read from the log's files, as `cove audit export`
// does.
#include <charconv>
#include <deque>
#include <iterator>

#include <fmt/format.h>

#include "server/endpoints/endpoints.h"
#include "services/audit/line.h"
#include "services/audit/reader.h"

namespace cove::server {
namespace {

constexpr int64_t kRecordsDefault = 100;
constexpr int64_t kRecordsMax = 1000;
constexpr size_t kAnswerBytesMax = size_t{64} << 20;

struct Query {
  audit::ReadOptions read;
  size_t limit = kRecordsDefault;
};

ApiResult<int64_t> time_of(const http::Request& request, const std::string& name, int64_t missing) {
  const std::string text = http::query_value(request.query, name);
  if (text.empty()) return missing;
  const auto time = audit::parse_time(text);
  if (!time) return tl::make_unexpected(ApiError{ApiErrorKind::kInvalidValue, time.error().message, name});
  return *time;
}

ApiResult<Query> query_of(const http::Request& request, const std::filesystem::path& dir) {
  Query query;
  query.read.dir = dir;
  auto from = time_of(request, "from", query.read.from_ns);
  if (!from) return tl::make_unexpected(from.error());
  auto to = time_of(request, "to", query.read.to_ns);
  if (!to) return tl::make_unexpected(to.error());
  query.read.from_ns = *from;
  query.read.to_ns = *to;
  query.read.user = http::query_value(request.query, "user");
  const std::string limit = http::query_value(request.query, "limit");
  if (limit.empty()) return query;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(limit.data(), limit.data() + limit.size(), number);
  if (error != std::errc() || end != limit.data() + limit.size() || number < 1 || number > kRecordsMax) {
    return tl::make_unexpected(
        ApiError{ApiErrorKind::kInvalidValue, fmt::format("'limit' must be 1 to {}", kRecordsMax), "limit"});
  }
  query.limit = static_cast<size_t>(number);
  return query;
}

// The lines as they stand, the newest last. Of each file the last ones are kept; earlier files are read while there is
// room.
struct Found {
  std::deque<std::string> lines;
  bool more = false;
};

Result<Found> find_records(const Query& query) {
  TRY_ASSIGN(const auto files, audit::list_log_files(query.read.dir));
  Found found;
  size_t bytes = 0;
  for (auto file = files.rbegin(); file != files.rend(); ++file) {
    if (found.lines.size() >= query.limit || bytes > kAnswerBytesMax) {
      found.more = true;
      break;
    }
    std::deque<std::string> lines;
    TRY(audit::read_records_of(*file, query.read, [&](const audit::StoredRecord&, std::string_view line) -> Status {
      lines.emplace_back(line);
      bytes += line.size();
      while (found.lines.size() + lines.size() > query.limit || (bytes > kAnswerBytesMax && lines.size() > 1)) {
        bytes -= lines.front().size();
        lines.pop_front();
        found.more = true;
      }
      return {};
    }));
    found.lines.insert(found.lines.begin(), std::make_move_iterator(lines.begin()),
                       std::make_move_iterator(lines.end()));
  }
  return found;
}

http::Response records_of(const Query& query) {
  const auto found = find_records(query);
  if (!found) return to_response({ApiErrorKind::kInternal, found.error().message, {}});
  http::Response response;
  response.headers = {{"Cache-Control", "no-store"}};
  response.body = R"({"object":"list","data":[)";
  for (auto line = found->lines.rbegin(); line != found->lines.rend(); ++line) {
    if (line != found->lines.rbegin()) response.body += ",";
    response.body += *line;
  }
  response.body += found->more ? R"(],"has_more":true})" : R"(],"has_more":false})";
  return response;
}

}  // namespace

void list_audit(Gateway& gateway, const ExchangePtr& exchange) {
  const auto& dir = gateway.services().audit_dir;
  if (gateway.services().audit == nullptr || dir.empty())
    return respond(exchange, {ApiErrorKind::kNotFound, "this server keeps no audit log (audit.enabled)", {}});
  auto query = query_of(exchange->request(), dir);
  if (!query) return respond(exchange, query.error());
  const bool taken = gateway.slow_work().try_push([exchange, query = std::move(*query)] {
    exchange->post([exchange, response = records_of(query)] {
      if (!exchange->closed()) respond(exchange, response);
    });
  });
  if (!taken) respond(exchange, {ApiErrorKind::kQueueFull, "too many changes at the same time; try again", {}});
}

}  // namespace cove::server

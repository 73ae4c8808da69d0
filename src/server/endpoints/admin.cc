#include "server/endpoints/admin.h"

#include <algorithm>
#include <ctime>
#include <map>

#include <fmt/format.h>
#include <boost/json/serialize.hpp>

namespace cove::server {
namespace {

using Details = std::map<std::string, std::string>;

// What was changed, for the audit log; nothing of it is secret.
Details details_of(const json::object& changed) {
  Details details;
  for (const std::string_view name : {"object", "id", "name", "role", "owner"}) {
    const json::value* value = changed.if_contains(name);
    if (value == nullptr) continue;
    if (value->is_string()) details.emplace(name, value->get_string());
    if (value->is_int64()) details.emplace(name, std::to_string(value->get_int64()));
  }
  return details;
}

}  // namespace

void run_admin(Gateway& gateway, const ExchangePtr& exchange, AdminWork work, int status) {
  if (gateway.services().users == nullptr || gateway.services().tokens == nullptr) {
    return respond(exchange, {ApiErrorKind::kNotFound, "there are no users and keys here (auth.mode off)", {}});
  }
  const bool taken = gateway.slow_work().try_push([&gateway, exchange, work, status] {
    const http::Request& request = exchange->request();
    const RequestContext& context = context_of(request);
    const AdminCall call{.gateway = gateway,
                         .actor = context.identity,
                         .id = std::string(path_parameter(*context.route, request.path)),
                         .body = request.body,
                         .now_s = std::time(nullptr)};
    const auto result = work(call);
    http::Response response = result ? http::Response{.status = status, .headers = {}, .body = json::serialize(*result)}
                                     : to_response(result.error());
    response.headers.push_back({"Cache-Control", "no-store"});
    const bool changed = result && request.method != http::Method::kGet && request.method != http::Method::kHead;
    auto details = changed ? details_of(*result) : Details();
    exchange->post([exchange, response = std::move(response), details = std::move(details)] {
      if (exchange->closed()) return;
      context_of(exchange->request()).audit.details = details;
      respond(exchange, response);
    });
  });
  if (!taken) respond(exchange, {ApiErrorKind::kQueueFull, "too many changes at the same time; try again", {}});
}

json::object list_of(json::array data) { return {{"object", "list"}, {"data", std::move(data)}}; }

std::optional<auth::Role> role_field(FieldReader& reader) {
  const auto text = reader.string("role");
  if (!text) return std::nullopt;
  const auto role = auth::parse_role(*text);
  if (!role) {
    reader.fail(ApiErrorKind::kInvalidValue, "role", role.error().message);
    return std::nullopt;
  }
  return *role;
}

std::optional<auth::LimitOverrides> limits_field(FieldReader& reader) {
  const json::value* value = reader.find("limits");
  if (value == nullptr) return std::nullopt;
  auto limits = auth::limits_from_json(*value);
  if (!limits) {
    reader.fail(ApiErrorKind::kInvalidValue, "limits", limits.error().message);
    return std::nullopt;
  }
  return *limits;
}

void refuse_unknown(FieldReader& reader, const json::object& object, std::initializer_list<std::string_view> known) {
  for (const auto& member : object) {
    if (std::ranges::find(known, std::string_view(member.key())) != known.end()) continue;
    reader.fail(
        ApiErrorKind::kUnsupportedParameter, member.key(),
        fmt::format("'{}' is not known here; there are {}", std::string_view(member.key()), fmt::join(known, ", ")));
  }
}

ApiError admin_error(const Error& error) {
  if (error.code == ErrorCode::kNotFound) return {ApiErrorKind::kNotFound, error.message, {}};
  return from_error(error);
}

json::value seconds_or_null(std::optional<int64_t> seconds) {
  return seconds ? json::value(*seconds) : json::value(nullptr);
}

}  // namespace cove::server

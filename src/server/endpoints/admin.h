#pragma once
// What the administration's endpoints share: their work runs on the slow work queue, never on the I/O thread, and what
// changes something is logged with who did it.

#include <functional>
#include <optional>
#include <string>

#include <boost/json/object.hpp>

#include "server/dto/field_reader.h"
#include "server/endpoints/endpoints.h"
#include "services/auth/limit_values.h"

namespace cove::server {

struct AdminCall {
  Gateway& gateway;
  const auth::Identity& actor;
  std::string id;  // what "{id}" stands for
  std::string body;
  int64_t now_s = 0;
};
using AdminWork = ApiResult<json::object> (*)(const AdminCall& call);

// Answers with `work`'s object, or with its error.
void run_admin(Gateway& gateway, const ExchangePtr& exchange, AdminWork work, int status = 200);

// {"object":"list","data":[...]}
json::object list_of(json::array data);
// "role", "limits": nothing when absent or wrong; the reader then has the error.
std::optional<auth::Role> role_field(FieldReader& reader);
std::optional<auth::LimitOverrides> limits_field(FieldReader& reader);
// Fields that are none of these: a misspelt limit must not be ignored.
void refuse_unknown(FieldReader& reader, const json::object& object, std::initializer_list<std::string_view> known);
ApiError admin_error(const Error& error);
json::value seconds_or_null(std::optional<int64_t> seconds);

}  // namespace cove::server

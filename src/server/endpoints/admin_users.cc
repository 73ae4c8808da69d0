// /v1/admin/users: create, list, change, disable. Answers tell who did it and when, for the audit log; never a
// password.
#include <boost/json/array.hpp>

#include "base/log.h"
#include "server/endpoints/admin.h"

namespace cove::server {
namespace {

json::object user_json(const auth::UserRecord& user) {
  return {{"object", "user"},
          {"id", "user:" + user.name},
          {"name", user.name},
          {"role", auth::to_string(user.role)},
          {"created_s", user.created_s},
          {"disabled_s", seconds_or_null(user.disabled_s)},
          {"password_changed_s", user.password_changed_s},
          {"last_login_s", seconds_or_null(user.last_login_s)},
          {"limits", auth::limits_json(user.limits)}};
}

// "user:alice" and "alice" are the same.
std::string_view name_of(std::string_view id) { return id.starts_with("user:") ? id.substr(5) : id; }

json::object changed(const AdminCall& call, std::string_view what, const auth::UserRecord& user) {
  log::info("admin.user", {{"action", what}, {"user", user.name}, {"by", call.actor.id}});
  json::object out = user_json(user);
  out["changed_by"] = call.actor.id;
  out["changed_s"] = call.now_s;
  return out;
}

ApiResult<json::object> list(const AdminCall& call) {
  const auto users = call.gateway.services().users->list();
  if (!users) return tl::make_unexpected(admin_error(users.error()));
  json::array data;
  for (const auth::UserRecord& user : *users) data.push_back(user_json(user));
  return list_of(std::move(data));
}

ApiResult<json::object> get(const AdminCall& call) {
  const auto user = call.gateway.services().users->find(name_of(call.id));
  if (!user) return tl::make_unexpected(admin_error(user.error()));
  return user_json(*user);
}

ApiResult<json::object> create(const AdminCall& call) {
  const auto object = parse_body(call.body);
  if (!object) return tl::make_unexpected(object.error());
  FieldReader reader(*object);
  refuse_unknown(reader, *object, {"name", "password", "role", "limits"});
  for (const std::string_view name : {"name", "password"}) {
    if (!reader.has(name)) reader.fail(ApiErrorKind::kMissingParameter, name, "a user needs a name and a password");
  }
  const auth::NewUser user{.name = reader.string("name").value_or(""),
                           .role = role_field(reader).value_or(auth::Role::kUser),
                           .password = reader.string("password").value_or(""),
                           .limits = limits_field(reader).value_or(auth::LimitOverrides{})};
  if (reader.error()) return tl::make_unexpected(*reader.error());
  const auto created = call.gateway.services().users->create(user, call.now_s);
  if (!created) return tl::make_unexpected(admin_error(created.error()));
  return changed(call, "create", *created);
}

// One change after the other; the first that fails is told.
Result<auth::UserRecord> apply(const AdminCall& call, FieldReader& reader) {
  auth::Users& users = *call.gateway.services().users;
  const std::string_view name = name_of(call.id);
  const auto role = role_field(reader);
  const auto limits = limits_field(reader);
  const auto disabled = reader.boolean("disabled");
  const auto password = reader.string("password");
  TRY_ASSIGN(auth::UserRecord user, users.find(name));
  if (reader.error()) return user;
  if (password) {
    TRY_ASSIGN(user, users.set_password(name, *password, call.now_s));
  }
  if (role) {
    TRY_ASSIGN(user, users.set_role(name, *role));
  }
  if (limits) {
    TRY_ASSIGN(user, users.set_limits(name, *limits));
  }
  if (disabled) {
    const auto state = *disabled ? auth::UserState::kDisabled : auth::UserState::kEnabled;
    TRY_ASSIGN(user, users.set_state(name, state, call.now_s));
  }
  return user;
}

bool is_actor(const AdminCall& call) {
  const auto name = auth::user_name(name_of(call.id));
  return name && call.actor.id == "user:" + *name;
}

ApiResult<json::object> change(const AdminCall& call) {
  const auto object = parse_body(call.body);
  if (!object) return tl::make_unexpected(object.error());
  FieldReader reader(*object);
  refuse_unknown(reader, *object, {"password", "role", "limits", "disabled"});
  if (is_actor(call) && (reader.has("role") || reader.boolean("disabled").value_or(false)))
    reader.fail(ApiErrorKind::kInvalidValue, reader.has("role") ? "role" : "disabled",
                "nobody takes their own rights away");
  if (reader.error()) return tl::make_unexpected(*reader.error());
  const auto user = apply(call, reader);
  if (!user) return tl::make_unexpected(admin_error(user.error()));
  if (reader.error()) return tl::make_unexpected(*reader.error());
  return changed(call, "change", *user);
}

ApiResult<json::object> disable(const AdminCall& call) {
  if (is_actor(call))
    return tl::make_unexpected(ApiError{ApiErrorKind::kInvalidValue, "nobody takes their own rights away", {}});
  const auto user = call.gateway.services().users->set_state(name_of(call.id), auth::UserState::kDisabled, call.now_s);
  if (!user) return tl::make_unexpected(admin_error(user.error()));
  return changed(call, "disable", *user);
}

}  // namespace

void list_users(Gateway& gateway, const ExchangePtr& exchange) { run_admin(gateway, exchange, list); }
void get_user(Gateway& gateway, const ExchangePtr& exchange) { run_admin(gateway, exchange, get); }
void create_user(Gateway& gateway, const ExchangePtr& exchange) { run_admin(gateway, exchange, create, 201); }
void change_user(Gateway& gateway, const ExchangePtr& exchange) { run_admin(gateway, exchange, change); }
void disable_user(Gateway& gateway, const ExchangePtr& exchange) { run_admin(gateway, exchange, disable); }

}  // namespace cove::server

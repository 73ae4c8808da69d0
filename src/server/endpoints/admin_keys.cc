// /v1/admin/keys: create, list, change limits, revoke; /v1/admin/signing_keys: list, rotate. A key's secret is shown
// once, in the answer that creates it.
#include <charconv>

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/value_from.hpp>

#include "base/log.h"
#include "server/endpoints/admin.h"

namespace cove::server {
namespace {

json::object key_json(const auth::KeyRecord& key) {
  return {{"object", "api_key"},
          {"id", fmt::format("key:{}", key.id)},
          {"name", key.name},
          {"role", auth::to_string(key.role)},
          {"hint", key.hint},
          {"created_s", key.created_s},
          {"expires_s", seconds_or_null(key.expires_s)},
          {"disabled_s", seconds_or_null(key.disabled_s)},
          {"scopes", json::value_from(key.scopes)},
          {"limits", auth::limits_json(key.limits)},
          {"user", key.owner.empty() ? json::value(nullptr) : json::value(json::string(key.owner))}};
}

json::object changed(const AdminCall& call, std::string_view what, const auth::KeyRecord& key) {
  log::info("admin.key", {{"action", what}, {"key", key.id}, {"by", call.actor.id}});
  json::object out = key_json(key);
  out["changed_by"] = call.actor.id;
  out["changed_s"] = call.now_s;
  return out;
}

// "key:12" and "12" are the same.
Result<int64_t> number_of(std::string_view id) {
  const std::string_view digits = id.starts_with("key:") ? id.substr(4) : id;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size())
    return Error{ErrorCode::kNotFound, fmt::format("'{}' is no key's id, such as key:12", id)};
  return number;
}

auth::ApiKeys& keys_of(const AdminCall& call) { return *call.gateway.keys(); }

ApiResult<json::object> list(const AdminCall& call) {
  const auto keys = keys_of(call).list();
  if (!keys) return tl::make_unexpected(admin_error(keys.error()));
  json::array data;
  for (const auth::KeyRecord& key : *keys) data.push_back(key_json(key));
  return list_of(std::move(data));
}

ApiResult<json::object> get(const AdminCall& call) {
  const auto id = number_of(call.id);
  const auto key = id ? keys_of(call).find(*id) : Result<auth::KeyRecord>(id.error());
  if (!key) return tl::make_unexpected(admin_error(key.error()));
  return key_json(*key);
}

auth::Scopes scopes_field(FieldReader& reader) {
  auth::Scopes scopes;
  const json::array* list = reader.array("scopes");
  if (list == nullptr) return scopes;
  for (const json::value& item : *list) {
    if (!item.is_string()) {
      reader.fail(ApiErrorKind::kInvalidType, "scopes", "'scopes' is a list of texts");
      return scopes;
    }
    scopes.emplace_back(item.get_string());
  }
  if (const Status fine = auth::check_scopes(scopes); !fine)
    reader.fail(ApiErrorKind::kInvalidValue, "scopes", fine.error().message);
  return scopes;
}

ApiResult<json::object> create(const AdminCall& call) {
  const auto object = parse_body(call.body);
  if (!object) return tl::make_unexpected(object.error());
  FieldReader reader(*object);
  refuse_unknown(reader, *object, {"name", "role", "expires_s", "scopes", "limits", "user"});
  if (!reader.has("name")) reader.fail(ApiErrorKind::kMissingParameter, "name", "a key needs a name");
  constexpr int64_t kLatest = 253'402'300'799;  // the end of the year 9999
  const auth::NewKey key{.name = reader.string("name").value_or(""),
                         .role = role_field(reader).value_or(auth::Role::kUser),
                         .expires_s = reader.integer("expires_s", 0, kLatest),
                         .scopes = scopes_field(reader),
                         .limits = limits_field(reader).value_or(auth::LimitOverrides{}),
                         .owner = reader.string("user").value_or("")};
  if (reader.error()) return tl::make_unexpected(*reader.error());
  const auto created = keys_of(call).create(key, call.now_s);
  if (!created) return tl::make_unexpected(admin_error(created.error()));
  json::object out = changed(call, "create", created->record);
  out["key"] = created->secret;
  return out;
}

ApiResult<json::object> change(const AdminCall& call) {
  const auto object = parse_body(call.body);
  if (!object) return tl::make_unexpected(object.error());
  FieldReader reader(*object);
  refuse_unknown(reader, *object, {"limits"});
  const auto limits = limits_field(reader);
  if (!limits) reader.fail(ApiErrorKind::kMissingParameter, "limits", "only a key's limits can be changed");
  if (reader.error()) return tl::make_unexpected(*reader.error());
  const auto id = number_of(call.id);
  const auto key = id ? keys_of(call).set_limits(*id, *limits) : Result<auth::KeyRecord>(id.error());
  if (!key) return tl::make_unexpected(admin_error(key.error()));
  return changed(call, "change", *key);
}

ApiResult<json::object> revoke(const AdminCall& call) {
  const auto id = number_of(call.id);
  if (!id) return tl::make_unexpected(admin_error(id.error()));
  if (call.actor.key_id == *id)
    return tl::make_unexpected(ApiError{ApiErrorKind::kInvalidValue, "nobody takes their own rights away", {}});
  const auto keys = keys_of(call).revoke(std::to_string(*id), call.now_s);
  if (!keys) return tl::make_unexpected(admin_error(keys.error()));
  return changed(call, "revoke", keys->at(0));
}

json::object signing_json(const std::vector<auth::SigningKeyInfo>& keys) {
  json::array data;
  for (const auth::SigningKeyInfo& key : keys) {
    data.push_back(json::object{{"object", "signing_key"},
                                {"kid", key.kid},
                                {"created_s", key.created_s},
                                {"retired_s", seconds_or_null(key.retired_s)},
                                {"verifies_until_s", seconds_or_null(key.verifies_until_s)}});
  }
  return list_of(std::move(data));
}

ApiResult<json::object> list_signing(const AdminCall& call) {
  return signing_json(call.gateway.services().tokens->list(call.now_s));
}

ApiResult<json::object> rotate(const AdminCall& call) {
  const auto object = call.body.empty() ? ApiResult<json::object>(json::object()) : parse_body(call.body);
  if (!object) return tl::make_unexpected(object.error());
  FieldReader reader(*object);
  refuse_unknown(reader, *object, {"drop_old"});
  const bool drop = reader.boolean("drop_old").value_or(false);
  if (reader.error()) return tl::make_unexpected(*reader.error());
  const auto keys =
      call.gateway.services().tokens->rotate(drop ? auth::OldKeys::kDrop : auth::OldKeys::kOverlap, call.now_s);
  if (!keys) return tl::make_unexpected(admin_error(keys.error()));
  log::info("admin.signing_key", {{"action", "rotate"}, {"kid", keys->front().kid}, {"by", call.actor.id}});
  return signing_json(*keys);
}

}  // namespace

void list_keys(Gateway& gateway, const ExchangePtr& exchange) { run_admin(gateway, exchange, list); }
void get_key(Gateway& gateway, const ExchangePtr& exchange) { run_admin(gateway, exchange, get); }
void create_key(Gateway& gateway, const ExchangePtr& exchange) { run_admin(gateway, exchange, create, 201); }
void change_key(Gateway& gateway, const ExchangePtr& exchange) { run_admin(gateway, exchange, change); }
void revoke_key(Gateway& gateway, const ExchangePtr& exchange) { run_admin(gateway, exchange, revoke); }
void list_signing_keys(Gateway& gateway, const ExchangePtr& exchange) { run_admin(gateway, exchange, list_signing); }
void rotate_signing_key(Gateway& gateway, const ExchangePtr& exchange) { run_admin(gateway, exchange, rotate, 201); }

}  // namespace cove::server

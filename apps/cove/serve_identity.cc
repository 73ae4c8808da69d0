#include "serve_identity.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"

namespace cove::app {
namespace {

constexpr size_t kSecretBytesMax = 64 << 10;

Result<auth::Networks> networks(const Config& config, std::string_view key) {
  auto parsed = auth::Networks::parse(config.list(key));
  if (!parsed) return with_context(parsed.error(), key);
  return parsed;
}

Result<std::vector<std::pair<std::string, auth::Role>>> role_map(const Config& config) {
  std::vector<std::pair<std::string, auth::Role>> map;
  for (const std::string& entry : config.list("auth.jwt.role_map")) {
    const size_t equals = entry.rfind('=');
    if (equals == std::string::npos || equals == 0)
      return invalid_argument(fmt::format("auth.jwt.role_map: '{}': write VALUE=ROLE", entry));
    auto role = auth::parse_role(entry.substr(equals + 1));
    if (!role) return with_context(role.error(), "auth.jwt.role_map");
    map.emplace_back(entry.substr(0, equals), *role);
  }
  return map;
}

Result<std::string> secret_of(const std::string& path) {
  if (path.empty()) return std::string();
  auto text = read_file(path, kSecretBytesMax);
  if (!text) return with_context(text.error(), "auth.jwt.hs256_secret_file");
  while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
  return std::move(*text);
}

// Null when no other issuer is configured.
Result<std::unique_ptr<auth::ForeignTokens>> open_foreign(const Config& config) {
  auth::ForeignIssuer issuer;
  issuer.issuer = config.string("auth.jwt.issuer");
  issuer.audience = config.string("auth.jwt.audience");
  issuer.jwks_url = config.string("auth.jwt.jwks_url");
  TRY_ASSIGN(issuer.hs256_secret, secret_of(config.string("auth.jwt.hs256_secret_file")));
  issuer.ca_file = config.string("auth.jwt.ca_file");
  issuer.roles_claim = config.string("auth.jwt.roles_claim");
  TRY_ASSIGN(issuer.role_map, role_map(config));
  issuer.default_role = std::nullopt;
  if (const std::string& role = config.string("auth.jwt.default_role"); role != "none") {
    TRY_ASSIGN(issuer.default_role, auth::parse_role(role));
  }
  issuer.leeway_s = config.integer("auth.jwt.leeway_s");
  issuer.refresh_every = std::chrono::seconds(config.integer("auth.jwt.jwks_refresh_s"));
  if (issuer.issuer.empty() && issuer.audience.empty() && issuer.jwks_url.empty() && issuer.hs256_secret.empty())
    return std::unique_ptr<auth::ForeignTokens>();
  if (issuer.issuer == config.string("auth.jwt.own_issuer"))
    return invalid_argument("auth.jwt.issuer: another issuer cannot have the name of our own (auth.jwt.own_issuer)");
  if (issuer.jwks_url.starts_with("http://"))
    log::warn("serve.jwks_over_plain_http",
              {{"url", issuer.jwks_url}, {"effect", "who can change it on the way can sign tokens"}});
  return auth::ForeignTokens::create(std::move(issuer));
}

}  // namespace

std::filesystem::path signing_keys_path(const ServeConfig& config) { return config.data / "token_keys.json"; }

auth::TokenIssuerOptions token_options(const ServeConfig& config) {
  return {.path = signing_keys_path(config),
          .issuer = config.values.string("auth.jwt.own_issuer"),
          .ttl_s = config.values.integer("auth.jwt.ttl_s"),
          .leeway_s = config.values.integer("auth.jwt.leeway_s")};
}

Result<std::unique_ptr<ServeIdentity>> ServeIdentity::open(const ServeConfig& config, storage::Database& database,
                                                           int64_t now_s) {
  const Config& values = config.values;
  auto identity = std::make_unique<ServeIdentity>();
  TRY_ASSIGN(identity->addresses_.allowed, networks(values, "auth.allow_ips"));
  TRY_ASSIGN(identity->addresses_.proxies, networks(values, "auth.trusted_proxies"));
  if (values.string("auth.mode") == "off") return identity;
  identity->users_.emplace(database);
  TRY_ASSIGN(identity->tokens_, auth::TokenIssuer::open(token_options(config), now_s));
  TRY_ASSIGN(identity->foreign_, open_foreign(values));
  identity->guard_.emplace(
      auth::LoginGuardOptions{.account_failures = values.integer("auth.lockout.account_failures"),
                              .address_failures = values.integer("auth.lockout.address_failures"),
                              .wait_max = std::chrono::seconds(values.integer("auth.lockout.wait_max_s"))});
  identity->limits_.emplace(
      database,
      auth::RateLimitsOptions{.defaults = {.requests_per_minute = values.integer("limits.requests_per_minute"),
                                           .tokens_per_minute = values.integer("limits.tokens_per_minute"),
                                           .requests_per_day = values.integer("limits.requests_per_day"),
                                           .tokens_per_day = values.integer("limits.tokens_per_day"),
                                           .concurrent_requests = values.integer("limits.concurrent_requests")}});
  return identity;
}

void ServeIdentity::add_to(server::GatewayServices& services) {
  services.addresses = &addresses_;
  services.users = users_ ? &*users_ : nullptr;
  services.tokens = tokens_.get();
  services.foreign_tokens = foreign_.get();
  services.login_guard = guard_ ? &*guard_ : nullptr;
  services.rate_limits = limits_ ? &*limits_ : nullptr;
}

}  // namespace cove::app

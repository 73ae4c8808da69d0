#pragma once
// What `cove serve` has of services/auth, from the configuration: users, tokens, limits, lock-outs, address rules.

#include <memory>
#include <optional>

#include "serve_config.h"
#include "server/gateway.h"

namespace cove::app {

// Where the keys that sign our tokens are.
std::filesystem::path signing_keys_path(const ServeConfig& config);
auth::TokenIssuerOptions token_options(const ServeConfig& config);

class ServeIdentity {
 public:
  // Errors: whatever in the configuration is wrong, by its key; files that cannot be read. With auth.mode off there are
  // address rules only.
  static Result<std::unique_ptr<ServeIdentity>> open(const ServeConfig& config, storage::Database& database,
                                                     int64_t now_s);
  void add_to(server::GatewayServices& services);

 private:
  auth::AddressRules addresses_;
  std::optional<auth::Users> users_;
  std::unique_ptr<auth::TokenIssuer> tokens_;
  std::unique_ptr<auth::ForeignTokens> foreign_;
  std::optional<auth::LoginGuard> guard_;
  std::optional<auth::RateLimits> limits_;
};

}  // namespace cove::app

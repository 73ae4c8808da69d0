#pragma once
// Who makes a request, whatever it proved that with: an API key, a password, a token.

#include <cstdint>
#include <string>

#include "services/auth/limit_values.h"
#include "services/auth/rights.h"

namespace cove::auth {

struct Identity {
  int64_t key_id = 0;  // 0 = no API key
  std::string
      id;  // stable, for limits, alerts and the audit log: "key:12", "user:alice", "jwt:<issuer>|<sub>", "anonymous"
  std::string name;  // for people; not unique
  Role role = Role::kUser;
  std::string owner{};            // "user:alice" when that user owns the key: its limits count as well
  Scopes scopes{};                // empty = whatever the role may
  LimitOverrides limits{};        // of `id`
  LimitOverrides owner_limits{};  // of `owner`
  int64_t since_s = 0;            // when a session or token began; 0 = proved by the request itself
};

}  // namespace cove::auth

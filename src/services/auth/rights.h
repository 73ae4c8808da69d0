#pragma once
// Who may do what: four roles, a table of rights, and the scopes that narrow one key or token. Every route names the
// right it needs (server/routes.cc); what the table does not give is denied. docs/operations/identity.md shows it.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cove::auth {

enum class Role : uint8_t { kUser, kAuditor, kOperator, kAdmin };
std::string_view to_string(Role role);
// Errors: kInvalidArgument naming the roles that there are.
Result<Role> parse_role(std::string_view text);
// Whether `a` has every right of `b`.
bool covers(Role a, Role b);

enum class Right : uint8_t {
  kPublic,          // nobody is asked who they are
  kInfer,           // have a model answer, embed, run batches
  kModels,          // see which models are served
  kPages,           // the web page, the API's description, signing out
  kMetrics,         // /metrics
  kKnowledge,       // search knowledge bases and ask them
  kKnowledgeWrite,  // change knowledge bases
  kAudit,           // read, verify and export the audit log
  kOperate,         // load models, clear caches, make snapshots
  kAdmin,           // users, keys, signing keys, and whatever has no right of its own
  kUser = kInfer,
};
std::string_view to_string(Right right);
// All but kPublic.
std::span<const Right> all_rights();
bool may(Role role, Right right);

// Scopes narrow what a role may do. An empty list narrows nothing. A scope is the name of a right ("infer"), a path
// ("route:/v1/chat/completions", or "route:/v1/kb/*" for all below it) or a model ("model:cove-mini"). When rights or
// paths are named, a request must match one of them; when models are named, its model must be one of them.
using Scopes = std::vector<std::string>;
// Errors: kInvalidArgument naming the scope that is none.
Status check_scopes(const Scopes& scopes);
// "a b c", as OAuth2 writes scopes. A scope has no space in it.
std::string join_scopes(const Scopes& scopes);
Scopes split_scopes(std::string_view text);
bool scopes_allow(const Scopes& scopes, Right right, std::string_view path);
bool scopes_allow_model(const Scopes& scopes, std::string_view model);

}  // namespace cove::auth

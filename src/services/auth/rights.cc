#include "services/auth/rights.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include <fmt/format.h>

#include "base/utf8.h"

namespace cove::auth {
namespace {

constexpr std::array kRights = {Right::kInfer,   Right::kModels,    Right::kPages,
                                Right::kMetrics, Right::kKnowledge, Right::kKnowledgeWrite,
                                Right::kAudit,   Right::kOperate,   Right::kAdmin};

constexpr uint32_t bits(std::initializer_list<Right> rights) {
  uint32_t out = 0;
  for (const Right right : rights) out |= 1U << static_cast<unsigned>(right);
  return out;
}

struct RoleRow {
  Role role;
  std::string_view name;
  uint32_t rights;
};

constexpr RoleRow kRoles[] = {
    {Role::kUser, "user", bits({Right::kInfer, Right::kModels, Right::kPages, Right::kMetrics, Right::kKnowledge})},
    // Reads what happened, and causes nothing that would have to be audited itself.
    {Role::kAuditor, "auditor", bits({Right::kModels, Right::kPages, Right::kMetrics, Right::kAudit})},
    {Role::kOperator, "operator",
     bits({Right::kInfer, Right::kModels, Right::kPages, Right::kMetrics, Right::kKnowledge, Right::kKnowledgeWrite,
           Right::kOperate})},
    {Role::kAdmin, "admin",
     bits({Right::kInfer, Right::kModels, Right::kPages, Right::kMetrics, Right::kKnowledge, Right::kKnowledgeWrite,
           Right::kAudit, Right::kOperate, Right::kAdmin})},
};

const RoleRow& row_of(Role role) { return *std::ranges::find(kRoles, role, &RoleRow::role); }

constexpr std::string_view kModelScope = "model:";
constexpr std::string_view kRouteScope = "route:";
constexpr size_t kScopesMax = 64;
constexpr size_t kScopeBytesMax = 200;

std::string right_names() {
  std::string names;
  for (const Right right : kRights) names.append(names.empty() ? "" : ", ").append(to_string(right));
  return names;
}

bool is_right(std::string_view scope) {
  return std::ranges::any_of(kRights, [&](Right right) { return to_string(right) == scope; });
}

// Printable, without spaces, quotes and backslashes: what RFC 6749 lets a scope consist of, and UTF-8 for model names.
bool plain_text(std::string_view text) {
  return is_valid_utf8(text) && std::ranges::all_of(text, [](char c) {
           return static_cast<unsigned char>(c) > ' ' && c != '"' && c != '\\' && c != '\x7F';
         });
}

bool path_matches(std::string_view pattern, std::string_view path) {
  if (pattern.ends_with('*')) return path.starts_with(pattern.substr(0, pattern.size() - 1));
  return path == pattern;
}

}  // namespace

std::string_view to_string(Role role) { return row_of(role).name; }

Result<Role> parse_role(std::string_view text) {
  for (const RoleRow& row : kRoles) {
    if (row.name == text) return row.role;
  }
  return invalid_argument(fmt::format("'{}' is no role: admin, operator, user or auditor", text));
}

bool covers(Role a, Role b) { return (row_of(b).rights & ~row_of(a).rights) == 0; }

std::string_view to_string(Right right) {
  switch (right) {
    case Right::kPublic: return "public";
    case Right::kInfer: return "infer";
    case Right::kModels: return "models";
    case Right::kPages: return "pages";
    case Right::kMetrics: return "metrics";
    case Right::kKnowledge: return "knowledge";
    case Right::kKnowledgeWrite: return "knowledge.write";
    case Right::kAudit: return "audit";
    case Right::kOperate: return "operate";
    case Right::kAdmin: return "admin";
  }
  return "admin";
}

std::span<const Right> all_rights() { return kRights; }

bool may(Role role, Right right) {
  return right == Right::kPublic || ((row_of(role).rights >> static_cast<unsigned>(right)) & 1U) != 0;
}

Status check_scopes(const Scopes& scopes) {
  if (scopes.size() > kScopesMax) return invalid_argument(fmt::format("there are more than {} scopes", kScopesMax));
  for (const std::string& scope : scopes) {
    const bool names_model = scope.starts_with(kModelScope) && scope.size() > kModelScope.size();
    const bool names_route = scope.starts_with(kRouteScope) && scope.substr(kRouteScope.size()).starts_with('/');
    if ((is_right(scope) || names_model || names_route) && scope.size() <= kScopeBytesMax && plain_text(scope))
      continue;
    return invalid_argument(
        fmt::format("'{}' is no scope: a right ({}), route:/PATH, route:/PATH/* or model:NAME, without spaces",
                    is_valid_utf8(scope) ? scope.substr(0, kScopeBytesMax) : "?", right_names()));
  }
  return {};
}

std::string join_scopes(const Scopes& scopes) { return fmt::format("{}", fmt::join(scopes, " ")); }

Scopes split_scopes(std::string_view text) {
  Scopes scopes;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    if (!word.empty()) scopes.emplace_back(word);
    text.remove_prefix(std::min(word.size() + 1, text.size()));
  }
  return scopes;
}

bool scopes_allow(const Scopes& scopes, Right right, std::string_view path) {
  bool narrowed = false;
  for (const std::string& scope : scopes) {
    if (scope.starts_with(kModelScope)) continue;
    narrowed = true;
    if (scope == to_string(right)) return true;
    if (scope.starts_with(kRouteScope) && path_matches(std::string_view(scope).substr(kRouteScope.size()), path))
      return true;
  }
  return !narrowed;
}

bool scopes_allow_model(const Scopes& scopes, std::string_view model) {
  bool narrowed = false;
  for (const std::string& scope : scopes) {
    if (!scope.starts_with(kModelScope)) continue;
    narrowed = true;
    if (std::string_view(scope).substr(kModelScope.size()) == model) return true;
  }
  return !narrowed;
}

}  // namespace cove::auth

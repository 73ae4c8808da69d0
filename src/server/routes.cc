// Every route of the server, with the right it needs (services/auth/rights.h). A test walks this table with every kind
// of missing, wrong and too weak identity.
#include "server/endpoints/endpoints.h"

namespace cove::server {
namespace {

using http::Method;

constexpr Route kRoutes[] = {
    {Method::kPost, "/v1/chat/completions", Access::kInfer, chat_completions, Body::kJson, Needs::kModel},
    {Method::kPost, "/v1/completions", Access::kInfer, completions, Body::kJson, Needs::kModel},
    {Method::kGet, "/v1/models", Access::kModels, list_models, Body::kNone, Needs::kModel},
    {Method::kGet, "/v1/models/{id}", Access::kModels, get_model, Body::kNone, Needs::kModel},
    {Method::kGet, "/v1/admin/alerts", Access::kOperate, list_alerts},
    {Method::kGet, "/v1/admin/audit", Access::kAudit, list_audit},
    {Method::kGet, "/livez", Access::kPublic, livez},
    {Method::kGet, "/readyz", Access::kPublic, readyz},
    {Method::kGet, "/health", Access::kPublic, health},
    {Method::kGet, "/metrics", Access::kMetrics, metrics},
    {Method::kGet, "/openapi.yaml", Access::kPages, openapi_yaml},
    {Method::kGet, "/openapi.json", Access::kPages, openapi_json},
    {Method::kGet, "/docs", Access::kPages, docs_page, Body::kNone, Needs::kNothing, Unauthenticated::kLoginPage},
    {Method::kGet, "/", Access::kPages, chat_page, Body::kNone, Needs::kNothing, Unauthenticated::kLoginPage},
    {Method::kGet, "/login", Access::kPublic, login_page},
    {Method::kPost, "/login", Access::kPublic, login, Body::kForm},
    {Method::kPost, "/token", Access::kPublic, token, Body::kForm},
    {Method::kGet, "/.well-known/jwks.json", Access::kPublic, jwks},
    {Method::kGet, "/v1/admin/users", Access::kAdmin, list_users},
    {Method::kPost, "/v1/admin/users", Access::kAdmin, create_user, Body::kJson},
    {Method::kGet, "/v1/admin/users/{id}", Access::kAdmin, get_user},
    {Method::kPatch, "/v1/admin/users/{id}", Access::kAdmin, change_user, Body::kJson},
    {Method::kDelete, "/v1/admin/users/{id}", Access::kAdmin, disable_user},
    {Method::kGet, "/v1/admin/keys", Access::kAdmin, list_keys},
    {Method::kPost, "/v1/admin/keys", Access::kAdmin, create_key, Body::kJson},
    {Method::kGet, "/v1/admin/keys/{id}", Access::kAdmin, get_key},
    {Method::kPatch, "/v1/admin/keys/{id}", Access::kAdmin, change_key, Body::kJson},
    {Method::kDelete, "/v1/admin/keys/{id}", Access::kAdmin, revoke_key},
    {Method::kGet, "/v1/admin/signing_keys", Access::kAdmin, list_signing_keys},
    {Method::kPost, "/v1/admin/signing_keys", Access::kAdmin, rotate_signing_key, Body::kJson},
    {Method::kPost, "/logout", Access::kPages, logout, Body::kForm},
    {Method::kGet, "/static/{id}", Access::kPublic, static_file},
};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

}  // namespace cove::server

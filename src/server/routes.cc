// Every route of the server. A test walks this table: without identity everything but the public ones is refused.
#include "server/endpoints/endpoints.h"

namespace cove::server {
namespace {

using http::Method;

constexpr Route kRoutes[] = {
    {Method::kPost, "/v1/chat/completions", Access::kUser, chat_completions, Body::kJson, Needs::kModel},
    {Method::kPost, "/v1/completions", Access::kUser, completions, Body::kJson, Needs::kModel},
    {Method::kGet, "/v1/models", Access::kUser, list_models, Body::kNone, Needs::kModel},
    {Method::kGet, "/v1/models/{id}", Access::kUser, get_model, Body::kNone, Needs::kModel},
    {Method::kGet, "/livez", Access::kPublic, livez},
    {Method::kGet, "/readyz", Access::kPublic, readyz},
    {Method::kGet, "/health", Access::kPublic, health},
    {Method::kGet, "/metrics", Access::kUser, metrics},
    {Method::kGet, "/openapi.yaml", Access::kUser, openapi_yaml},
    {Method::kGet, "/openapi.json", Access::kUser, openapi_json},
    {Method::kGet, "/docs", Access::kUser, docs_page, Body::kNone, Needs::kNothing, Unauthenticated::kLoginPage},
    {Method::kGet, "/", Access::kUser, chat_page, Body::kNone, Needs::kNothing, Unauthenticated::kLoginPage},
    {Method::kGet, "/login", Access::kPublic, login_page},
    {Method::kPost, "/login", Access::kPublic, login, Body::kForm},
    {Method::kPost, "/logout", Access::kUser, logout, Body::kForm},
    {Method::kGet, "/static/{id}", Access::kPublic, static_file},
};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

}  // namespace cove::server

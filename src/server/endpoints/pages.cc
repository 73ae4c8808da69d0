// The static pages, which are part of the binary, and the API's description.
#include <boost/json/serialize.hpp>

#include "base/check.h"
#include "base/yaml.h"
#include "server/endpoints/endpoints.h"
#include "server/pages/embedded.h"

namespace cove::server {
namespace {

std::string_view type_of(std::string_view name) {
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  return {};
}

}  // namespace

http::Response html_page(std::string_view content) {
  return {
      .content_type = "text/html; charset=utf-8",
      .headers = {{"Cache-Control", "no-store"},
                  {"X-Content-Type-Options", "nosniff"},
                  {"Referrer-Policy", "no-referrer"},
                  // Nothing from elsewhere, nothing inline, in nobody's frame.
                  {"Content-Security-Policy",
                   "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
                   "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"}},
      .body = std::string(content)};
}

void chat_page(Gateway&, const ExchangePtr& exchange) { respond(exchange, html_page(*embedded_file("index.html"))); }
void docs_page(Gateway&, const ExchangePtr& exchange) { respond(exchange, html_page(*embedded_file("docs.html"))); }

void openapi_yaml(Gateway&, const ExchangePtr& exchange) {
  respond(exchange, {.content_type = "application/yaml; charset=utf-8",
                     .headers = {},
                     .body = std::string(*embedded_file("openapi.yaml"))});
}

void openapi_json(Gateway&, const ExchangePtr& exchange) {
  static const std::string text = [] {
    const auto value = parse_yaml(*embedded_file("openapi.yaml"));
    COVE_CHECK_MSG(value.has_value(), value ? "" : value.error().message);
    return json::serialize(*value);
  }();
  respond(exchange, {.headers = {}, .body = text});
}

void static_file(Gateway&, const ExchangePtr& exchange) {
  const http::Request& request = exchange->request();
  const std::string_view name = path_parameter(*context_of(request).route, request.path);
  const auto content = type_of(name).empty() ? std::nullopt : embedded_file(name);
  if (!content) return respond(exchange, {ApiErrorKind::kUnknownUrl, "there is no such file", {}});
  respond(exchange, {.content_type = std::string(type_of(name)),
                     .headers = {{"Cache-Control", "no-cache"}, {"X-Content-Type-Options", "nosniff"}},
                     .body = std::string(*content)});
}

}  // namespace cove::server

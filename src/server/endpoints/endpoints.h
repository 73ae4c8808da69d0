#pragma once
// Every endpoint: one function a route, called on the I/O thread. The table that names them is routes.cc.

#include <memory>

#include "server/gateway.h"

namespace cove::server {

using ExchangePtr = std::shared_ptr<http::Exchange>;

// generate.cc
void chat_completions(Gateway& gateway, const ExchangePtr& exchange);
void completions(Gateway& gateway, const ExchangePtr& exchange);
// models.cc
void list_models(Gateway& gateway, const ExchangePtr& exchange);
void get_model(Gateway& gateway, const ExchangePtr& exchange);
// health.cc
void livez(Gateway& gateway, const ExchangePtr& exchange);
void readyz(Gateway& gateway, const ExchangePtr& exchange);
void health(Gateway& gateway, const ExchangePtr& exchange);
void metrics(Gateway& gateway, const ExchangePtr& exchange);
// login.cc
void login_page(Gateway& gateway, const ExchangePtr& exchange);
void login(Gateway& gateway, const ExchangePtr& exchange);
void logout(Gateway& gateway, const ExchangePtr& exchange);
// alerts.cc
void list_alerts(Gateway& gateway, const ExchangePtr& exchange);
// audit.cc
void list_audit(Gateway& gateway, const ExchangePtr& exchange);
// token.cc
void token(Gateway& gateway, const ExchangePtr& exchange);
void jwks(Gateway& gateway, const ExchangePtr& exchange);
// admin_users.cc
void list_users(Gateway& gateway, const ExchangePtr& exchange);
void create_user(Gateway& gateway, const ExchangePtr& exchange);
void get_user(Gateway& gateway, const ExchangePtr& exchange);
void change_user(Gateway& gateway, const ExchangePtr& exchange);
void disable_user(Gateway& gateway, const ExchangePtr& exchange);
// admin_keys.cc
void list_keys(Gateway& gateway, const ExchangePtr& exchange);
void create_key(Gateway& gateway, const ExchangePtr& exchange);
void get_key(Gateway& gateway, const ExchangePtr& exchange);
void change_key(Gateway& gateway, const ExchangePtr& exchange);
void revoke_key(Gateway& gateway, const ExchangePtr& exchange);
void list_signing_keys(Gateway& gateway, const ExchangePtr& exchange);
void rotate_signing_key(Gateway& gateway, const ExchangePtr& exchange);
// pages.cc
void chat_page(Gateway& gateway, const ExchangePtr& exchange);
void docs_page(Gateway& gateway, const ExchangePtr& exchange);
void openapi_yaml(Gateway& gateway, const ExchangePtr& exchange);
void openapi_json(Gateway& gateway, const ExchangePtr& exchange);
void static_file(Gateway& gateway, const ExchangePtr& exchange);
// An HTML page with the headers that keep it to itself.
http::Response html_page(std::string_view content);

}  // namespace cove::server

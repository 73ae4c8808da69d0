// Identity through a real socket: every route with every kind of bad credential, tokens, limits, lock-outs, addresses,
// administration.
#include <ctime>
#include <fstream>

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "base/json.h"
#include "server/testing/test_server.h"
#include "services/auth/testing/sign.h"

namespace cove::server {
namespace {

using auth::testing::make_token;
using auth::testing::TestKey;
using testing::TestClient;
using testing::TestReply;
using testing::TestServer;

constexpr std::string_view kPassword = "correct horse";

json::value parse(const std::string& text) {
  auto value = parse_json(text);
  EXPECT_TRUE(value) << text;
  return value ? *value : json::value(json::object());
}

std::string code_of(const TestReply& reply) {
  const json::value body = parse(reply.body);
  const json::value* error = find_member(body, "error");
  const json::value* code = error == nullptr ? nullptr : find_member(*error, "code");
  return code != nullptr && code->is_string() ? std::string(code->get_string()) : std::string();
}

std::string header_of(const TestReply& reply, const std::string& name) {
  const size_t at = reply.head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return {};
  const size_t begin = at + name.size() + 4;
  return reply.head.substr(begin, reply.head.find("\r\n", begin) - begin);
}

TestReply send(const TestServer& server, const std::string& method, const std::string& path, const std::string& headers,
               const std::string& body = {}, const std::string& type = "application/json") {
  TestClient client(server.port());
  std::string text = method + " " + path + " HTTP/1.1\r\nHost: here\r\n" + headers;
  if (!body.empty() || method != "GET")
    text += "Content-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  client.send(text + "\r\n" + body);
  return client.reply();
}

TestReply with_key(const TestServer& server, const std::string& method, const std::string& path, const std::string& key,
                   const std::string& body = {}) {
  return send(server, method, path, "Authorization: Bearer " + key + "\r\n", body);
}

TestReply form(const TestServer& server, const std::string& path, const std::string& body,
               const std::string& headers = {}) {
  return send(server, "POST", path, headers, body, "application/x-www-form-urlencoded");
}

std::string base64(const std::string& bytes) {
  std::string text = auth::base64url_encode(bytes);
  for (char& c : text) c = c == '-' ? '+' : c == '_' ? '/' : c;
  while (text.size() % 4 != 0) text.push_back('=');
  return text;
}

std::string method_of(http::Method method) {
  switch (method) {
    case http::Method::kPost: return "POST";
    case http::Method::kPatch: return "PATCH";
    case http::Method::kDelete: return "DELETE";
    default: return "GET";
  }
}

std::string path_of(const Route& route) {
  std::string path(route.path);
  if (const size_t brace = path.find('{'); brace != std::string::npos) path.replace(brace, std::string::npos, "1");
  return path;
}

void make_user(TestServer& server, const std::string& name, auth::Role role = auth::Role::kUser) {
  const auto user = server.users->create({.name = name, .role = role, .password = std::string(kPassword)}, 1);
  ASSERT_TRUE(user) << user.error().message;
}

// Every way to come without a valid identity.
std::vector<std::pair<std::string, std::string>> strangers(TestServer& server) {
  const int64_t now_s = std::time(nullptr);
  const auto expired = server.keys->create({.name = "old", .role = auth::Role::kAdmin, .expires_s = 100}, 1);
  const auto revoked = server.keys->create({.name = "gone", .role = auth::Role::kAdmin, .expires_s = {}}, 1);
  EXPECT_TRUE(server.keys->revoke("gone", 2));
  const auto admin = *server.keys->verify(server.admin_key, now_s);
  const std::string good = server.tokens->issue(admin, {}, now_s)->token;
  const std::string old = server.tokens->issue(admin, {}, now_s - 7200)->token;
  const std::string early = server.tokens->issue(admin, {}, now_s + 7200)->token;
  std::string broken = good;
  broken[good.rfind('.') + 3] = broken[good.rfind('.') + 3] == 'A' ? 'B' : 'A';
  const std::string claims = good.substr(good.find('.'), good.rfind('.') - good.find('.'));
  const std::string none = auth::base64url_encode(R"({"alg":"none","typ":"JWT"})") + claims + ".";
  const std::string foreign =
      make_token(TestKey::ec("x", "P-256"), "ES256",
                 {{"iss", "cove"}, {"aud", "cove"}, {"sub", admin.id}, {"iat", now_s}, {"exp", now_s + 99}});
  const auto bearer = [](const std::string& token) { return "Authorization: Bearer " + token + "\r\n"; };
  return {{"nothing", ""},
          {"a wrong key", bearer("sk-cove-wrong")},
          {"a well-formed wrong key", bearer("sk-cove-" + std::string(43, 'A'))},
          {"an expired key", bearer(expired->secret)},
          {"a revoked key", bearer(revoked->secret)},
          {"a key in the wrong scheme", "Authorization: Basic YWRtaW46YWRtaW4=\r\n"},
          {"an empty bearer", "Authorization: Bearer \r\n"},
          {"a made-up cookie", "Cookie: cove_session=made-up\r\n"},
          {"a wrong x-api-key", "x-api-key: nothing\r\n"},
          {"an expired token", bearer(old)},
          {"a token of the future", bearer(early)},
          {"a token with a broken signature", bearer(broken)},
          {"a token with alg none", bearer(none)},
          {"a token of another key", bearer(foreign)},
          {"a token that is none", bearer("a.b.c")},
          {"an oversized token", bearer(std::string(20'000, 'a') + ".b.c")}};
}

TEST(EveryRoute, refuses_whoever_has_no_valid_identity) {
  TestServer server;
  const auto all = strangers(server);
  for (const Route& route : routes()) {
    if (route.access == Access::kPublic) continue;
    for (const auto& [what, headers] : all) {
      const TestReply reply = send(server, method_of(route.method), path_of(route), headers);
      const bool login = reply.status == 303 && header_of(reply, "Location") == "/login";
      EXPECT_TRUE(reply.status == 401 || (login && route.unauthenticated == Unauthenticated::kLoginPage))
          << method_of(route.method) << " " << route.path << " with " << what << ": " << reply.status << " "
          << reply.body;
    }
  }
}

TEST(EveryRoute, refuses_roles_and_scopes_without_its_right) {
  TestServer server;
  int refused = 0;
  for (const auth::Role role : {auth::Role::kUser, auth::Role::kAuditor, auth::Role::kOperator}) {
    const auto key = server.keys->create({.name = "k", .role = role, .expires_s = {}}, 1);
    for (const Route& route : routes()) {
      if (auth::may(role, route.access)) continue;
      const TestReply reply = with_key(server, method_of(route.method), path_of(route), key->secret);
      EXPECT_EQ(reply.status, 403) << auth::to_string(role) << " " << route.path << " " << reply.body;
      EXPECT_EQ(code_of(reply), "forbidden");
      ++refused;
    }
  }
  EXPECT_GT(refused, 30) << "the walk met something";
  const auto scoped =
      server.keys->create({.name = "k", .role = auth::Role::kAdmin, .expires_s = {}, .scopes = {"route:/nowhere"}}, 1);
  for (const Route& route : routes()) {
    if (route.access == Access::kPublic) continue;
    EXPECT_EQ(with_key(server, method_of(route.method), path_of(route), scoped->secret).status, 403) << route.path;
  }
}

TEST(EveryRoute, serves_whoever_has_its_right) {
  TestServer server;
  for (const auth::Role role : {auth::Role::kUser, auth::Role::kAuditor, auth::Role::kOperator, auth::Role::kAdmin}) {
    const auto key = server.keys->create({.name = "k", .role = role, .expires_s = {}}, 1);
    for (const Route& route : routes()) {
      if (!auth::may(role, route.access) || route.method != http::Method::kGet) continue;
      const int status = with_key(server, "GET", path_of(route), key->secret).status;
      EXPECT_TRUE(status != 401 && status != 403) << auth::to_string(role) << " " << route.path << " " << status;
    }
  }
}

TEST(Scopes, a_key_for_one_model_does_not_serve_another) {
  TestServer server;
  const auto key_of = [&](const auth::Scopes& scopes) {
    return server.keys->create({.name = "k", .role = auth::Role::kUser, .expires_s = {}, .scopes = scopes}, 1)->secret;
  };
  const std::string ask = TestServer::chat("say:x");
  EXPECT_EQ(with_key(server, "POST", "/v1/chat/completions", key_of({"model:fake"}), ask).status, 200);
  const TestReply refused = with_key(server, "POST", "/v1/chat/completions", key_of({"model:other"}), ask);
  EXPECT_EQ(refused.status, 403);
  EXPECT_NE(refused.body.find("model:other"), std::string::npos) << "says what the key is limited to";
  EXPECT_EQ(with_key(server, "GET", "/metrics", key_of({"infer"})).status, 403);
  EXPECT_EQ(with_key(server, "POST", "/v1/chat/completions", key_of({"route:/v1/chat/*"}), ask).status, 200);
}

TEST(Token, a_password_becomes_a_token_that_works_like_a_key) {
  TestServer server;
  make_user(server, "alice");
  const TestReply reply =
      form(server, "/token", "grant_type=password&username=Alice&password=correct+horse&scope=infer");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(header_of(reply, "Cache-Control"), "no-store");
  const json::value body = parse(reply.body);
  EXPECT_EQ(body.at("token_type").as_string(), "Bearer");
  EXPECT_EQ(body.at("expires_in").as_int64(), 3600);
  EXPECT_EQ(body.at("scope").as_string(), "infer");
  const std::string token(body.at("access_token").as_string());
  EXPECT_EQ(with_key(server, "POST", "/v1/chat/completions", token, TestServer::chat("say:x")).status, 200);
  EXPECT_EQ(
      send(server, "POST", "/v1/chat/completions", "x-api-key: " + token + "\r\n", TestServer::chat("say:x")).status,
      200);
  EXPECT_EQ(server.engine.last_request().tenant, "user:alice");
  EXPECT_EQ(with_key(server, "GET", "/metrics", token).status, 403) << "beyond the scope";
  ASSERT_TRUE(server.users->set_state("alice", auth::UserState::kDisabled, 5));
  EXPECT_EQ(with_key(server, "POST", "/v1/chat/completions", token, TestServer::chat("say:x")).status, 401);
}

TEST(Token, a_key_becomes_a_token_by_header_or_body) {
  TestServer server;
  const std::string& key = server.user_key;
  for (const std::string id : {"2", "key:2", "user"}) {
    EXPECT_EQ(form(server, "/token", "grant_type=client_credentials&client_id=" + id + "&client_secret=" + key).status,
              200)
        << id;
    std::string pair = id == "key:2" ? "key%3A2" : id;
    pair += ":" + key;
    const TestReply reply =
        form(server, "/token", "grant_type=client_credentials", "Authorization: Basic " + base64(pair) + "\r\n");
    ASSERT_EQ(reply.status, 200) << id << reply.body;
    const std::string token(parse(reply.body).at("access_token").as_string());
    EXPECT_EQ(with_key(server, "GET", "/v1/models", token).status, 200);
  }
}

TEST(Token, published_keys_verify_it) {
  TestServer server;
  make_user(server, "alice");
  const std::string token(
      parse(form(server, "/token", "grant_type=password&username=alice&password=correct+horse").body)
          .at("access_token")
          .as_string());
  const TestReply published = send(server, "GET", "/.well-known/jwks.json", "");
  ASSERT_EQ(published.status, 200);
  const auto set = auth::KeySet::parse(published.body);
  ASSERT_TRUE(set) << published.body;
  const auto parsed = auth::parse_token(token);
  const auth::VerifyKey* key = set->find(parsed->kid, parsed->algorithm);
  ASSERT_NE(key, nullptr);
  EXPECT_TRUE(key->verify(parsed->algorithm, parsed->signed_text, parsed->signature));
  EXPECT_EQ(auth::text_claim(parsed->claims, "sub"), "user:alice");
}

struct TokenRefusal {
  std::string body;
  std::string headers;
  int status;
  std::string_view error;
};

TEST(Token, refuses_as_rfc_6749_says) {
  TestServer server({.guard = {.account_failures = 0, .address_failures = 0}});
  make_user(server, "alice");
  const std::string client = "client_id=2&client_secret=" + server.user_key;
  for (const TokenRefusal& c : std::vector<TokenRefusal>{
           {"", "", 400, "invalid_request"},
           {"grant_type=", "", 400, "invalid_request"},
           {"grant_type=authorization_code", "", 400, "unsupported_grant_type"},
           {"grant_type=password&username=alice", "", 400, "invalid_request"},
           {"grant_type=password&username=alice&password=wrong", "", 400, "invalid_grant"},
           {"grant_type=password&username=nobody&password=correct+horse", "", 400, "invalid_grant"},
           {"grant_type=password&username=alice&username=bob&password=x", "", 400, "invalid_request"},
           {"grant_type=password&gran%74_type=x&username=a&password=x", "", 400, "invalid_request"},
           {"grant_type=password&username=alice&password=correct+horse&scope=everything", "", 400, "invalid_scope"},
           {"grant_type=password&username=alice&password=correct+horse&client_id=2&client_secret=wrong", "", 401,
            "invalid_client"},
           {"grant_type=client_credentials", "", 401, "invalid_client"},
           {"grant_type=client_credentials&client_id=1&client_secret=" + server.user_key, "", 401, "invalid_client"},
           {"grant_type=client_credentials&client_id=2&client_secret=sk-cove-wrong", "", 401, "invalid_client"},
           {"grant_type=client_credentials", "Authorization: Basic !!!\r\n", 401, "invalid_client"},
           {"grant_type=client_credentials", "Authorization: Basic bm9jb2xvbg==\r\n", 401, "invalid_client"},
           {"grant_type=client_credentials", "Authorization: Bearer " + server.user_key + "\r\n", 401,
            "invalid_client"},
           {"grant_type=client_credentials&" + client,
            "Authorization: Basic " + base64("2:" + server.user_key) + "\r\n", 400, "invalid_request"}}) {
    const TestReply reply = form(server, "/token", c.body, c.headers);
    EXPECT_EQ(reply.status, c.status) << c.body << reply.body;
    EXPECT_EQ(parse(reply.body).at("error").as_string(), c.error) << c.body;
    EXPECT_EQ(header_of(reply, "Cache-Control"), "no-store");
    EXPECT_EQ(header_of(reply, "WWW-Authenticate").find("Basic") != std::string::npos, c.status == 401);
  }
  EXPECT_EQ(parse(send(server, "POST", "/token", "", R"({"grant_type":"password"})").body).at("error").as_string(),
            "invalid_request")
      << "JSON is no form";
}

TEST(Token, scopes_of_a_key_stay_with_its_tokens) {
  TestServer server;
  const auto key = server.keys->create(
      {.name = "k", .role = auth::Role::kUser, .expires_s = {}, .scopes = {"infer", "models", "model:other"}}, 1);
  const auto grant = [&](const std::string& more) {
    return form(server, "/token", "grant_type=client_credentials&client_id=3&client_secret=" + key->secret + more);
  };
  EXPECT_EQ(parse(grant("").body).at("scope").as_string(), "infer models model:other");
  EXPECT_EQ(parse(grant("&scope=infer").body).at("scope").as_string(), "infer model:other") << "still one model only";
  EXPECT_EQ(parse(grant("&scope=metrics").body).at("error").as_string(), "invalid_scope");
  EXPECT_EQ(parse(grant("&scope=model:fake").body).at("error").as_string(), "invalid_scope");
}

TEST(Lockout, wrong_passwords_lock_the_account_at_both_doors) {
  TestServer server({.guard = {.account_failures = 3, .first_wait = std::chrono::seconds(60)}});
  make_user(server, "alice");
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(form(server, "/token", "grant_type=password&username=alice&password=wrong").status, 400);
  const TestReply locked = form(server, "/token", "grant_type=password&username=ALICE&password=correct+horse");
  EXPECT_EQ(locked.status, 429) << "even the right password has to wait";
  EXPECT_GT(std::stoi(header_of(locked, "Retry-After")), 50);
  const TestReply page = form(server, "/login", "user=alice&password=correct+horse");
  EXPECT_EQ(page.status, 429);
  EXPECT_GT(std::stoi(header_of(page, "Retry-After")), 50);
  make_user(server, "bob");
  EXPECT_EQ(form(server, "/token", "grant_type=password&username=bob&password=correct+horse").status, 200);
}

TEST(Lockout, an_address_that_tries_many_accounts_is_locked) {
  TestServer server(
      {.guard = {.account_failures = 100, .address_failures = 4, .first_wait = std::chrono::seconds(60)}});
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(form(server, "/token", "grant_type=password&username=u" + std::to_string(i) + "&password=wrong").status,
              400);
  EXPECT_EQ(form(server, "/token", "grant_type=password&username=other&password=x").status, 429);
  EXPECT_EQ(form(server, "/token", "grant_type=client_credentials&client_id=2&client_secret=" + server.user_key).status,
            429);
  EXPECT_EQ(form(server, "/login", "key=" + server.user_key).status, 429);
  EXPECT_EQ(send(server, "GET", "/login?code=guess", "").status, 429);
  EXPECT_EQ(with_key(server, "GET", "/v1/models", server.user_key).status, 200) << "keys go on working";
}

TEST(Login, a_user_signs_in_with_a_password_and_is_signed_out_by_a_new_one) {
  TestServer server;
  make_user(server, "alice");
  EXPECT_EQ(form(server, "/login", "user=alice&password=wrong").status, 401);
  const TestReply page = form(server, "/login", "user=alice&password=correct+horse");
  ASSERT_EQ(page.status, 200);
  const std::string set = header_of(page, "Set-Cookie");
  const std::string cookie = "Cookie: " + set.substr(0, set.find(';')) + "\r\n";
  EXPECT_EQ(send(server, "GET", "/v1/models", cookie).status, 200);
  ASSERT_TRUE(server.users->set_password("alice", "something else", std::time(nullptr) + 1));
  EXPECT_EQ(send(server, "GET", "/v1/models", cookie).status, 401);
  EXPECT_NE(send(server, "GET", "/login", "").body.find("name=\"password\""), std::string::npos);
}

TEST(Login, a_revoked_key_ends_the_session_that_it_began) {
  TestServer server;
  const TestReply page = form(server, "/login", "key=" + server.user_key);
  const std::string set = header_of(page, "Set-Cookie");
  const std::string cookie = "Cookie: " + set.substr(0, set.find(';')) + "\r\n";
  EXPECT_EQ(send(server, "GET", "/v1/models", cookie).status, 200);
  ASSERT_TRUE(server.keys->revoke("user", 5));
  EXPECT_EQ(send(server, "GET", "/v1/models", cookie).status, 401);
}

TEST(Limits, are_told_on_success_and_refuse_with_retry_after) {
  TestServer server({.limits = {.requests_per_minute = 3, .tokens_per_minute = 1000}});
  for (int left = 2; left >= 0; --left) {
    const TestReply reply = server.ask("say:hello");
    ASSERT_EQ(reply.status, 200);
    EXPECT_EQ(header_of(reply, "x-ratelimit-limit-requests"), "3");
    EXPECT_EQ(header_of(reply, "x-ratelimit-remaining-requests"), std::to_string(left));
    EXPECT_EQ(header_of(reply, "x-ratelimit-reset-requests"), "1m1s");
    EXPECT_EQ(header_of(reply, "x-ratelimit-limit-tokens"), "1000");
  }
  const TestReply refused = server.ask("say:hello");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(code_of(refused), "rate_limit_exceeded");
  EXPECT_GE(std::stoi(header_of(refused, "Retry-After")), 55);
  EXPECT_EQ(header_of(refused, "x-ratelimit-remaining-requests"), "0");
  EXPECT_LT(std::stoi(header_of(refused, "x-ratelimit-remaining-tokens")), 1000) << "the answers' tokens were counted";
  EXPECT_EQ(server.call("GET", "/metrics").status, 200) << "looking is not limited";
  EXPECT_NE(server.call("GET", "/metrics").body.find("cove_requests_limited_total{limit=\"requests_per_minute\"} 1"),
            std::string::npos);
  EXPECT_EQ(with_key(server, "GET", "/v1/models", server.admin_key).status, 200) << "each key by itself";
}

TEST(Limits, streams_carry_the_headers_too) {
  TestServer server({.limits = {.requests_per_minute = 3}});
  const TestReply reply = server.ask("say:hello", R"("stream":true)");
  EXPECT_EQ(header_of(reply, "x-ratelimit-remaining-requests"), "2");
}

TEST(Limits, tokens_of_the_day_are_a_quota) {
  TestServer server({.limits = {.tokens_per_day = 20}});
  EXPECT_EQ(server.ask("say:hello").status, 200);
  testing::eventually([&] { return server.ask("say:hello").status == 429; });
  const TestReply refused = server.ask("say:hello");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(code_of(refused), "quota_exceeded");
  EXPECT_NE(refused.body.find("tokens per day"), std::string::npos);
}

TEST(Limits, concurrent_requests_give_their_place_back_however_they_end) {
  TestServer server({.limits = {.concurrent_requests = 2}});
  for (int round = 0; round < 3; ++round) {
    TestClient a(server.port());
    TestClient b(server.port());
    a.send(server.request_text("POST", "/v1/chat/completions", TestServer::chat("forever", R"("stream":true)")));
    b.send(server.request_text("POST", "/v1/chat/completions", TestServer::chat("forever")));
    ASSERT_TRUE(testing::eventually([&] { return server.engine.live() == 2; }));
    const TestReply refused = server.ask("say:x");
    EXPECT_EQ(refused.status, 429);
    EXPECT_NE(refused.body.find("concurrent requests"), std::string::npos);
    a.close();
    b.close();
    ASSERT_TRUE(testing::eventually([&] { return server.ask("say:x").status == 200; }));
  }
  EXPECT_EQ(server.ask("say:x", R"("temperature":9)").status, 400);
  EXPECT_TRUE(testing::eventually([&] { return server.ask("say:x").status == 200; })) << "refused requests as well";
}

TEST(Limits, a_keys_own_limits_come_from_the_database) {
  TestServer server({.limits = {.requests_per_minute = 1}});
  ASSERT_TRUE(server.keys->set_limits(2, {.requests_per_minute = 2}));
  EXPECT_EQ(server.ask("say:x").status, 200);
  EXPECT_EQ(server.ask("say:x").status, 200);
  EXPECT_EQ(server.ask("say:x").status, 429);
}

TEST(Addresses, others_are_refused_before_anything_else) {
  TestServer server({.addresses = {.allowed = *auth::Networks::parse({"10.0.0.0/8"}), .proxies = {}}});
  const TestReply refused = server.call("GET", "/v1/models");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(code_of(refused), "address_not_allowed");
  EXPECT_EQ(server.call("GET", "/livez").status, 403);
  EXPECT_EQ(server.call("GET", "/v1/models", {}, "X-Forwarded-For: 10.0.0.1\r\n").status, 403) << "nobody's proxy";
}

TEST(Addresses, a_trusted_proxy_speaks_for_its_client) {
  TestServer server({.addresses = {.allowed = *auth::Networks::parse({"10.0.0.0/8"}),
                                   .proxies = *auth::Networks::parse({"127.0.0.1"})}});
  EXPECT_EQ(server.call("GET", "/v1/models", {}, "X-Forwarded-For: 1.1.1.1, 10.0.0.1\r\n").status, 200);
  EXPECT_EQ(server.call("GET", "/v1/models", {}, "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 1.1.1.1\r\n").status,
            403);
  EXPECT_EQ(server.call("GET", "/v1/models").status, 403) << "the proxy itself is not in the list";
}

TEST(Admin, users_are_created_listed_changed_and_disabled) {
  TestServer server;
  const auto admin = [&](const std::string& method, const std::string& path, const std::string& body = {}) {
    return with_key(server, method, path, server.admin_key, body);
  };
  const TestReply created =
      admin("POST", "/v1/admin/users", R"({"name":"Alice","password":"correct horse","role":"operator"})");
  ASSERT_EQ(created.status, 201) << created.body;
  EXPECT_EQ(parse(created.body).at("id").as_string(), "user:alice");
  EXPECT_EQ(parse(created.body).at("changed_by").as_string(), "key:1");
  EXPECT_EQ(created.body.find("horse"), std::string::npos);
  EXPECT_EQ(created.body.find("argon"), std::string::npos);
  EXPECT_EQ(parse(admin("GET", "/v1/admin/users").body).at("data").as_array().size(), 1U);
  EXPECT_EQ(parse(admin("GET", "/v1/admin/users/user:alice").body).at("role").as_string(), "operator");
  const TestReply changed = admin("PATCH", "/v1/admin/users/alice", R"({"role":"user","limits":{"tokens_per_day":5}})");
  ASSERT_EQ(changed.status, 200) << changed.body;
  EXPECT_EQ(parse(changed.body).at("limits").at("tokens_per_day").as_int64(), 5);
  EXPECT_EQ(admin("DELETE", "/v1/admin/users/alice").status, 200);
  EXPECT_FALSE(parse(admin("GET", "/v1/admin/users/alice").body).at("disabled_s").is_null());
  EXPECT_EQ(form(server, "/token", "grant_type=password&username=alice&password=correct+horse").status, 400);
  EXPECT_EQ(admin("PATCH", "/v1/admin/users/alice", R"({"disabled":false})").status, 200);
  EXPECT_EQ(form(server, "/token", "grant_type=password&username=alice&password=correct+horse").status, 200);
}

TEST(Admin, mistakes_are_named) {
  TestServer server;
  const auto code = [&](const std::string& method, const std::string& path, const std::string& body, int status) {
    const TestReply reply = with_key(server, method, path, server.admin_key, body);
    EXPECT_EQ(reply.status, status) << method << path << body << reply.body;
    return code_of(reply);
  };
  EXPECT_EQ(code("POST", "/v1/admin/users", "{}", 400), "missing_required_parameter");
  EXPECT_EQ(code("POST", "/v1/admin/users", "[]", 400), "invalid_json");
  EXPECT_EQ(code("POST", "/v1/admin/users", R"({"name":"a b","password":"correct horse"})", 400), "invalid_value");
  EXPECT_EQ(code("POST", "/v1/admin/users", R"({"name":"a","password":"short"})", 400), "invalid_value");
  EXPECT_EQ(code("POST", "/v1/admin/users", R"({"name":"a","password":"correct horse","role":"root"})", 400),
            "invalid_value");
  EXPECT_EQ(code("POST", "/v1/admin/users", R"({"name":"a","password":"correct horse","rolle":"user"})", 400),
            "unsupported_parameter");
  EXPECT_EQ(code("POST", "/v1/admin/users", R"({"name":"a","password":"correct horse","limits":{"x":1}})", 400),
            "invalid_value");
  EXPECT_EQ(code("GET", "/v1/admin/users/nobody", "", 404), "not_found");
  EXPECT_EQ(code("PATCH", "/v1/admin/users/nobody", R"({"role":"user"})", 404), "not_found");
  EXPECT_EQ(code("POST", "/v1/admin/keys", "{}", 400), "missing_required_parameter");
  EXPECT_EQ(code("POST", "/v1/admin/keys", R"({"name":"a","expires_s":1})", 400), "invalid_value");
  EXPECT_EQ(code("POST", "/v1/admin/keys", R"({"name":"a","scopes":["all"]})", 400), "invalid_value");
  EXPECT_EQ(code("POST", "/v1/admin/keys", R"({"name":"a","scopes":[1]})", 400), "invalid_type");
  EXPECT_EQ(code("POST", "/v1/admin/keys", R"({"name":"a","user":"nobody"})", 404), "not_found");
  EXPECT_EQ(code("GET", "/v1/admin/keys/x", "", 404), "not_found");
  EXPECT_EQ(code("GET", "/v1/admin/keys/99", "", 404), "not_found");
  EXPECT_EQ(code("DELETE", "/v1/admin/keys/1", "", 400), "invalid_value") << "not oneself";
}

TEST(Admin, keys_are_shown_once_and_revoked) {
  TestServer server;
  const auto admin = [&](const std::string& method, const std::string& path, const std::string& body = {}) {
    return with_key(server, method, path, server.admin_key, body);
  };
  const TestReply created =
      admin("POST", "/v1/admin/keys", R"({"name":"ci","scopes":["infer"],"limits":{"requests_per_minute":9}})");
  ASSERT_EQ(created.status, 201) << created.body;
  const std::string secret(parse(created.body).at("key").as_string());
  EXPECT_EQ(with_key(server, "POST", "/v1/chat/completions", secret, TestServer::chat("say:x")).status, 200);
  EXPECT_EQ(admin("GET", "/v1/admin/keys").body.find(secret), std::string::npos);
  const TestReply changed = admin("PATCH", "/v1/admin/keys/key:3", R"({"limits":{"requests_per_minute":1}})");
  EXPECT_EQ(parse(changed.body).at("limits").at("requests_per_minute").as_int64(), 1);
  EXPECT_EQ(with_key(server, "POST", "/v1/chat/completions", secret, TestServer::chat("say:x")).status, 429);
  EXPECT_EQ(admin("DELETE", "/v1/admin/keys/3").status, 200);
  EXPECT_EQ(with_key(server, "POST", "/v1/chat/completions", secret, TestServer::chat("say:x")).status, 401);
}

TEST(Admin, signing_keys_rotate_with_overlap) {
  TestServer server;
  make_user(server, "alice");
  const std::string token(
      parse(form(server, "/token", "grant_type=password&username=alice&password=correct+horse").body)
          .at("access_token")
          .as_string());
  const TestReply rotated = with_key(server, "POST", "/v1/admin/signing_keys", server.admin_key, "{}");
  ASSERT_EQ(rotated.status, 201) << rotated.body;
  EXPECT_EQ(parse(rotated.body).at("data").as_array().size(), 2U);
  EXPECT_EQ(rotated.body.find("PRIVATE"), std::string::npos);
  EXPECT_EQ(with_key(server, "GET", "/v1/models", token).status, 200);
  EXPECT_EQ(with_key(server, "POST", "/v1/admin/signing_keys", server.admin_key, R"({"drop_old":true})").status, 201);
  EXPECT_EQ(with_key(server, "GET", "/v1/models", token).status, 401);
}

TEST(ForeignIssuer, its_tokens_are_accepted_when_its_keys_are_fetched_meanwhile) {
  const TestKey key = TestKey::rsa("k1");
  std::atomic<int> fetches{0};
  auto foreign =
      *auth::ForeignTokens::create({.issuer = "https://id", .audience = "api", .jwks_url = "https://id/jwks"},
                                   [&](const auth::ForeignIssuer&) -> Result<std::string> {
                                     ++fetches;
                                     std::this_thread::sleep_for(std::chrono::milliseconds(50));
                                     return json::serialize(json::object{{"keys", json::array{key.jwk()}}});
                                   });
  TestServer server({.foreign = foreign.get()});
  const int64_t now_s = std::time(nullptr);
  const json::object claims{{"iss", "https://id"}, {"aud", "api"}, {"sub", "a-b"}, {"exp", now_s + 60}};
  const std::string token = make_token(key, "RS256", claims);
  EXPECT_EQ(with_key(server, "POST", "/v1/chat/completions", token, TestServer::chat("say:x")).status, 200);
  EXPECT_EQ(server.engine.last_request().tenant, "jwt:https://id|a-b");
  EXPECT_EQ(with_key(server, "GET", "/v1/models", token).status, 200);
  EXPECT_EQ(with_key(server, "GET", "/v1/admin/users", token).status, 403);
  EXPECT_EQ(fetches, 1);
  const std::string forged = make_token(TestKey::rsa("k1"), "RS256", claims);
  EXPECT_EQ(with_key(server, "GET", "/v1/models", forged).status, 401);
  json::object raised = claims;
  raised["exp"] = now_s - 100;
  EXPECT_EQ(with_key(server, "GET", "/v1/models", make_token(key, "RS256", raised)).status, 401);
}

TEST(ForeignIssuer, rights_are_checked_after_the_wait_as_well) {
  const TestKey key = TestKey::ec("k1", "P-256");
  auto foreign =
      *auth::ForeignTokens::create({.issuer = "https://id", .audience = "api", .jwks_url = "https://id/jwks"},
                                   [&](const auth::ForeignIssuer&) -> Result<std::string> {
                                     return json::serialize(json::object{{"keys", json::array{key.jwk()}}});
                                   });
  TestServer server({.foreign = foreign.get()});
  const json::object claims{{"iss", "https://id"}, {"aud", "api"}, {"sub", "a"}, {"exp", std::time(nullptr) + 60}};
  // The very first request: nobody knows who it is when its head arrives.
  EXPECT_EQ(with_key(server, "GET", "/v1/admin/users", make_token(key, "ES256", claims)).status, 403);
}

TEST(ForeignIssuer, an_unreachable_one_is_503_and_not_a_hang) {
  auto foreign = *auth::ForeignTokens::create(
      {.issuer = "https://id", .audience = "api", .jwks_url = "https://id/jwks"},
      [](const auth::ForeignIssuer&) -> Result<std::string> { return make_error(ErrorCode::kUnavailable, "down"); });
  TestServer server({.foreign = foreign.get()});
  const json::object claims{{"iss", "https://id"}, {"aud", "api"}, {"sub", "a"}, {"exp", std::time(nullptr) + 60}};
  const std::string token = make_token(TestKey::ec("k1", "P-256"), "ES256", claims);
  for (int i = 0; i < 2; ++i) {
    const TestReply reply = with_key(server, "GET", "/v1/models", token);
    EXPECT_EQ(reply.status, 503);
    EXPECT_FALSE(header_of(reply, "Retry-After").empty());
  }
}

}  // namespace
}  // namespace cove::server

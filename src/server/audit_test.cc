// The audit log through a real socket: one record for every request, however it ends, with all that the log promises;
// and no answer where none can be written.
#include <algorithm>
#include <set>

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "base/json.h"
#include "server/generation/rerun.h"
#include "server/testing/fake_audit.h"
#include "server/testing/test_server.h"

namespace cove::server {
namespace {

using audit::Outcome;
using testing::eventually;
using testing::FakeAudit;
using testing::TestClient;
using testing::TestReply;
using testing::TestServer;
using testing::TestServerOptions;

struct Audited {
  explicit Audited(TestServerOptions options = {}) : server(with_log(std::move(options))) {}
  TestServerOptions with_log(TestServerOptions options) {
    options.audit = &log;
    return options;
  }
  // The record of the one request that was made since the last call.
  audit::Record only() {
    EXPECT_TRUE(eventually([this] { return log.size() > 0; }));
    // Whatever came twice would be there once the server has nothing left to do.
    EXPECT_TRUE(eventually([this] { return server.gateway->in_flight() == 0; }));
    auto records = log.take();
    EXPECT_EQ(records.size(), 1U);
    return records.empty() ? audit::Record{} : std::move(records.front());
  }
  TestReply as(const std::string& key, std::string_view method, std::string_view path, std::string_view body = {}) {
    TestClient client(server.port());
    std::string text = std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: here\r\n";
    if (!key.empty()) text += "Authorization: Bearer " + key + "\r\n";
    if (!body.empty())
      text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    client.send(text + "\r\n" + std::string(body));
    return client.reply();
  }

  FakeAudit log;  // outlives the server
  TestServer server;
};

TEST(Audit, one_answer_is_one_record_with_everything) {
  Audited a;
  const TestReply reply =
      a.server.ask("say:all well", R"("temperature":0.25,"top_p":0.5,"top_k":7,"min_p":0.125,"presence_penalty":0.5,)"
                                   R"("frequency_penalty":-0.5,"repetition_penalty":1.25,"seed":42,"max_tokens":99,)"
                                   R"("min_tokens":2,"stop":["@@"],"stop_token_ids":[3],"logit_bias":{"5":-1},"n":2)");
  ASSERT_EQ(reply.status, 200) << reply.body;
  const audit::Record record = a.only();
  EXPECT_GT(record.time_ns, 1'700'000'000'000'000'000);
  EXPECT_FALSE(record.request_id.empty());
  EXPECT_EQ(record.caller.name, "user");
  EXPECT_EQ(record.caller.role, "user");
  EXPECT_TRUE(record.caller.id.starts_with("key:"));
  EXPECT_EQ(record.address, "127.0.0.1");
  EXPECT_EQ(record.method, "POST");
  EXPECT_EQ(record.route, "/v1/chat/completions");
  EXPECT_EQ(record.path, "/v1/chat/completions");
  EXPECT_EQ(record.status, 200);
  EXPECT_EQ(record.outcome, Outcome::kComplete);
  EXPECT_EQ(record.error, "");
  EXPECT_GT(record.total_ms, 0);
  ASSERT_TRUE(record.generation);
  const audit::Generation& made = *record.generation;
  EXPECT_EQ(made.model.name, "fake");
  EXPECT_EQ(made.model.digest, a.server.engine.model().digest);
  EXPECT_EQ(made.model.device, "cpu: fake");
  const audit::Parameters& used = made.parameters;
  EXPECT_FLOAT_EQ(used.sampling.temperature, 0.25F);
  EXPECT_FLOAT_EQ(used.sampling.top_p, 0.5F);
  EXPECT_EQ(used.sampling.top_k, 7);
  EXPECT_FLOAT_EQ(used.sampling.min_p, 0.125F);
  EXPECT_FLOAT_EQ(used.sampling.presence_penalty, 0.5F);
  EXPECT_FLOAT_EQ(used.sampling.frequency_penalty, -0.5F);
  EXPECT_FLOAT_EQ(used.sampling.repetition_penalty, 1.25F);
  EXPECT_EQ(used.sampling.logit_bias, (std::vector<std::pair<int32_t, float>>{{5, -1.0F}}));
  EXPECT_EQ(used.seeds, (std::vector<uint64_t>{42, 43}));
  EXPECT_EQ(used.choices, 2);
  EXPECT_EQ(used.tokens_max, 99);
  EXPECT_EQ(used.tokens_min, 2);
  EXPECT_EQ(used.stop, std::vector<std::string>{"@@"});
  EXPECT_EQ(used.stop_tokens, std::vector<int32_t>{3});
  EXPECT_EQ(made.prompt, "[user]say:all well");
  EXPECT_NE(made.request.find(R"("content":"say:all well")"), std::string::npos);
  ASSERT_EQ(made.answers.size(), 2U);
  EXPECT_EQ(made.answers[1].content, "all well");
  EXPECT_EQ(made.finish_reasons, (std::vector<std::string>{"stop", "stop"}));
  EXPECT_EQ(made.prompt_tokens, 18);
  EXPECT_EQ(made.completion_tokens, 16);
  EXPECT_GE(made.first_token_ms, 0);
}

TEST(Audit, defaults_and_the_drawn_seed_are_recorded_as_they_were_used) {
  Audited a;
  ASSERT_EQ(a.server.ask("say:x").status, 200);
  const audit::Record record = a.only();
  ASSERT_TRUE(record.generation);
  const engine::SamplingOptions& used = record.generation->parameters.sampling;
  EXPECT_FLOAT_EQ(used.temperature, 0.6F);
  EXPECT_FLOAT_EQ(used.top_p, 0.95F);
  EXPECT_EQ(used.seed, a.server.engine.last_request().sampling.seed);
  EXPECT_EQ(record.generation->parameters.tokens_max, 1000 - record.generation->prompt_tokens) << "the context's end";
}

TEST(Audit, reasoning_tools_and_streams) {
  Audited a;
  const std::string tools = R"("tools":[{"type":"function","function":{"name":"add","parameters":{"type":"object"}}}],)"
                            R"("chat_template_kwargs":{"thinking":true},"stream":true)";
  const TestReply reply = a.server.ask(
      "say:hm</think>\\n\\nwell<tool_call>{\\\"name\\\": \\\"add\\\", \\\"arguments\\\": {}}</tool_call>", tools);
  ASSERT_EQ(reply.status, 200) << reply.body;
  const audit::Record record = a.only();
  ASSERT_TRUE(record.generation);
  EXPECT_TRUE(record.generation->stream);
  EXPECT_EQ(record.generation->parameters.tools, std::vector<std::string>{"add"});
  EXPECT_EQ(record.generation->parameters.tool_choice, "auto");
  ASSERT_EQ(record.generation->answers.size(), 1U);
  EXPECT_EQ(record.generation->answers[0].reasoning, "hm");
  EXPECT_EQ(record.generation->answers[0].content, "well");
  EXPECT_EQ(record.generation->answers[0].tool_calls, R"([{"name":"add","arguments":"{}"}])");
  EXPECT_EQ(record.generation->finish_reasons, std::vector<std::string>{"tool_calls"});
}

TEST(Audit, texts_are_not_gathered_where_none_are_kept) {
  Audited a;
  a.log.set_form(audit::PromptForm::kNone);
  ASSERT_EQ(a.server.ask("say:x").status, 200);
  const audit::Record record = a.only();
  ASSERT_TRUE(record.generation);
  EXPECT_EQ(record.generation->prompt, "");
  EXPECT_EQ(record.generation->request, "");
  EXPECT_TRUE(record.generation->answers.empty());
  EXPECT_EQ(record.generation->finish_reasons, std::vector<std::string>{"stop"});
}

TEST(Audit, an_aborted_stream_is_recorded_as_far_as_it_came) {
  Audited a;
  {
    TestClient client(a.server.port());
    client.send(a.server.request_text("POST", "/v1/chat/completions", TestServer::chat("forever", R"("stream":true)")));
    ASSERT_TRUE(client.receive_until(R"("content":"x")"));
  }
  const audit::Record record = a.only();
  EXPECT_EQ(record.outcome, Outcome::kAborted);
  EXPECT_EQ(record.details.count("abort"), 1U);
  ASSERT_TRUE(record.generation);
  EXPECT_EQ(record.generation->finish_reasons, std::vector<std::string>{"cancelled"});
  ASSERT_EQ(record.generation->answers.size(), 1U);
  const std::string& shown = record.generation->answers[0].content;
  EXPECT_EQ(shown.find_first_not_of('x'), std::string::npos);
  EXPECT_GE(shown.size(), 1U);
  EXPECT_GE(record.generation->completion_tokens, static_cast<int64_t>(shown.size())) << "cost is counted all the same";
  EXPECT_EQ(record.generation->prompt_tokens, 13);
}

TEST(Audit, an_answer_that_fails_midway_says_so) {
  Audited a;
  EXPECT_EQ(a.server.ask("fail").status, 500);
  audit::Record record = a.only();
  EXPECT_EQ(record.outcome, Outcome::kFailed);
  EXPECT_EQ(record.error, "internal_error");
  EXPECT_EQ(a.server.ask("fail", R"("stream":true)").status, 200);
  record = a.only();
  EXPECT_EQ(record.outcome, Outcome::kFailed) << "the head had gone out, the stream ended with an error";
  EXPECT_EQ(record.error, "internal_error");
}

TEST(Audit, every_refusal_is_one_record) {
  TestServerOptions options;
  options.limits.requests_per_minute = 10;
  options.http.body_bytes_max = 4096;
  Audited a(std::move(options));
  const std::string& key = a.server.user_key;
  const auto refused = [&](const TestReply& reply, int status, const std::string& error) {
    EXPECT_EQ(reply.status, status) << reply.body;
    const audit::Record record = a.only();
    EXPECT_EQ(record.status, status);
    EXPECT_EQ(record.error, error);
    EXPECT_EQ(record.outcome, Outcome::kRefused);
    EXPECT_EQ(record.address, "127.0.0.1");
    return record;
  };
  const std::string chat = "/v1/chat/completions";
  refused(a.as("", "POST", chat, "{}"), 401, "missing_api_key");
  refused(a.as("sk-cove-wrong", "POST", chat, "{}"), 401, "invalid_api_key");
  EXPECT_EQ(refused(a.as(key, "GET", "/v1/admin/users"), 403, "forbidden").caller.name, "user");
  EXPECT_EQ(refused(a.as(key, "GET", "/nothing/here"), 404, "unknown_url").path, "/nothing/here");
  refused(a.as(key, "DELETE", chat), 405, "method_not_allowed");
  refused(a.server.call("POST", chat, {}, "Content-Type: text/plain\r\nContent-Length: 0\r\n"), 415,
          "unsupported_media_type");
  refused(a.as(key, "POST", chat, std::string(5000, 'x')), 413, "request_too_large");
  refused(a.as(key, "POST", chat, R"({"messages": [)"), 400, "invalid_json");
  refused(a.as(key, "POST", chat, R"({"messages": 7})"), 400, "invalid_type");
  refused(a.as(key, "POST", chat, TestServer::chat("refuse me")), 400, "invalid_prompt");
  refused(a.as(key, "POST", chat, TestServer::chat("x", R"("model":"other")")), 404, "model_not_found");
  a.server.engine.queue_max = 0;
  EXPECT_TRUE(refused(a.server.ask("say:x"), 429, "queue_full").generation) << "who asked what";
  a.server.engine.queue_max = 100;
  while (a.server.ask("say:x").status == 200) a.only();
  a.log.take();
  refused(a.server.ask("say:x"), 429, "rate_limit_exceeded");
  a.server.gateway->drain();
  refused(a.server.ask("say:x"), 503, "draining");
  TestClient broken(a.server.port());
  broken.send("NOT HTTP\r\n\r\n");
  EXPECT_EQ(broken.reply().status, 400);
  EXPECT_EQ(a.only().error, "bad_request");
}

TEST(Audit, a_body_that_never_came_whole_is_recorded) {
  Audited a;
  {
    TestClient client(a.server.port());
    client.send("POST /v1/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + a.server.user_key +
                "\r\nContent-Length: 100\r\n\r\n{");
    ASSERT_TRUE(eventually([&] { return a.server.gateway->in_flight() == 1; }));
  }
  const audit::Record record = a.only();
  EXPECT_EQ(record.outcome, Outcome::kAborted);
  EXPECT_EQ(record.status, 0);
  EXPECT_EQ(record.caller.name, "user");
}

TEST(Audit, sign_ins_name_their_account_and_never_a_password) {
  Audited a;
  ASSERT_TRUE(a.server.users->create({.name = "alice", .role = auth::Role::kUser, .password = "correct horse"}, 1));
  const auto form = [&](const std::string& body) {
    TestClient client(a.server.port());
    client.send(
        "POST /token HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
    return client.reply();
  };
  EXPECT_EQ(form("grant_type=password&username=alice&password=correct+horse").status, 200);
  audit::Record record = a.only();
  EXPECT_EQ(record.caller.id, "user:alice");
  EXPECT_EQ(record.outcome, Outcome::kComplete);
  EXPECT_EQ(form("grant_type=password&username=alice&password=wrong").status, 400);
  record = a.only();
  EXPECT_EQ(record.caller.id, "");
  EXPECT_EQ(record.details.at("account"), "alice");
  EXPECT_EQ(record.error, "invalid_grant");
  for (const auto& [name, value] : record.details) EXPECT_EQ(value.find("wrong"), std::string::npos) << name;
}

TEST(Audit, administration_says_what_was_changed) {
  Audited a;
  const TestReply made = a.as(a.server.admin_key, "POST", "/v1/admin/users",
                              R"({"name":"bob","role":"operator","password":"a long password"})");
  ASSERT_EQ(made.status, 201) << made.body;
  const audit::Record record = a.only();
  EXPECT_EQ(record.caller.name, "admin");
  EXPECT_EQ(record.details.at("id"), "user:bob");
  EXPECT_EQ(record.details.at("role"), "operator");
  EXPECT_FALSE(record.generation);
}

std::string method_of(http::Method method) {
  switch (method) {
    case http::Method::kPost: return "POST";
    case http::Method::kPatch: return "PATCH";
    case http::Method::kDelete: return "DELETE";
    default: return "GET";
  }
}

TEST(Audit, every_route_leaves_exactly_one_record_for_everybody) {
  Audited a;
  const std::vector<std::pair<std::string, std::string>> callers = {{"nobody", ""},
                                                                    {"a wrong key", "sk-cove-wrong"},
                                                                    {"a user", a.server.user_key},
                                                                    {"an admin", a.server.admin_key}};
  for (const Route& route : routes()) {
    std::string path(route.path);
    if (const size_t brace = path.find('{'); brace != std::string::npos)
      path.replace(brace, std::string::npos, "nobody");
    const bool looks_at_public = route.access == Access::kPublic && route.method == http::Method::kGet;
    for (const auto& [who, key] : callers) {
      const std::string body = route.body == Body::kNone ? "" : R"({"messages":[{"role":"user","content":"say:x"}]})";
      const TestReply reply = a.as(key, method_of(route.method), path, body);
      ASSERT_TRUE(eventually([&] { return a.server.gateway->in_flight() == 0; }));
      const auto records = a.log.take();
      ASSERT_EQ(records.size(), looks_at_public ? 0U : 1U) << method_of(route.method) << " " << path << " by " << who;
      if (records.empty()) continue;
      EXPECT_EQ(records[0].route, route.path);
      EXPECT_EQ(records[0].status, reply.status);
      EXPECT_EQ(records[0].caller.id.empty(), key.empty() || key == "sk-cove-wrong" || route.access == Access::kPublic)
          << path;
    }
  }
}

TEST(Audit, nothing_is_answered_before_its_record_is_safe) {
  Audited a;
  a.log.hold();
  TestClient whole(a.server.port());
  whole.send(a.server.request_text("POST", "/v1/chat/completions", TestServer::chat("say:secret answer")));
  TestClient streamed(a.server.port());
  streamed.send(
      a.server.request_text("POST", "/v1/chat/completions", TestServer::chat("say:secret answer", R"("stream":true)")));
  ASSERT_TRUE(eventually([&] { return a.log.held() == 2; }));
  EXPECT_FALSE(whole.receive(std::chrono::milliseconds(50))) << "not one byte of it";
  EXPECT_FALSE(streamed.receive_until("[DONE]", std::chrono::milliseconds(50)));
  a.log.release();
  EXPECT_EQ(whole.reply().status, 200);
  EXPECT_TRUE(streamed.receive_until("[DONE]"));
  EXPECT_TRUE(streamed.receive_until("0\r\n\r\n"));
}

TEST(Audit, an_answer_whose_record_cannot_be_written_is_withheld) {
  Audited a;
  a.log.hold();
  TestClient whole(a.server.port());
  whole.send(a.server.request_text("POST", "/v1/chat/completions", TestServer::chat("say:secret answer")));
  TestClient streamed(a.server.port());
  streamed.send(a.server.request_text("POST", "/v1/chat/completions", TestServer::chat("say:x", R"("stream":true)")));
  ASSERT_TRUE(eventually([&] { return a.log.held() == 2; }));
  a.log.set_failing(true);
  a.log.release();
  const TestReply reply = whole.reply();
  EXPECT_EQ(reply.status, 503);
  EXPECT_NE(reply.head.find("Retry-After: "), std::string::npos);
  EXPECT_NE(reply.body.find("audit_unavailable"), std::string::npos);
  EXPECT_EQ(reply.body.find("secret"), std::string::npos);
  EXPECT_TRUE(streamed.at_end());
  EXPECT_EQ(streamed.received().find("[DONE]"), std::string::npos) << "the stream must not look complete";
}

TEST(Audit, a_log_that_fails_stops_the_service_until_it_works_again) {
  Audited a;
  a.log.set_failing(true);
  const TestReply reply = a.server.ask("say:x");
  EXPECT_EQ(reply.status, 503);
  EXPECT_NE(reply.head.find("Retry-After: "), std::string::npos);
  EXPECT_NE(reply.body.find("audit log"), std::string::npos);
  const TestReply ready = a.as("", "GET", "/readyz");
  EXPECT_EQ(ready.status, 503);
  EXPECT_NE(ready.body.find("audit_failed"), std::string::npos);
  EXPECT_NE(a.as("", "GET", "/health").body.find(R"("status":"audit_failed")"), std::string::npos);
  EXPECT_EQ(a.as("", "GET", "/livez").status, 200);
  const TestReply metrics = a.as(a.server.admin_key, "GET", "/metrics");
  EXPECT_EQ(metrics.status, 200) << "who watches must see it";
  EXPECT_NE(metrics.body.find("cove_audit_failures_total 1"), std::string::npos);
  EXPECT_EQ(a.as(a.server.admin_key, "GET", "/v1/admin/users").status, 503);
  a.log.set_failing(false);
  EXPECT_EQ(a.server.ask("say:x").status, 200);
  EXPECT_EQ(a.as("", "GET", "/readyz").status, 200);
}

TEST(Audit, with_warn_the_service_goes_on) {
  Audited a;
  a.log.set_refuses(false);
  a.log.set_failing(true);
  a.log.hold();
  EXPECT_EQ(a.server.ask("say:x").status, 200) << "and waits for nothing";
  EXPECT_EQ(a.as("", "GET", "/readyz").status, 200);
}

TEST(Audit, a_recorded_request_runs_again_and_gives_the_same) {
  Audited a;
  ASSERT_EQ(a.server.ask("say:hm</think>\\n\\nwell", R"("chat_template_kwargs":{"thinking":true},"n":2,"stream":true)")
                .status,
            200);
  const audit::Record record = a.only();
  ASSERT_TRUE(record.generation);
  const audit::Generation& made = *record.generation;
  const auto again = rerun({.model = *a.server.gateway->model(),
                            .route = record.route,
                            .request = made.request,
                            .parameters = made.parameters,
                            .time_ns = record.time_ns});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->finish_reasons, made.finish_reasons);
  ASSERT_EQ(again->answers.size(), 2U);
  EXPECT_EQ(again->answers[1].reasoning, "hm");
  EXPECT_EQ(again->answers[1].content, made.answers[1].content);
  const engine::Request run = a.server.engine.last_request();
  EXPECT_EQ(run.sampling.seed, made.parameters.seeds[1]) << "the seed that was drawn then";
  EXPECT_EQ(run.tokens_max, made.parameters.tokens_max);
}

TEST(Audit, auditors_read_the_log_over_the_api) {
  const auto folder = std::filesystem::temp_directory_path() / ("cove-audit-api-" + std::to_string(::getpid()));
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  auto log = audit::Log::open({.dir = folder / "audit",
                               .signing_key_file = folder / "sign.pem",
                               .hash_key_file = folder / "hash.key",
                               .prompts = audit::PromptForm::kFull});
  ASSERT_TRUE(log) << log.error().message;
  {
    TestServerOptions options;
    options.audit = log->get();
    options.audit_dir = folder / "audit";
    TestServer server(std::move(options));
    const std::string auditor =
        server.keys->create({.name = "a", .role = auth::Role::kAuditor, .expires_s = {}}, 1)->secret;
    const auto list = [&](const std::string& query, const std::string& key, int status = 200) {
      TestClient client(server.port());
      client.send("GET /v1/admin/audit" + query + " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + key + "\r\n\r\n");
      const TestReply reply = client.reply();
      EXPECT_EQ(reply.status, status) << query << reply.body;
      auto parsed = parse_json(reply.body);
      return parsed ? *parsed : json::value();
    };
    ASSERT_EQ(server.ask("say:one").status, 200);
    ASSERT_EQ(server.ask("say:two").status, 200);
    list("", server.user_key, 403);
    const json::value all = list("", auditor);
    const json::array& records = all.at("data").as_array();
    ASSERT_EQ(records.size(), 3U) << "the refused look, too, and everything before this one";
    EXPECT_EQ(records[0].at("route").as_string(), "/v1/admin/audit") << "the newest first";
    EXPECT_EQ(records[0].at("outcome").as_string(), "refused");
    EXPECT_EQ(records[1].at("generation").at("answers").at(0).at("content").as_string(), "two");
    EXPECT_EQ(all.at("has_more").as_bool(), false);
    EXPECT_EQ(list("?limit=2", auditor).at("data").as_array().size(), 2U);
    EXPECT_EQ(list("?limit=2", auditor).at("has_more").as_bool(), true);
    EXPECT_EQ(list("?user=key:999", auditor).at("data").as_array().size(), 0U);
    EXPECT_EQ(list("?to=2020-01-01", auditor).at("data").as_array().size(), 0U);
    for (const std::string query : {"?limit=0", "?limit=x", "?from=yesterday"}) list(query, auditor, 400);
  }
  EXPECT_TRUE((*log)->close());
  std::filesystem::remove_all(folder);
}

TEST(Audit, rerun_refuses_what_is_no_generation) {
  TestServer server;
  const audit::Parameters none;
  const auto models =
      rerun({.model = *server.gateway->model(), .route = "/v1/models", .request = "", .parameters = none});
  ASSERT_FALSE(models);
  EXPECT_EQ(models.error().code, ErrorCode::kInvalidArgument);
  const auto broken =
      rerun({.model = *server.gateway->model(), .route = "/v1/completions", .request = "{", .parameters = none});
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("refused now"), std::string::npos);
}

}  // namespace
}  // namespace cove::server

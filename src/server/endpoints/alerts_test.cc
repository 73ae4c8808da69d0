// The anomaly rules seen from outside: what counts as a request, a failed sign-in, a token.
#include <gtest/gtest.h>

#include "base/json.h"
#include "server/testing/test_server.h"
#include "services/anomaly/watch.h"

namespace cove::server {
namespace {

using testing::eventually;
using testing::TestClient;
using testing::TestReply;
using testing::TestServer;
using testing::TestServerOptions;

class Alerts : public ::testing::Test {
 protected:
  TestServerOptions options() {
    TestServerOptions options;
    options.watch = &watch;
    return options;
  }
  // As the administrator; what of it lies under `key`.
  static json::value alerts(const TestServer& server, const char* key) {
    TestClient client(server.port());
    client.send("GET /v1/admin/alerts HTTP/1.1\r\nAuthorization: Bearer " + server.admin_key + "\r\n\r\n");
    const TestReply reply = client.reply();
    EXPECT_EQ(reply.status, 200) << reply.body;
    const auto parsed = parse_json(reply.body);
    EXPECT_TRUE(parsed) << reply.body;
    return parsed->at(key);
  }
  anomaly::Watch watch{
      {.requests_per_minute = 10, .tokens_per_hour = 200, .failed_logins_account = 3, .failed_logins_address = 5}, {}};
};

TEST_F(Alerts, one_identity_with_too_many_requests_raises_one) {
  TestServer server(options());
  for (int i = 0; i < 25; ++i) server.call("GET", "/v1/models");
  const json::value list = alerts(server, "data");
  ASSERT_EQ(list.as_array().size(), 1U) << list;
  const json::value& alert = list.at(0);
  EXPECT_EQ(alert.at("rule").as_string(), "requests_per_minute");
  EXPECT_EQ(alert.at("state").as_string(), "active");
  EXPECT_EQ(alert.at("name").as_string(), "user");
  EXPECT_EQ(alert.at("count").as_int64(), 25);
  EXPECT_EQ(alert.at("ended_at"), nullptr);
  const std::string text = server.call("GET", "/metrics").body;
  EXPECT_NE(text.find("cove_alerts_total{rule=\"requests_per_minute\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("cove_alerts_active{rule=\"requests_per_minute\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("cove_alerts_total{rule=\"tokens_per_hour\"} 0\n"), std::string::npos);
}

TEST_F(Alerts, requests_that_are_refused_later_count_too) {
  TestServer server(options());
  for (int i = 0; i < 11; ++i) server.call("POST", "/v1/chat/completions", "{nonsense");
  EXPECT_EQ(watch.raised(anomaly::Rule::kRequestsPerMinute), 1U);
}

TEST_F(Alerts, probes_and_strangers_are_no_identity) {
  TestServer server(options());
  for (int i = 0; i < 30; ++i) {
    TestClient client(server.port());
    client.send("GET /livez HTTP/1.1\r\n\r\nGET /v1/models HTTP/1.1\r\n\r\n");
    EXPECT_EQ(client.reply().status, 200);
    EXPECT_EQ(client.reply().status, 401);
  }
  EXPECT_EQ(watch.subjects(), 0U) << "no credential is no failed sign-in";
}

TEST_F(Alerts, wrong_keys_and_sign_ins_count_for_the_address) {
  TestServer server(options());
  for (int i = 0; i < 3; ++i) {
    TestClient client(server.port());
    client.send("GET /v1/models HTTP/1.1\r\nAuthorization: Bearer sk-cove-wrong\r\n\r\n");
    EXPECT_EQ(client.reply().status, 401);
    EXPECT_EQ(server.call("POST", "/login", R"({"key":"wrong"})").status, 401);
  }
  EXPECT_TRUE(eventually([&] { return watch.raised(anomaly::Rule::kFailedLoginsAddress) == 1; }));
  EXPECT_EQ(watch.active().at(0).subject, "127.0.0.1");
}

TEST_F(Alerts, tokens_of_prompt_and_answer_add_up) {
  TestServer server(options());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(server.ask("say:" + std::string(80, 'x')).status, 200);
  EXPECT_TRUE(eventually([&] { return watch.raised(anomaly::Rule::kTokensPerHour) == 1; }));
}

TEST_F(Alerts, the_list_is_for_operators) {
  TestServer server(options());
  EXPECT_EQ(server.call("GET", "/v1/admin/alerts").status, 403);
  TestServer unwatched;
  EXPECT_TRUE(alerts(unwatched, "rules").as_array().empty());
  EXPECT_EQ(alerts(server, "rules").as_array().size(), anomaly::kRules.size());
}

}  // namespace
}  // namespace cove::server

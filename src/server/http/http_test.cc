// The HTTP layer through a real socket: what well-behaved, slow, broken and hostile clients get.
#include <gtest/gtest.h>

#include "server/testing/test_server.h"

namespace cove::server {
namespace {

using testing::eventually;
using testing::TestClient;
using testing::TestReply;
using testing::TestServer;
using testing::TestServerOptions;

TEST(Http, keep_alive_serves_many_requests_on_one_connection) {
  TestServer server;
  TestClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"));
    const TestReply reply = client.reply();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, "ok\n");
  }
}

TEST(Http, pipelined_requests_are_answered_in_order) {
  TestServer server;
  TestClient client(server.port());
  client.send(server.request_text("POST", "/v1/chat/completions", TestServer::chat("say:first")) +
              server.request_text("GET", "/v1/models", "") +
              server.request_text("POST", "/v1/chat/completions", TestServer::chat("say:third")) +
              "GET /livez HTTP/1.1\r\n\r\n");
  EXPECT_NE(client.reply().body.find("first"), std::string::npos);
  EXPECT_NE(client.reply().body.find("\"list\""), std::string::npos);
  EXPECT_NE(client.reply().body.find("third"), std::string::npos);
  EXPECT_EQ(client.reply().body, "ok\n");
}

TEST(Http, bytes_may_come_one_at_a_time) {
  TestServer server;
  TestClient client(server.port());
  for (const char c : server.request_text("POST", "/v1/chat/completions", TestServer::chat("say:hi"))) {
    ASSERT_TRUE(client.send(std::string_view(&c, 1)));
  }
  EXPECT_NE(client.reply().body.find(R"("content":"hi")"), std::string::npos);
}

TEST(Http, chunked_bodies_and_expect_continue_are_understood) {
  TestServer server;
  const std::string body = TestServer::chat("say:chunks");
  TestClient client(server.port());
  client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + server.user_key +
              "\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
  ASSERT_TRUE(client.receive_until("100 Continue\r\n\r\n"));
  client.send("A\r\n" + body.substr(0, 10) + "\r\n");
  char rest[32];
  std::snprintf(rest, sizeof rest, "%zx;ext=1\r\n", body.size() - 10);
  client.send(rest + body.substr(10) + "\r\n0\r\nTrailer: x\r\n\r\n");
  EXPECT_NE(client.reply().body.find("chunks"), std::string::npos);
}

TEST(Http, head_has_the_length_but_no_body_and_options_lists_methods) {
  TestServer server;
  TestClient client(server.port());
  client.send(
      "HEAD /livez HTTP/1.1\r\n\r\nOPTIONS /v1/chat/completions HTTP/1.1\r\n\r\nGET /livez HTTP/1.1\r\nConnection: "
      "close\r\n\r\n");
  ASSERT_TRUE(client.receive_until("\r\n\r\n"));
  ASSERT_TRUE(client.at_end());
  const std::string& all = client.received();
  EXPECT_NE(all.find("Content-Length: 3\r\n"), std::string::npos);
  const size_t options = all.find("HTTP/1.1 204");
  ASSERT_NE(options, std::string::npos);
  EXPECT_NE(all.find("Allow: POST, OPTIONS"), std::string::npos);
  EXPECT_TRUE(all.ends_with("\r\n\r\nok\n"));
  EXPECT_EQ(all.find("ok\n"), all.size() - 3) << "only GET has a body";
}

TEST(Http, unknown_paths_and_methods_are_json_errors) {
  TestServer server;
  const TestReply unknown = server.call("GET", "/v1/nothing");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_NE(unknown.body.find(R"("code":"unknown_url")"), std::string::npos);
  const TestReply method = server.call("DELETE", "/v1/models");
  EXPECT_EQ(method.status, 405);
  EXPECT_NE(method.head.find("Allow: GET, HEAD, OPTIONS"), std::string::npos);
  EXPECT_NE(method.body.find(R"("code":"method_not_allowed")"), std::string::npos);
}

TEST(Http, broken_requests_get_400_and_the_server_lives_on) {
  TestServer server;
  for (const std::string& bytes :
       {std::string("\x16\x03\x01\x02\x00 hello tls\r\n\r\n"), std::string("GET\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nbad header\r\n\r\n"),
        std::string("POST /v1/models HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
        std::string("GET / HTTP/9.9\r\n\r\n")}) {
    TestClient client(server.port());
    client.send(bytes);
    const TestReply reply = client.reply();
    EXPECT_TRUE(reply.status == 400 || reply.status == 505) << reply.status << " for " << bytes;
    EXPECT_NE(reply.body.find(R"("type":"invalid_request_error")"), std::string::npos) << bytes;
    EXPECT_TRUE(client.at_end());
  }
  EXPECT_EQ(server.call("GET", "/livez").status, 200);
}

TEST(Http, bad_chunks_are_refused) {
  TestServer server;
  TestClient client(server.port());
  client.send("POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer " + server.user_key +
              "\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n");
  EXPECT_EQ(client.reply().status, 400);
}

TEST(Http, foreign_transfer_codings_are_not_taken_for_a_second_request) {
  TestServer server;
  for (const std::string coding : {"gzip", "gzip, chunked", "identity", "chunked, chunked"}) {
    TestClient client(server.port());
    client.send("POST /livez HTTP/1.1\r\nTransfer-Encoding: " + coding + "\r\n\r\nGET /livez HTTP/1.1\r\n\r\n");
    const TestReply reply = client.reply();
    EXPECT_TRUE(reply.status == 501 || reply.status == 400) << coding << reply.status;
    EXPECT_TRUE(client.at_end()) << coding;
    EXPECT_TRUE(client.received().empty()) << coding;
  }
}

TEST(Http, an_endless_head_gets_431) {
  TestServer server;
  TestClient client(server.port());
  client.send("GET /livez HTTP/1.1\r\n");
  for (int i = 0; i < 100; ++i) {
    if (!client.send("x-filler: " + std::string(1000, 'a') + "\r\n")) break;
  }
  EXPECT_EQ(client.reply().status, 431);
}

TEST(Http, a_hundred_megabytes_are_refused_by_their_declared_length) {
  TestServer server;
  TestClient client(server.port());
  client.send("POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer " + server.user_key +
              "\r\nContent-Length: 104857600\r\n\r\n");
  const std::string megabyte(1 << 20, 'a');
  for (int i = 0; i < 100; ++i) {
    if (!client.send(megabyte)) break;
  }
  const TestReply reply = client.reply();
  EXPECT_EQ(reply.status, 413);
  EXPECT_NE(reply.body.find(R"("code":"request_too_large")"), std::string::npos);
  EXPECT_NE(reply.head.find("Connection: close"), std::string::npos);
}

TEST(Http, a_hundred_megabytes_in_chunks_are_refused_when_they_pass_the_limit) {
  TestServer server;
  TestClient client(server.port());
  client.send("POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer " + server.user_key +
              "\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "100000\r\n" + std::string(1 << 20, 'a') + "\r\n";
  for (int i = 0; i < 100; ++i) {
    if (!client.send(chunk)) break;
  }
  EXPECT_EQ(client.reply().status, 413);
}

TEST(Http, without_a_key_a_body_is_not_even_read) {
  TestServer server;
  TestClient client(server.port());
  client.send("POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 30000000\r\n\r\n");
  const TestReply reply = client.reply();
  EXPECT_EQ(reply.status, 401);
  EXPECT_NE(reply.head.find("WWW-Authenticate: Bearer"), std::string::npos);
}

TEST(Http, slow_heads_and_bodies_time_out) {
  TestServerOptions options;
  options.http.head_timeout = std::chrono::milliseconds(150);
  options.http.body_timeout = std::chrono::milliseconds(150);
  options.http.idle_timeout = std::chrono::milliseconds(300);
  TestServer server(options);
  TestClient slow_head(server.port());
  slow_head.send("GET /livez HT");
  EXPECT_EQ(slow_head.reply().status, 408);
  TestClient drip(server.port());
  for (int i = 0; i < 30 && drip.send(i == 0 ? "GET /livez HTTP/1.1\r\nx: " : "a"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(drip.reply().status, 408) << "the limit is for the whole head, not from byte to byte";
  TestClient slow_body(server.port());
  slow_body.send("POST /v1/completions HTTP/1.1\r\nAuthorization: Bearer " + server.user_key +
                 "\r\nContent-Length: 10\r\n\r\n{");
  EXPECT_EQ(slow_body.reply().status, 408);
  TestClient idle(server.port());
  EXPECT_TRUE(idle.at_end()) << "an idle connection is closed without a word";
  EXPECT_TRUE(idle.received().empty());
}

TEST(Http, a_slow_reader_of_a_stream_is_cut_off_and_its_work_cancelled) {
  TestServerOptions options;
  options.http.write_pending_bytes_max = 16 << 10;
  options.step = std::chrono::microseconds(1);
  TestServer server(options);
  TestClient client(server.port(), 2048);
  client.send(server.request_text("POST", "/v1/chat/completions", TestServer::chat("forever", R"("stream":true)")));
  ASSERT_TRUE(client.receive_until("data: "));
  EXPECT_EQ(server.engine.live(), 1U);
  EXPECT_TRUE(eventually([&] { return server.engine.live() == 0; }, std::chrono::seconds(60)));
}

TEST(Http, a_client_that_goes_away_stops_its_work_streamed_or_not) {
  TestServer server;
  for (const std::string more : {R"("stream":true)", R"("stream":false)"}) {
    for (const std::string content : {"forever", "silent"}) {
      TestClient client(server.port());
      client.send(server.request_text("POST", "/v1/chat/completions", TestServer::chat(content, more)));
      ASSERT_TRUE(eventually([&] { return server.engine.live() == 1; })) << content << more;
      client.close();
      EXPECT_TRUE(server.all_released()) << content << more;
    }
  }
}

TEST(Http, a_disconnect_after_any_byte_leaves_nothing_behind) {
  TestServer server;
  const std::string bytes =
      server.request_text("POST", "/v1/chat/completions", TestServer::chat("forever", R"("stream":true,"n":2)"));
  for (size_t cut = 0; cut <= bytes.size(); cut += 7) {
    TestClient client(server.port());
    client.send(bytes.substr(0, cut));
  }
  TestClient client(server.port());
  client.send(bytes);
  client.close();
  EXPECT_TRUE(server.all_released());
  EXPECT_TRUE(eventually([&] { return server.gateway->in_flight() == 0; }));
  EXPECT_EQ(server.call("GET", "/livez").status, 200);
}

TEST(Http, http_1_0_streams_end_with_the_connection) {
  TestServer server;
  TestClient client(server.port());
  const std::string body = TestServer::chat("say:old", R"("stream":true)");
  client.send("POST /v1/chat/completions HTTP/1.0\r\nAuthorization: Bearer " + server.user_key +
              "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  EXPECT_TRUE(client.at_end());
  EXPECT_EQ(client.received().find("Transfer-Encoding"), std::string::npos);
  EXPECT_TRUE(client.received().ends_with("data: [DONE]\n\n"));
}

TEST(Http, a_thousand_streams_share_one_io_thread) {
  TestServerOptions options;
  options.step = std::chrono::milliseconds(20);
  TestServer server(options);
  constexpr size_t kStreams = 1000;
  std::vector<std::unique_ptr<TestClient>> clients;
  const std::string bytes = server.request_text("POST", "/v1/chat/completions",
                                                TestServer::chat("forever", R"("stream":true,"max_tokens":20)"));
  for (size_t i = 0; i < kStreams; ++i) {
    clients.push_back(std::make_unique<TestClient>(server.port()));
    ASSERT_TRUE(clients.back()->connected()) << i;
    ASSERT_TRUE(clients.back()->send(bytes));
  }
  for (auto& client : clients) {
    const TestReply reply = client->reply();
    ASSERT_EQ(reply.status, 200);
    ASSERT_TRUE(reply.body.ends_with("data: [DONE]\n\n"));
  }
  EXPECT_TRUE(server.all_released());
}

TEST(Http, connections_over_the_limit_get_503) {
  TestServerOptions options;
  options.http.connections_max = 4;
  TestServer server(options);
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<TestClient>(server.port()));
    clients.back()->send("GET /livez HTTP/1.1\r\n\r\n");
    EXPECT_EQ(clients.back()->reply().status, 200);
  }
  TestClient extra(server.port());
  const TestReply refused = extra.reply();
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.head.find("Retry-After"), std::string::npos);
}

TEST(Http, a_port_in_use_is_named) {
  TestServer server;
  http::ServerOptions options;
  options.port = server.port();
  const auto second = http::Server::create(options, *server.gateway);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("is in use by another program; choose another one with --port"),
            std::string::npos);
  options.host = "nowhere.example";
  EXPECT_FALSE(http::Server::create(options, *server.gateway));
}

TEST(Http, bodies_together_are_bounded) {
  TestServerOptions options;
  options.http.bodies_bytes_max = 100'000;
  TestServer server(options);
  const std::string head =
      "POST /v1/completions HTTP/1.1\r\nAuthorization: Bearer " + server.user_key + "\r\nContent-Length: 90000\r\n\r\n";
  TestClient first(server.port());
  first.send(head + std::string(80'000, ' '));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  TestClient second(server.port());
  second.send(head + std::string(80'000, ' '));
  EXPECT_EQ(second.reply().status, 503);
  first.send(std::string(10'000, ' '));
  EXPECT_EQ(first.reply().status, 400) << "read whole, and empty";
  EXPECT_EQ(server.ask("say:x").status, 200) << "what was held is given back";
}

// A handler that begins a stream and then says nothing for a while.
class SilentStream final : public http::Handler {
 public:
  std::optional<http::Response> check_head(http::Request&) override { return std::nullopt; }
  void handle(std::shared_ptr<http::Exchange> exchange) override {
    exchange->start_stream({.content_type = "text/event-stream", .headers = {}, .body = {}},
                           {.idle_text = ": keep-alive\n\n", .idle_every = std::chrono::milliseconds(30)});
  }
  http::Response refuse(http::Request&, int status, std::string_view) override {
    return {.status = status, .headers = {}, .body = {}};
  }
  void done(const http::Request&, const http::Outcome& outcome) override { complete = outcome.complete; }
  bool complete = true;
};

TEST(Http, a_silent_stream_is_kept_alive_with_comments) {
  SilentStream handler;
  http::ServerOptions options;
  options.port = 0;
  auto server = std::move(*http::Server::create(options, handler));
  std::thread thread([&] { server->run(); });
  {
    TestClient client(server->port());
    client.send("GET / HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(client.receive_until("\r\n\r\n")) << "the head goes out at once";
    EXPECT_TRUE(client.receive_until("e\r\n: keep-alive\n\n\r\ne\r\n: keep-alive\n\n\r\n"));
  }
  server->stop();
  thread.join();
  EXPECT_FALSE(handler.complete);
}

TEST(HttpMessage, decodes_paths_queries_and_cookies) {
  EXPECT_EQ(http::percent_decode("%41%zz%4"), "A%zz%4");
  EXPECT_EQ(http::query_value("a=1&key=sk%2Dx+y&b", "key"), "sk-x y");
  EXPECT_EQ(http::query_value("monkey=1", "key"), "");
  http::Request request;
  request.headers = {{"Cookie", "a=1; cove_session=abc; b=2"}};
  EXPECT_EQ(http::cookie_value(request, "cove_session"), "abc");
  EXPECT_EQ(http::cookie_value(request, "session"), "");
}

}  // namespace
}  // namespace cove::server

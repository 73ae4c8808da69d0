// TLS through real sockets and a real OpenSSL client: who is served, who is refused and how, what a reload does.
#include <csignal>

#include <gtest/gtest.h>

#include "server/testing/tls_client.h"

namespace cove::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::eventually;
using testing::TestClient;
using testing::TestReply;
using testing::TestServer;
using testing::TestServerOptions;
using testing::TlsClient;
using testing::TlsFolder;

class Tls : public ::testing::Test {
 protected:
  // The clients' OpenSSL writes to sockets that the server has closed.
  Tls() { std::signal(SIGPIPE, SIG_IGN); }

  TestServerOptions options() {
    TestServerOptions options;
    options.http.tls = folder.load();
    return options;
  }
  static size_t count_of(TestServer& server, const std::string& result) {
    const std::string text = server.gateway->metrics().render(nullptr, 0, MetricsRegistry::Aliases::kHide);
    const std::string series = "cove_tls_handshakes_total{result=\"" + result + "\"} ";
    const size_t at = text.find(series);
    return at == std::string::npos ? 0 : std::stoul(text.substr(at + series.size()));
  }

  TlsFolder folder;
};

TEST_F(Tls, serves_over_1_3) {
  TestServer server(options());
  TlsClient client(server.port(), {.protocols = "\x02h2\x08http/1.1"});
  ASSERT_TRUE(client.secure()) << client.error();
  EXPECT_EQ(SSL_version(client.native()), TLS1_3_VERSION);
  const unsigned char* protocol = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(client.native(), &protocol, &length);
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(protocol), length), "http/1.1");
  for (int i = 0; i < 3; ++i) {
    client.send(server.request_text("POST", "/v1/chat/completions", TestServer::chat("say:secret")));
    EXPECT_NE(client.reply().body.find("secret"), std::string::npos);
  }
  EXPECT_EQ(count_of(server, "done"), 1U);
}

TEST_F(Tls, refuses_1_2_with_the_alert_that_says_so) {
  TestServer server(options());
  const TlsClient client(server.port(), {.version = TLS1_2_VERSION});
  EXPECT_FALSE(client.secure());
  EXPECT_EQ(client.error(), "tlsv1 alert protocol version");
  EXPECT_TRUE(eventually([&] { return count_of(server, "failed") == 1; }));
}

TEST_F(Tls, refuses_a_client_that_does_not_speak_http_1_1) {
  TestServer server(options());
  const TlsClient client(server.port(), {.protocols = "\x02h2"});
  EXPECT_FALSE(client.secure());
  EXPECT_EQ(client.error(), "tlsv1 alert no application protocol");
}

TEST_F(Tls, tells_a_plain_http_client_what_to_do) {
  TestServer server(options());
  TestClient client(server.port());
  client.send("GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n");
  const TestReply reply = client.reply();
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("https://"), std::string::npos) << reply.body;
  EXPECT_TRUE(client.at_end());
  EXPECT_EQ(count_of(server, "plain_http"), 1U);
}

TEST_F(Tls, the_end_is_announced) {
  TestServer server(options());
  TlsClient client(server.port());
  client.send("GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.reply().body, "ok\n");
  EXPECT_FALSE(client.receive());
  EXPECT_TRUE(client.ended_properly());
}

TEST_F(Tls, a_goodbye_is_answered_and_leaves_nothing_behind) {
  TestServer server(options());
  {
    TlsClient client(server.port());
    SSL_shutdown(client.native());
    EXPECT_FALSE(client.receive());
    EXPECT_TRUE(client.ended_properly());
  }
  EXPECT_TRUE(eventually([&] { return server.server->connections() == 0; }));
}

// The ClientHello's beginning, as far as it is the same for all clients.
constexpr std::string_view kHello("\x16\x03\x01\x00\xf0\x01\x00\x00\xec\x03\x03", 11);

TEST_F(Tls, truncated_handshakes_leave_nothing_behind) {
  TestServer server(options());
  for (size_t length = 1; length <= kHello.size(); ++length) {
    TestClient client(server.port());
    client.send(kHello.substr(0, length));
  }
  EXPECT_TRUE(eventually([&] { return count_of(server, "failed") == kHello.size(); }));
  EXPECT_TRUE(eventually([&] { return server.server->connections() == 0; }));
}

TEST_F(Tls, garbage_is_refused_before_and_after_the_handshake) {
  TestServer server(options());
  for (const std::string_view garbage : {"\x16\x03\x01\xff\xff garbage", "\x80\x2e\x01", "\n\n\n\n\n\n\n\n"}) {
    TestClient client(server.port());
    client.send(garbage);
    client.send(std::string(20'000, '\x7f'));
    EXPECT_TRUE(client.at_end()) << garbage;
  }
  TlsClient client(server.port());
  ASSERT_TRUE(client.secure());
  const std::string bytes = std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x');
  ASSERT_EQ(::send(SSL_get_fd(client.native()), bytes.data(), bytes.size(), MSG_NOSIGNAL), 37);
  EXPECT_FALSE(client.receive());
  EXPECT_NE(client.error().find("bad record mac"), std::string::npos) << client.error();
  EXPECT_TRUE(eventually([&] { return server.server->connections() == 0; }));
}

TEST_F(Tls, a_second_handshake_in_the_clear_is_refused_and_a_key_update_is_not) {
  TestServer server(options());
  TlsClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(SSL_key_update(client.native(), SSL_KEY_UPDATE_REQUESTED), 1);
    client.send("GET /livez HTTP/1.1\r\n\r\n");
    EXPECT_EQ(client.reply().body, "ok\n");
  }
  ::send(SSL_get_fd(client.native()), kHello.data(), kHello.size(), MSG_NOSIGNAL);
  const std::string rest(0xf0 + 5 - kHello.size(), '\0');
  ::send(SSL_get_fd(client.native()), rest.data(), rest.size(), MSG_NOSIGNAL);
  EXPECT_FALSE(client.receive());
  EXPECT_NE(client.error().find("unexpected message"), std::string::npos) << client.error();
}

TEST_F(Tls, slow_handshakes_time_out) {
  TestServerOptions with = options();
  with.http.handshake_timeout = milliseconds(100);
  TestServer server(with);
  TestClient silent(server.port());
  TestClient slow(server.port());
  slow.send(kHello);
  EXPECT_TRUE(silent.at_end(seconds(5)));
  EXPECT_TRUE(slow.at_end(seconds(5)));
  EXPECT_TRUE(eventually([&] { return count_of(server, "timeout") == 2; }));
}

TEST_F(Tls, dawdlers_do_not_keep_others_out) {
  TestServerOptions with = options();
  with.http.handshakes_max = 4;
  TestServer server(with);
  std::vector<std::unique_ptr<TestClient>> dawdlers;
  for (int i = 0; i < 6; ++i) {
    dawdlers.push_back(std::make_unique<TestClient>(server.port()));
    dawdlers.back()->send(kHello);
  }
  EXPECT_TRUE(dawdlers[0]->at_end(seconds(5)));
  EXPECT_TRUE(dawdlers[1]->at_end(seconds(5)));
  TlsClient client(server.port());
  EXPECT_TRUE(client.secure()) << client.error();
  EXPECT_EQ(count_of(server, "crowded_out"), 3U);
}

TEST_F(Tls, a_new_certificate_serves_new_connections_and_old_ones_go_on) {
  TestServer server(options());
  TlsClient old(server.port());
  EXPECT_EQ(old.server_name(), "localhost");
  old.send(server.request_text("POST", "/v1/chat/completions", TestServer::chat("forever", R"("stream":true)")));
  ASSERT_TRUE(old.receive_until("chat.completion.chunk"));
  folder.renew("renewed.example");
  server.server->set_tls(folder.load());
  EXPECT_TRUE(eventually([&] { return TlsClient(server.port()).server_name() == "renewed.example"; }));
  const size_t before = old.received().size();
  EXPECT_TRUE(eventually([&] { return old.receive() && old.received().size() > before + 1000; }))
      << "the stream goes on";
}

TEST_F(Tls, going_away_stops_the_work) {
  TestServer server(options());
  {
    TlsClient client(server.port());
    client.send(server.request_text("POST", "/v1/chat/completions", TestServer::chat("silent", R"("stream":true)")));
    ASSERT_TRUE(eventually([&] { return server.engine.live() == 1; }));
  }
  EXPECT_TRUE(server.all_released());
}

TEST_F(Tls, the_session_cookie_is_for_tls_only) {
  TestServer server(options());
  TlsClient client(server.port());
  const std::string form = "key=" + server.user_key;
  const std::string head =
      "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n";
  client.send(head + "Content-Length: " + std::to_string(form.size()) + "\r\n\r\n" + form);
  const TestReply reply = client.reply();
  EXPECT_EQ(reply.status, 200);
  EXPECT_NE(reply.head.find("; Secure"), std::string::npos) << reply.head;
  TestServer plain;
  const TestReply open = plain.call("POST", "/login", R"({"key":")" + plain.user_key + "\"}");
  EXPECT_EQ(open.status, 200);
  EXPECT_EQ(open.head.find("; Secure"), std::string::npos) << open.head;
}

// Answers with as many bytes as the path's number, and keeps the request.
class Blob final : public http::Handler {
 public:
  std::optional<http::Response> check_head(http::Request&) override { return std::nullopt; }
  void handle(std::shared_ptr<http::Exchange> exchange) override {
    const http::Request& request = exchange->request();
    subject = request.client_subject;
    http::Response response;
    response.body.assign(std::stoul(request.path.substr(1)), 'b');
    response.body += std::to_string(request.body.size());
    exchange->respond(std::move(response));
  }
  http::Response refuse(http::Request&, int status, std::string_view) override {
    return {.status = status, .headers = {}, .body = {}};
  }
  void done(const http::Request&, const http::Outcome&) override {}
  std::string subject;
};

class BlobServer {
 public:
  explicit BlobServer(std::shared_ptr<const http::TlsContext> tls) {
    http::ServerOptions options;
    options.port = 0;
    options.tls = std::move(tls);
    server = std::move(*http::Server::create(options, handler));
    thread = std::thread([this] { server->run(); });
  }
  ~BlobServer() {
    server->stop();
    thread.join();
  }
  Blob handler;
  std::unique_ptr<http::Server> server;
  std::thread thread;
};

TEST_F(Tls, large_bodies_pass_in_both_directions) {
  BlobServer server(folder.load());
  TlsClient client(server.server->port());
  const std::string body(3'000'000, 'a');
  client.send("POST /5000000 HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n" + body);
  std::this_thread::sleep_for(milliseconds(100));  // the server meets a full socket buffer
  const TestReply reply = client.reply();
  EXPECT_EQ(reply.body, std::string(5'000'000, 'b') + "3000000");
}

class ClientCertificates : public Tls {
 protected:
  ClientCertificates() : client("client.example") {}
  std::shared_ptr<const http::TlsContext> context(http::ClientAuth auth) const {
    http::TlsFiles files = folder.files();
    files.client_ca = client.file("cert.pem");
    files.client_auth = auth;
    auto loaded = http::TlsContext::load(files, std::time(nullptr));
    EXPECT_TRUE(loaded) << loaded.error().message;
    return *loaded;
  }
  static std::string get(TlsClient& from) {
    from.send("GET /1 HTTP/1.1\r\n\r\n");
    return from.reply().body;
  }
  testing::TlsClientOptions known() const {
    return {.certificate = client.file("cert.pem"), .key = client.file("key.pem")};
  }
  TlsFolder client;
};

TEST_F(ClientCertificates, required_ones_are_demanded_and_their_subject_known) {
  BlobServer server(context(http::ClientAuth::kRequired));
  TlsClient good(server.server->port(), known());
  EXPECT_EQ(get(good), "b0");
  EXPECT_EQ(server.handler.subject, "CN=client.example");
  TlsClient none(server.server->port());
  EXPECT_EQ(get(none), "");
  EXPECT_EQ(none.error(), "tlsv13 alert certificate required");
  TlsClient foreign(server.server->port(), {.certificate = folder.file("cert.pem"), .key = folder.file("key.pem")});
  EXPECT_EQ(get(foreign), "");
}

TEST_F(ClientCertificates, optional_ones_may_be_missing_but_not_wrong) {
  BlobServer server(context(http::ClientAuth::kOptional));
  TlsClient none(server.server->port());
  EXPECT_EQ(get(none), "b0");
  EXPECT_EQ(server.handler.subject, "");
  TlsClient good(server.server->port(), known());
  EXPECT_EQ(get(good), "b0");
  EXPECT_EQ(server.handler.subject, "CN=client.example");
  TlsClient foreign(server.server->port(), {.certificate = folder.file("cert.pem"), .key = folder.file("key.pem")});
  EXPECT_EQ(get(foreign), "");
}

class TlsFilesTest : public ::testing::Test {
 protected:
  std::string message(const http::TlsFiles& files) const {
    const auto loaded = http::TlsContext::load(files, std::time(nullptr));
    return loaded ? "loaded" : loaded.error().message;
  }
  std::string message() const { return message(folder.files()); }
  bool says(const std::string& part) const {
    const std::string text = message();
    EXPECT_NE(text.find(part), std::string::npos) << text;
    return text.find(folder.path.string()) != std::string::npos;
  }
  TlsFolder folder;
};

TEST_F(TlsFilesTest, a_good_pair_tells_its_names_and_its_end) {
  const auto context = folder.load();
  EXPECT_EQ(context->names(), std::vector<std::string>{"localhost"});
  EXPECT_TRUE(context->covers("localhost"));
  EXPECT_FALSE(context->covers("127.0.0.1"));
  EXPECT_TRUE(context->self_signed());
  EXPECT_NEAR(static_cast<double>(context->not_after_s()), static_cast<double>(std::time(nullptr) + 3600), 5);
}

TEST_F(TlsFilesTest, what_is_wrong_is_said) {
  EXPECT_NE(message({.cert = folder.file("cert.pem"), .key = {}, .client_ca = {}}).find("server.tls.key is not"),
            std::string::npos);
  EXPECT_NE(message({.cert = folder.file("none.pem"), .key = folder.file("key.pem"), .client_ca = {}}).find("none.pem"),
            std::string::npos);
  const std::string unasked =
      message({.cert = folder.file("cert.pem"), .key = folder.file("key.pem"), .client_ca = folder.file("cert.pem")});
  EXPECT_NE(unasked.find("client_auth"), std::string::npos) << unasked;

  ::chmod(folder.file("key.pem").c_str(), 0644);
  EXPECT_TRUE(says("chmod 640"));
  ::chmod(folder.file("key.pem").c_str(), 0640);
  EXPECT_EQ(message(), "loaded");

  const TlsFolder other;
  std::filesystem::copy_file(other.file("key.pem"), folder.file("key.pem"),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(says("is not the key of the certificate"));
  folder.write("key.pem", "not a key", 0600);
  EXPECT_TRUE(says("holds no PEM private key"));
  folder.write("key.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", 0600);
  EXPECT_TRUE(says("passphrase"));
  folder.write("cert.pem", "nonsense", 0644);
  EXPECT_TRUE(says("holds no PEM certificate"));
}

TEST_F(TlsFilesTest, time_matters) {
  const int64_t now_s = std::time(nullptr);
  folder.renew("localhost", now_s - 7200, now_s - 3600);
  EXPECT_TRUE(says("expired on"));
  folder.renew("localhost", now_s + 3600, now_s + 7200);
  EXPECT_TRUE(says("valid only from"));
}

}  // namespace
}  // namespace cove::server

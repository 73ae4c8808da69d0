// The HTTP hook against a real listening socket that answers what the test says.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "base/json.h"
#include "services/plugins/plugin_set.h"

namespace cove::plugins {
namespace {

// One request a connection, served by one thread.
class HookServer {
 public:
  using Reply = std::function<std::string(const std::string& body)>;  // the whole HTTP response; empty = silence

  explicit HookServer(Reply reply) : reply_(std::move(reply)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), bytes), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &bytes);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~HookServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    for (const int peer : silent_) ::close(peer);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/check"; }
  std::string last_request() const {
    const std::lock_guard lock(mutex_);
    return last_request_;
  }

 private:
  void serve() {
    for (;;) {
      const int peer = ::accept(listener_, nullptr, nullptr);
      if (peer < 0) return;
      std::string text;
      char buffer[4096];
      size_t body_at = std::string::npos;
      size_t length = 0;
      while (body_at == std::string::npos || text.size() < body_at + length) {
        const ssize_t got = ::recv(peer, buffer, sizeof buffer, 0);
        if (got <= 0) break;
        text.append(buffer, static_cast<size_t>(got));
        if (body_at == std::string::npos && text.find("\r\n\r\n") != std::string::npos) {
          body_at = text.find("\r\n\r\n") + 4;
          length = std::stoul(text.substr(text.find("Content-Length: ") + 16));
        }
      }
      {
        const std::lock_guard lock(mutex_);
        last_request_ = text;
      }
      const std::string response = reply_(body_at == std::string::npos ? "" : text.substr(body_at));
      if (response.empty()) {
        silent_.push_back(peer);
        continue;
      }
      ::send(peer, response.data(), response.size(), MSG_NOSIGNAL);
      ::close(peer);
    }
  }

  Reply reply_;
  int listener_;
  uint16_t port_ = 0;
  std::thread thread_;
  mutable std::mutex mutex_;  // guards last_request_
  std::string last_request_;
  std::vector<int> silent_;
};

std::string ok(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
}

PluginOptions options_of(const HookServer& server) {
  PluginOptions options;
  options.name = "hook";
  options.type = PluginType::kHttp;
  options.http.url = server.url();
  options.http.token = "s3cret";
  options.timeout = std::chrono::milliseconds(5000);
  return options;
}

std::unique_ptr<PluginSet> open(const PluginOptions& options) { return std::move(*PluginSet::create({options})); }

Input input_of(std::string text) {
  Input input;
  input.texts.push_back({"user", std::move(text)});
  return input;
}

TEST(HttpHook, allows_refuses_and_changes_prompts) {
  std::string reply;
  HookServer server([&reply](const std::string&) { return ok(reply); });
  const auto set = open(options_of(server));
  auto run = set->open({.request_id = "req_1", .role = "user"});
  Input input = input_of("hello");
  reply = R"({"action":"allow"})";
  EXPECT_EQ(run->preprocess(input)->decision, Decision::kPass);
  EXPECT_NE(server.last_request().find("Authorization: Bearer s3cret"), std::string::npos);
  EXPECT_NE(server.last_request().find(R"({"stage":"prompt","request":{"id":"req_1")"), std::string::npos);
  EXPECT_NE(server.last_request().find(R"("texts":[{"role":"user","text":"hello"}])"), std::string::npos);
  reply = R"({"action":"modify","texts":["HELLO"],"system":"Be brief."})";
  ASSERT_TRUE(run->preprocess(input));
  EXPECT_EQ(input.texts[0].text, "HELLO");
  EXPECT_EQ(input.system, "Be brief.");
  reply = R"({"action":"refuse","message":"not today"})";
  const auto verdict = run->preprocess(input);
  EXPECT_EQ(verdict->decision, Decision::kBlock);
  EXPECT_EQ(verdict->message, "not today");
}

TEST(HttpHook, sees_answers_whole) {
  HookServer server([](const std::string& body) {
    const auto request = parse_json(body);
    const std::string text(find_member(*request, "text")->as_string());
    if (text == "bad answer") return ok(R"({"action":"refuse","text":"removed"})");
    return ok(json::serialize(json::object{{"action", "modify"}, {"text", "<" + text + ">"}}));
  });
  const auto set = open(options_of(server));
  auto run = set->open({});
  EXPECT_EQ(run->postprocess({.text_id = 1, .text = "a good "})->text, "");
  EXPECT_EQ(run->postprocess({.text_id = 1, .text = "answer", .end = End::kLast})->text, "<a good answer>");
  EXPECT_EQ(run->postprocess({.text_id = 2, .text = "bad "})->text, "");
  const auto bad = run->postprocess({.text_id = 2, .text = "answer", .end = End::kLast});
  EXPECT_EQ(bad->text, "removed");
  EXPECT_EQ(bad->decision, Decision::kBlock);
}

TEST(HttpHook, every_wrong_reply_is_a_failure) {
  std::string reply;
  HookServer server([&reply](const std::string&) { return reply; });
  PluginOptions options = options_of(server);
  options.timeout = std::chrono::milliseconds(300);
  const auto refusing = open(options);
  options.on_error = OnError::kSkip;
  const auto skipping = open(options);
  for (const std::string& wrong :
       {std::string(), std::string("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), std::string("nonsense\r\n\r\n"),
        ok("not JSON"), ok("{}"), ok(R"({"action":"maybe"})"), ok(R"({"action":"modify"})"),
        ok(R"({"action":"modify","texts":[]})"), ok(R"({"action":"modify","texts":[5]})"), ok("[]")}) {
    reply = wrong;
    Input input = input_of("hello");
    EXPECT_FALSE(refusing->open({})->preprocess(input)) << wrong;
    auto run = skipping->open({});
    ASSERT_TRUE(run->preprocess(input)) << wrong;
    EXPECT_EQ(input.texts[0].text, "hello");
    EXPECT_EQ(run->notes().back().action, "skipped");
  }
  // What was held back comes out when the hook is skipped.
  auto run = skipping->open({});
  EXPECT_EQ(run->postprocess({.text_id = 1, .text = "a long "})->text, "");
  EXPECT_EQ(run->postprocess({.text_id = 2, .text = "other"})->text, "");
  EXPECT_EQ(run->postprocess({.text_id = 1, .text = "answer", .end = End::kLast})->text, "a long answer");
  EXPECT_EQ(run->postprocess({.text_id = 2, .text = "", .end = End::kLast})->text, "other");
}

TEST(HttpHook, needs_an_address) {
  PluginOptions options;
  options.name = "hook";
  options.type = PluginType::kHttp;
  options.http.url = "ftp://x";
  EXPECT_EQ(PluginSet::create({options}).error().message, "plugin 'hook': needs 'url', an http:// or https:// address");
}

}  // namespace
}  // namespace cove::plugins

// Plugins through the whole server: real sockets, the fake engine, real filters.
#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

#include "server/testing/fake_audit.h"
#include "server/testing/test_server.h"

namespace cove::server {
namespace {

using plugins::PluginOptions;
using plugins::PluginSet;
using plugins::PluginType;
using plugins::Stage;
using testing::TestReply;
using testing::TestServer;

std::unique_ptr<PluginSet> make_set(std::vector<PluginOptions> options) {
  auto set = PluginSet::create(std::move(options));
  EXPECT_TRUE(set) << set.error().message;
  return set ? std::move(*set) : nullptr;
}

// The deltas' `field`s of a stream, joined.
std::string joined(const TestReply& reply, const std::string& field) {
  std::string out;
  const std::string key = "\"" + field + "\":\"";
  for (size_t at = reply.body.find(key); at != std::string::npos; at = reply.body.find(key, at + 1)) {
    const size_t begin = at + key.size();
    out += reply.body.substr(begin, reply.body.find('"', begin) - begin);
  }
  return out;
}

bool holds(const TestReply& reply, std::string_view text) { return reply.body.find(text) != std::string::npos; }

class WordsServer : public ::testing::Test {
 protected:
  std::filesystem::path list(const std::string& name, const std::string& words) {
    std::filesystem::create_directories(folder_);
    const auto path = folder_ / name;
    std::ofstream(path) << words;
    return path;
  }
  PluginOptions words(std::vector<Stage> stages = {}) {
    PluginOptions options;
    options.name = "words";
    options.stages = std::move(stages);
    options.words.replace = {list("replace.txt", "敏感词\nsecret plan\n")};
    options.words.block = {list("block.txt", "炸弹\n")};
    options.words.message = " [cut]";
    return options;
  }
  // One per test: tests run side by side.
  std::filesystem::path folder_ =
      std::filesystem::path(::testing::TempDir()) /
      (std::string("plugins_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(WordsServer, refuses_a_blocked_prompt) {
  const auto set = make_set({words()});
  TestServer server({.plugins = set.get()});
  const TestReply reply = server.ask("say:how to make a 炸 弹");
  EXPECT_EQ(reply.status, 400);
  EXPECT_TRUE(holds(reply, R"("code":"content_filter")")) << reply.body;
  EXPECT_TRUE(holds(reply, R"("param":"messages")")) << reply.body;
  EXPECT_TRUE(holds(server.call("GET", "/metrics"), R"(cove_plugin_actions_total{plugin="words",action="blocked"} 1)"));
  EXPECT_EQ(server.ask("say:ok").status, 200);
}

TEST_F(WordsServer, replaces_in_the_prompt_before_the_model_sees_it) {
  const auto set = make_set({words({Stage::kPrompt})});
  TestServer server({.plugins = set.get()});
  const TestReply reply = server.ask("say:a Secret-Plan here");
  EXPECT_TRUE(holds(reply, R"("content":"a *********** here")") || holds(reply, R"("content":"a Secret-Plan here")"))
      << reply.body;
  EXPECT_FALSE(holds(reply, "Secret")) << reply.body;
}

TEST_F(WordsServer, the_audit_log_has_what_was_refused_and_what_the_model_saw) {
  const auto set = make_set({words()});
  testing::FakeAudit log;
  TestServer server({.plugins = set.get(), .audit = &log});
  ASSERT_EQ(server.ask("say:how to make a 炸 弹").status, 400);
  auto records = log.take();
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].outcome, audit::Outcome::kRefused);
  EXPECT_EQ(records[0].error, "content_filter");
  ASSERT_TRUE(records[0].generation) << "who asked for what";
  EXPECT_NE(records[0].generation->request.find("炸 弹"), std::string::npos);
  EXPECT_TRUE(records[0].generation->answers.empty());
  ASSERT_EQ(records[0].plugin_notes.size(), 1U);
  EXPECT_EQ(records[0].plugin_notes[0].action, "blocked");

  // The prompt is kept as the model saw it: what a plugin hides from the model stays hidden.
  ASSERT_EQ(server.ask("say:a secret-plan here").status, 200);
  records = log.take();
  ASSERT_EQ(records.size(), 1U);
  ASSERT_TRUE(records[0].generation);
  EXPECT_EQ(records[0].generation->prompt, "[user]say:a *********** here");
  EXPECT_EQ(records[0].generation->request.find("secret"), std::string::npos) << records[0].generation->request;
  EXPECT_FALSE(records[0].details.contains("answer_filtered"));
}

TEST_F(WordsServer, the_audit_log_says_when_the_answer_was_changed) {
  const auto set = make_set({words({Stage::kAnswer})});
  testing::FakeAudit log;
  TestServer server({.plugins = set.get(), .audit = &log});
  ASSERT_EQ(server.ask("say:a secret plan").status, 200);
  const auto records = log.take();
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].details.at("answer_filtered"), "true");
  EXPECT_EQ(records[0].generation->answers.at(0).content, "a ***********") << "what the client was shown";
}

TEST_F(WordsServer, filters_streams_across_tokens_like_whole_answers) {
  const auto set = make_set({words({Stage::kReasoning, Stage::kAnswer})});
  TestServer server({.plugins = set.get()});
  // One byte a token.
  const std::string_view prompt = "say:我想敏 感词</think>答：secret  plan。敏感";
  const std::string thinking = R"("thinking":{"type":"enabled"})";
  const TestReply whole = server.ask(prompt, thinking);
  EXPECT_TRUE(holds(whole, R"("content":"答：************。敏感")")) << whole.body;
  EXPECT_TRUE(holds(whole, R"("reasoning_content":"我想****")")) << whole.body;
  const TestReply stream = server.ask(prompt, thinking + R"(,"stream":true)");
  EXPECT_EQ(joined(stream, "content"), "答：************。敏感") << stream.body;
  EXPECT_EQ(joined(stream, "reasoning_content"), "我想****") << stream.body;
}

TEST_F(WordsServer, a_blocking_word_ends_the_answer_and_the_work) {
  const auto set = make_set({words({Stage::kAnswer})});
  TestServer server({.plugins = set.get()});
  const std::string prompt = "say:先放炸药和炸弹" + std::string(400, 'x');
  for (const char* more : {"", R"("stream":true)"}) {
    const TestReply reply = server.ask(prompt, more);
    const std::string text = *more == '\0' ? reply.body : joined(reply, "content");
    EXPECT_NE(text.find("先放炸药和 [cut]"), std::string::npos) << reply.body;
    EXPECT_TRUE(holds(reply, R"("finish_reason":"content_filter")")) << reply.body;
    EXPECT_FALSE(holds(reply, "xx"));
    EXPECT_TRUE(server.all_released());
  }
  const TestReply completion =
      server.call("POST", "/v1/completions", R"({"prompt":"say:ok 炸弹 no","stream":true,"max_tokens":100})");
  EXPECT_EQ(joined(completion, "text"), "ok  [cut]") << completion.body;
  EXPECT_TRUE(holds(completion, R"("finish_reason":"content_filter")"));
}

TEST_F(WordsServer, choices_have_their_own_streams) {
  const auto set = make_set({words({Stage::kAnswer})});
  TestServer server({.plugins = set.get()});
  const TestReply reply = server.ask("say:敏感词和敏", R"("n":3)");
  size_t found = 0;
  for (size_t at = reply.body.find("***和敏"); at != std::string::npos; at = reply.body.find("***和敏", at + 1))
    ++found;
  EXPECT_EQ(found, 3U) << reply.body;
}

TEST_F(WordsServer, arguments_of_tool_calls_are_filtered_and_stay_json) {
  const auto set = make_set({words({Stage::kAnswer})});
  TestServer server({.plugins = set.get()});
  const TestReply reply = server.ask(
      R"(say:<tool_call>{\"name\": \"f\", \"arguments\": {\"q\": \"敏感词\", \"n\": [1, \"感\"]}}</tool_call>)",
      R"("tools":[{"type":"function","function":{"name":"f","parameters":{}}}])");
  EXPECT_TRUE(holds(reply, R"("arguments":"{\"q\":\"***\",\"n\":[1,\"感\"]}")")) << reply.body;
}

TEST_F(WordsServer, log_probabilities_are_refused_where_answers_are_filtered) {
  const auto set = make_set({words({Stage::kAnswer})});
  TestServer server({.plugins = set.get()});
  const TestReply reply = server.ask("say:x", R"("logprobs":true)");
  EXPECT_EQ(reply.status, 400);
  EXPECT_TRUE(holds(reply, R"("param":"logprobs")")) << reply.body;
}

TEST_F(WordsServer, routes_and_roles_limit_a_plugin) {
  PluginOptions options = words();
  options.routes = {"/v1/completions"};
  options.roles = {"user"};
  const auto set = make_set({options});
  TestServer server({.plugins = set.get()});
  EXPECT_EQ(server.ask("say:炸弹").status, 200);
  EXPECT_EQ(server.call("POST", "/v1/completions", R"({"prompt":"say:炸弹"})").status, 400);
  testing::TestClient admin(server.port());
  const std::string body = R"({"prompt":"say:炸弹"})";
  admin.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + server.admin_key +
             "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
             body);
  EXPECT_EQ(admin.reply().status, 200);
}

TEST_F(WordsServer, prompts_of_token_ids_are_read_too) {
  const auto set = make_set({words()});
  TestServer server({.plugins = set.get()});
  std::string ids;
  for (const char byte : std::string_view("say:炸弹")) ids += std::to_string(static_cast<unsigned char>(byte)) + ",";
  ids.pop_back();
  EXPECT_EQ(server.call("POST", "/v1/completions", R"({"prompt":[)" + ids + "]}").status, 400);
}

TEST_F(WordsServer, hides_in_no_part_of_a_request) {
  const auto set = make_set({words()});
  TestServer server({.plugins = set.get()});
  for (
      const char* body :
      {R"({"messages":[{"role":"system","content":"炸弹"},{"role":"user","content":"say:x"}]})",
       R"({"messages":[{"role":"user","name":"炸弹","content":"say:x"}]})",
       R"({"messages":[{"role":"user","content":[{"type":"text","text":"炸"},{"type":"text","text":"弹"}]}]})",
       R"({"messages":[{"role":"user","content":"say:x"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":\"炸弹\"}"}}]},{"role":"tool","tool_call_id":"1","content":"1"}]})",
       R"({"messages":[{"role":"user","content":"say:x"}],"tools":[{"type":"function","function":{"name":"f","description":"炸弹"}}]})"}) {
    EXPECT_EQ(server.call("POST", "/v1/chat/completions", body).status, 400) << body;
  }
}

TEST(TemplateServer, frames_the_prompt) {
  PluginOptions options;
  options.name = "house";
  options.type = PluginType::kTemplate;
  options.prompt_template = {.system = "You serve {{role}} on {{model}}.", .user = "say:<{{text}}>"};
  const auto set = make_set({options});
  TestServer server({.plugins = set.get()});
  EXPECT_TRUE(holds(server.ask("hello"), R"("content":"<hello>")"));
  const std::vector<int32_t> prompt = server.engine.last_request().prompt;
  const std::string text(prompt.begin(), prompt.end());
  EXPECT_EQ(text, "[system]You serve user on fake.[user]say:<hello>");
  server.call("POST", "/v1/chat/completions",
              R"({"messages":[{"role":"system","content":"Mine."},{"role":"user","content":"a"}]})");
  const std::vector<int32_t> second = server.engine.last_request().prompt;
  EXPECT_EQ(std::string(second.begin(), second.end()), "[system]You serve user on fake.\n\nMine.[user]say:<a>");
}

TEST(TemplateServer, refuses_templates_that_cannot_be_meant) {
  PluginOptions options;
  options.name = "house";
  options.type = PluginType::kTemplate;
  options.prompt_template = {.system = "{{nmae}}", .user = ""};
  EXPECT_EQ(PluginSet::create({options}).error().message,
            "plugin 'house': system: unknown variable 'nmae'; there are text, date, model, route, identity, role");
  options.prompt_template = {.system = "", .user = "nothing"};
  EXPECT_NE(PluginSet::create({options}).error().message.find("lacks {{text}}"), std::string::npos);
}

class LuaServer : public WordsServer {
 protected:
  PluginOptions script(const std::string& source) {
    PluginOptions options;
    options.name = "script";
    options.type = PluginType::kLua;
    options.lua.file = list("script.lua", source);
    options.timeout = std::chrono::milliseconds(5000);
    return options;
  }
};

TEST_F(LuaServer, works_on_streams_in_order_beside_the_other_plugins) {
  const auto set = make_set({script("function postprocess(text) return text:upper() end"), words({Stage::kAnswer})});
  TestServer server({.plugins = set.get()});
  const std::string prompt = "say:think</think>one secret plan and two 敏感词 more";
  const std::string thinking = R"("thinking":{"type":"enabled"})";
  const TestReply whole = server.ask(prompt, thinking);
  EXPECT_TRUE(holds(whole, R"("content":"ONE *********** AND TWO *** MORE")")) << whole.body;
  EXPECT_TRUE(holds(whole, R"("reasoning_content":"THINK")")) << whole.body;
  const TestReply stream = server.ask(prompt, thinking + R"(,"stream":true)");
  EXPECT_EQ(joined(stream, "content"), "ONE *********** AND TWO *** MORE") << stream.body;
  EXPECT_EQ(joined(stream, "reasoning_content"), "THINK");
  EXPECT_TRUE(stream.body.ends_with("data: [DONE]\n\n"));
}

TEST_F(LuaServer, many_streams_at_once_keep_apart) {
  const auto set =
      make_set({words({Stage::kAnswer}), script("local n = 0\nfunction postprocess(text, info)\n"
                                                "  n = n + #text\n  return info.last and text .. n or text\nend")});
  TestServer server({.plugins = set.get()});
  std::vector<std::thread> clients;
  for (int i = 0; i < 12; ++i) {
    clients.emplace_back([&server, i] {
      const std::string word = std::string(static_cast<size_t>(i) + 1, static_cast<char>('a' + i));
      const TestReply reply = server.ask("say:" + word + " 敏感词", R"("stream":true,"n":2)");
      std::string expected = word + " ***";
      EXPECT_EQ(reply.status, 200);
      const std::string text = joined(reply, "content");
      EXPECT_EQ(std::ranges::count(text, '*'), 6) << text;
      // Both choices in one script: the last one to end counts the letters of both.
      EXPECT_NE(text.find(std::to_string(2 * expected.size())), std::string::npos) << text;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(server.all_released());
}

TEST_F(LuaServer, a_failure_refuses_or_is_skipped) {
  PluginOptions options = script("function postprocess(text) if text == 'x' then error('no x') end return text end");
  {
    const auto set = make_set({options});
    TestServer server({.plugins = set.get()});
    const TestReply reply = server.ask("say:abxcd");
    EXPECT_EQ(reply.status, 503);
    EXPECT_TRUE(holds(reply, R"("code":"plugin_failed")")) << reply.body;
    const TestReply stream = server.ask("say:abxcd", R"("stream":true)");
    EXPECT_TRUE(holds(stream, R"("code":"plugin_failed")")) << stream.body;
    EXPECT_EQ(joined(stream, "content"), "ab");
    EXPECT_TRUE(server.all_released());
    EXPECT_TRUE(
        holds(server.call("GET", "/metrics"), R"(cove_plugin_actions_total{plugin="script",action="failed"} 2)"));
  }
  options.on_error = plugins::OnError::kSkip;
  const auto set = make_set({options});
  TestServer server({.plugins = set.get()});
  EXPECT_EQ(joined(server.ask("say:abxcd", R"("stream":true)"), "content"), "abxcd");
}

TEST_F(LuaServer, refuses_prompts) {
  const auto set = make_set({script("function preprocess(input) return #input.texts[1].text < 10, 'too long' end")});
  TestServer server({.plugins = set.get()});
  EXPECT_EQ(server.ask("say:short").status, 200);
  const TestReply reply = server.ask("say:much longer");
  EXPECT_EQ(reply.status, 400);
  EXPECT_TRUE(holds(reply, "too long (plugin 'script')")) << reply.body;
}

TEST_F(LuaServer, clients_that_leave_stop_the_work) {
  const auto set = make_set({script("function postprocess(text) for i = 1, 10000 do end return text end")});
  TestServer server({.plugins = set.get()});
  for (int i = 0; i < 10; ++i) {
    testing::TestClient client(server.port());
    client.send(server.request_text("POST", "/v1/chat/completions", TestServer::chat("forever", R"("stream":true)")));
    EXPECT_TRUE(client.receive_until("content"));
  }
  EXPECT_TRUE(server.all_released());
}

TEST(MaskServer, the_model_never_sees_the_number_but_the_user_does) {
  PluginOptions options;
  options.name = "pii";
  options.type = PluginType::kMask;
  options.mask = {.kinds = {"mobile", "id"}, .style = plugins::MaskStyle::kPlaceholder, .restore = true};
  const auto set = make_set({options});
  TestServer server({.plugins = set.get()});
  // The fake engine says what the prompt holds: the placeholder, one byte a token.
  for (const char* more : {"", R"("stream":true)"}) {
    const TestReply reply = server.ask("say:call 138-1234-5678 now, not 13912345678", more);
    const std::string text = *more == '\0' ? reply.body : joined(reply, "content");
    EXPECT_NE(text.find("call 138-1234-5678 now, not 13912345678"), std::string::npos) << reply.body;
    const std::vector<int32_t> prompt = server.engine.last_request().prompt;
    EXPECT_EQ(std::string(prompt.begin(), prompt.end()), "[user]say:call [MOBILE_1] now, not [MOBILE_2]");
  }
}

}  // namespace
}  // namespace cove::server

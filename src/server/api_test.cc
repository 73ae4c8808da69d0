// The API through a real socket over the fake engine: shapes, refusals, streams.
#include <future>

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/json.h"
#include "server/testing/test_server.h"

namespace cove::server {
namespace {

using testing::TestClient;
using testing::TestReply;
using testing::TestServer;
using testing::TestServerOptions;

json::value parse(const std::string& text) {
  auto value = parse_json(text);
  EXPECT_TRUE(value) << text;
  return value ? *value : json::value(nullptr);
}

// The events of a stream, [DONE] checked and left out.
std::vector<json::value> events(const std::string& body) {
  std::vector<json::value> out;
  EXPECT_TRUE(body.ends_with("data: [DONE]\n\n")) << body;
  for (size_t at = 0; at < body.size();) {
    const size_t end = body.find("\n\n", at);
    const std::string line = body.substr(at, end - at);
    at = end + 2;
    if (line.starts_with("data: {")) out.push_back(parse(line.substr(6)));
  }
  return out;
}

std::string text_of(const json::value& value) { return std::string(value.as_string()); }

// The deltas' texts of one choice, joined.
std::string joined(const std::vector<json::value>& chunks, std::string_view field, int64_t index = 0) {
  std::string out;
  for (const json::value& chunk : chunks) {
    for (const json::value& choice : chunk.at("choices").as_array()) {
      if (choice.at("index").as_int64() != index) continue;
      const json::value* piece = find_member(choice.at("delta"), field);
      if (piece != nullptr && piece->is_string()) out += std::string(piece->get_string());
    }
  }
  return out;
}

void expect_error(const TestReply& reply, int status, std::string_view code, std::string_view param) {
  EXPECT_EQ(reply.status, status) << reply.body;
  const json::value body = parse(reply.body);
  const json::object& error = body.at("error").as_object();
  EXPECT_EQ(error.size(), 4U);
  EXPECT_FALSE(error.at("message").as_string().empty());
  EXPECT_TRUE(error.at("type").is_string());
  EXPECT_EQ(text_of(error.at("code")), code) << reply.body;
  if (param.empty()) {
    EXPECT_TRUE(error.at("param").is_null()) << reply.body;
  } else {
    EXPECT_EQ(text_of(error.at("param")), param) << reply.body;
  }
}

TEST(Chat, a_whole_answer_has_every_field) {
  TestServer server;
  const TestReply reply = server.ask("say:hello");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_NE(reply.head.find("x-request-id: req_"), std::string::npos);
  const json::value body = parse(reply.body);
  EXPECT_TRUE(text_of(body.at("id")).starts_with("chatcmpl-"));
  EXPECT_EQ(text_of(body.at("object")), "chat.completion");
  EXPECT_EQ(text_of(body.at("model")), "fake");
  const json::value& choice = body.at("choices").at(0);
  EXPECT_EQ(text_of(choice.at("message").at("content")), "hello");
  EXPECT_EQ(text_of(choice.at("finish_reason")), "stop");
  EXPECT_TRUE(choice.at("logprobs").is_null());
  const json::value& usage = body.at("usage");
  EXPECT_EQ(usage.at("completion_tokens").as_int64(), 5);
  EXPECT_EQ(usage.at("total_tokens").as_int64(), usage.at("prompt_tokens").as_int64() + 5);
  EXPECT_EQ(usage.at("prompt_tokens_details").at("cached_tokens").as_int64(), 0);
  EXPECT_EQ(usage.at("completion_tokens_details").at("reasoning_tokens").as_int64(), 0);
  EXPECT_EQ(usage.at("prompt_cache_hit_tokens").as_int64(), 0);
  EXPECT_EQ(usage.at("prompt_cache_miss_tokens").as_int64(), usage.at("prompt_tokens").as_int64());
}

TEST(Chat, a_stream_follows_the_chunk_rules) {
  TestServer server;
  const TestReply reply = server.ask("say:hello", R"("stream":true)");
  EXPECT_NE(reply.head.find("Content-Type: text/event-stream"), std::string::npos);
  const auto chunks = events(reply.body);
  ASSERT_GE(chunks.size(), 3U);
  for (const json::value& chunk : chunks) {
    EXPECT_EQ(chunk.at("id"), chunks[0].at("id"));
    EXPECT_EQ(chunk.at("created"), chunks[0].at("created"));
    EXPECT_EQ(find_member(chunk, "usage"), nullptr);
    EXPECT_EQ(chunk.at("choices").at(0).at("finish_reason").is_null(), &chunk != &chunks.back());
  }
  EXPECT_EQ(text_of(chunks[0].at("choices").at(0).at("delta").at("role")), "assistant");
  EXPECT_EQ(joined(chunks, "content"), "hello");
}

TEST(Chat, usage_comes_as_the_last_chunk_when_asked_for) {
  TestServer server;
  const auto chunks = events(server.ask("say:hello", R"("stream":true,"stream_options":{"include_usage":true})").body);
  EXPECT_TRUE(chunks.back().at("choices").as_array().empty());
  EXPECT_EQ(chunks.back().at("usage").at("completion_tokens").as_int64(), 5);
  for (size_t i = 0; i + 1 < chunks.size(); ++i) EXPECT_TRUE(chunks[i].at("usage").is_null());
  expect_error(server.ask("say:x", R"("stream_options":{"include_usage":true})"), 400, "invalid_value",
               "stream_options");
}

TEST(Chat, reasoning_and_content_come_apart_and_streams_equal_whole_answers) {
  TestServer server;
  const std::string content = "say:I think\\n so</think>\\n\\nyes \\u597d</think> ok";
  const std::string thinking = R"("thinking":{"type":"enabled"})";
  const json::value whole = parse(server.ask(content, thinking).body);
  const json::value& message = whole.at("choices").at(0).at("message");
  EXPECT_EQ(text_of(message.at("reasoning_content")), "I think\n so");
  EXPECT_EQ(text_of(message.at("content")), "yes 好</think> ok");
  EXPECT_EQ(find_member(message, "reasoning"), nullptr);
  EXPECT_EQ(whole.at("usage").at("completion_tokens_details").at("reasoning_tokens").as_int64(), 12);
  const auto chunks = events(server.ask(content, thinking + R"(,"stream":true,"reasoning_alias":true)").body);
  EXPECT_EQ(joined(chunks, "reasoning_content"), "I think\n so");
  EXPECT_EQ(joined(chunks, "reasoning"), "I think\n so");
  EXPECT_EQ(joined(chunks, "content"), "yes 好</think> ok");
  for (const json::value& chunk : chunks) {
    const json::value& delta = chunk.at("choices").at(0).at("delta");
    EXPECT_FALSE(find_member(delta, "content") != nullptr && find_member(delta, "reasoning_content") != nullptr);
  }
  const auto hidden = events(server.ask(content, thinking + R"(,"stream":true,"include_reasoning":false)").body);
  EXPECT_EQ(joined(hidden, "reasoning_content"), "");
  EXPECT_EQ(joined(hidden, "content"), "yes 好</think> ok");
}

TEST(Chat, thinking_budgets_reach_the_engine) {
  TestServer server;
  const auto budget = [&](std::string_view more) {
    const TestReply reply = server.ask("say:x", more);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return server.engine.last_request().thinking ? server.engine.last_request().thinking->tokens : -1;
  };
  EXPECT_EQ(budget(R"("thinking":{"type":"enabled","budget_tokens":7})"), 7);
  EXPECT_EQ(budget(R"("chat_template_kwargs":{"thinking":true},"thinking_budget":9)"), 9);
  EXPECT_EQ(budget(R"("chat_template_kwargs":{"thinking":true},"reasoning_effort":"low")"), 1024);
  EXPECT_EQ(budget(R"("chat_template_kwargs":{"thinking":true},"reasoning_effort":"high")"), -1);
  EXPECT_EQ(budget(R"("chat_template_kwargs":{"thinking":true},"reasoning_effort":"none")"), 0);
  EXPECT_EQ(budget(R"("reasoning_effort":"low")"), -1)
      << "a wish that a model without thinking cannot fulfil is dropped";
  expect_error(server.ask("say:x", R"("thinking_budget":5)"), 400, "unsupported_parameter", "thinking_budget");
  EXPECT_EQ(server.engine.last_request().sampling.temperature, 0.6F);
  EXPECT_EQ(server.engine.last_request().sampling.top_p, 0.95F);
}

TEST(Chat, several_choices_have_their_own_index_and_seed) {
  TestServer server;
  const json::value whole = parse(server.ask("say:ab", R"("n":3,"seed":5)").body);
  ASSERT_EQ(whole.at("choices").as_array().size(), 3U);
  EXPECT_EQ(whole.at("choices").at(2).at("index").as_int64(), 2);
  EXPECT_EQ(server.engine.last_request().sampling.seed, 7U);
  EXPECT_EQ(whole.at("usage").at("completion_tokens").as_int64(), 6);
  const auto chunks = events(server.ask("say:ab", R"("n":3,"stream":true)").body);
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(joined(chunks, "content", i), "ab");
}

TEST(Chat, log_probabilities_match_the_content) {
  TestServer server;
  const json::value whole =
      parse(server.ask("say:a</think>bc", R"("logprobs":true,"top_logprobs":2,"thinking":{"type":"enabled"})").body);
  const json::value& logprobs = whole.at("choices").at(0).at("logprobs");
  std::string content;
  for (const json::value& token : logprobs.at("content").as_array()) {
    content += text_of(token.at("token"));
    EXPECT_EQ(token.at("top_logprobs").as_array().size(), 2U);
    EXPECT_EQ(token.at("bytes").as_array().size(), 1U);
  }
  EXPECT_EQ(content, "bc");
  EXPECT_EQ(logprobs.at("reasoning_content").as_array().size(), 2U);
  const auto chunks = events(server.ask("say:abc", R"("logprobs":true,"stream":true)").body);
  std::string streamed;
  for (const json::value& chunk : chunks) {
    const json::value& lists = chunk.at("choices").at(0).at("logprobs");
    if (lists.is_null()) continue;
    for (const json::value& token : lists.at("content").as_array()) streamed += text_of(token.at("token"));
  }
  EXPECT_EQ(streamed, "abc");
}

TEST(Chat, tool_calls_come_out_of_the_text) {
  TestServer server;
  const std::string tools =
      R"("tools":[{"type":"function","function":{"name":"calc","parameters":{"type":"object"}}}])";
  const std::string say = R"(say:<tool_call>{\"name\": \"calc\", \"arguments\": {\"x\": 1}}</tool_call>)";
  const json::value whole = parse(server.ask(say, tools).body);
  const json::value& choice = whole.at("choices").at(0);
  EXPECT_EQ(text_of(choice.at("finish_reason")), "tool_calls");
  EXPECT_TRUE(choice.at("message").at("content").is_null());
  const json::value& call = choice.at("message").at("tool_calls").at(0);
  EXPECT_EQ(text_of(call.at("type")), "function");
  EXPECT_TRUE(text_of(call.at("id")).starts_with("call_"));
  EXPECT_EQ(text_of(call.at("function").at("name")), "calc");
  EXPECT_EQ(text_of(call.at("function").at("arguments")), R"({"x": 1})");
  const auto chunks = events(server.ask(say, tools + R"(,"stream":true)").body);
  EXPECT_EQ(text_of(chunks.back().at("choices").at(0).at("finish_reason")), "tool_calls");
  EXPECT_EQ(joined(chunks, "content"), "");
  EXPECT_NE(server.ask(say).body.find("<tool_call>"), std::string::npos) << "without tools it is text";
}

TEST(Chat, accepts_what_sdks_send_along) {
  TestServer server;
  EXPECT_EQ(server
                .ask("say:x",
                     R"("user":"u","metadata":{"a":"b"},"store":false,"service_tier":"auto","parallel_tool_calls":true,
                     "temperature":null,"stop":null,"tools":[],"response_format":{"type":"text"},"modalities":["text"],"model":"alias",
                     "logit_bias":{"5":-100},"unknown_field":{"x":[1]},"max_completion_tokens":10,"top_k":-1,"verbosity":"low")")
                .status,
            200);
  EXPECT_EQ(
      server
          .call(
              "POST", "/v1/chat/completions",
              R"({"messages":[{"role":"developer","content":"d"},{"role":"user","content":[{"type":"text","text":"a"}]},
                      {"role":"assistant","content":"b","reasoning_content":"r","refusal":null,"tool_calls":null},
                      {"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},
                      {"role":"tool","tool_call_id":"1","content":"5"},{"role":"user","name":"bob","content":"say:x"}]})")
          .status,
      200);
}

TEST(Chat, earlier_reasoning_does_not_reach_the_prompt) {
  TestServer server;
  server.call(
      "POST", "/v1/chat/completions",
      R"({"messages":[{"role":"assistant","content":"<think>secret</think>\n\nopen","reasoning_content":"hidden"},
                              {"role":"user","content":"say:x"}]})");
  std::string prompt;
  const auto ids = server.engine.last_request().prompt;
  for (const int32_t id : ids) prompt += server.engine.tokenizer().token_bytes(id);
  EXPECT_EQ(prompt, "[assistant]open[user]say:x");
}

struct BadRequest {
  const char* more;
  const char* code;
  const char* param;
};

// Tells the case when it fails.
void PrintTo(const BadRequest& bad, std::ostream* out) { *out << bad.code << ' ' << bad.param; }

class ChatRefuses : public ::testing::TestWithParam<BadRequest> {};

TEST_P(ChatRefuses, names_the_parameter) {
  static TestServer server;
  expect_error(server.ask("say:x", GetParam().more), 400, GetParam().code, GetParam().param);
}

INSTANTIATE_TEST_SUITE_P(
    Parameters, ChatRefuses,
    ::testing::Values(
        BadRequest{R"("temperature":2.1)", "invalid_value", "temperature"},
        BadRequest{R"("temperature":-1)", "invalid_value", "temperature"},
        BadRequest{R"("temperature":"hot")", "invalid_type", "temperature"},
        BadRequest{R"("top_p":0)", "invalid_value", "top_p"}, BadRequest{R"("top_p":1.5)", "invalid_value", "top_p"},
        BadRequest{R"("top_k":-2)", "invalid_value", "top_k"}, BadRequest{R"("min_p":2)", "invalid_value", "min_p"},
        BadRequest{R"("n":0)", "invalid_value", "n"}, BadRequest{R"("n":1000)", "invalid_value", "n"},
        BadRequest{R"("n":1.5)", "invalid_type", "n"}, BadRequest{R"("max_tokens":0)", "invalid_value", "max_tokens"},
        BadRequest{R"("max_tokens":"9")", "invalid_type", "max_tokens"},
        BadRequest{R"("max_completion_tokens":-1)", "invalid_value", "max_completion_tokens"},
        BadRequest{R"("max_tokens":5000)", "context_length_exceeded", "messages"},
        BadRequest{R"("presence_penalty":3)", "invalid_value", "presence_penalty"},
        BadRequest{R"("frequency_penalty":-3)", "invalid_value", "frequency_penalty"},
        BadRequest{R"("repetition_penalty":0)", "invalid_value", "repetition_penalty"},
        BadRequest{R"("top_logprobs":3)", "invalid_value", "top_logprobs"},
        BadRequest{R"("logprobs":true,"top_logprobs":21)", "invalid_value", "top_logprobs"},
        BadRequest{R"("logprobs":1)", "invalid_type", "logprobs"}, BadRequest{R"("stop":5)", "invalid_type", "stop"},
        BadRequest{R"("stop":[""])", "invalid_value", "stop"}, BadRequest{R"("stop":["a",1])", "invalid_type", "stop"},
        BadRequest{R"("seed":"x")", "invalid_type", "seed"},
        BadRequest{R"("logit_bias":{"x":1})", "invalid_value", "logit_bias"},
        BadRequest{R"("logit_bias":{"1":101})", "invalid_value", "logit_bias"},
        BadRequest{R"("logit_bias":{"99999":1})", "invalid_value", "logit_bias"},
        BadRequest{R"("logit_bias":[])", "invalid_type", "logit_bias"},
        BadRequest{R"("stream":"yes")", "invalid_type", "stream"}, BadRequest{R"("model":7)", "invalid_type", "model"},
        BadRequest{R"("tools":{})", "invalid_type", "tools"},
        BadRequest{R"("tools":[{"type":"function"}])", "missing_required_parameter", "tools[0].function"},
        BadRequest{R"("tools":[{"type":"function","function":{"name":"a b"}}])", "invalid_value",
                   "tools[0].function.name"},
        BadRequest{R"("tool_choice":"required")", "invalid_value", "tool_choice"},
        BadRequest{R"("tool_choice":{"type":"function","function":{"name":"f"}})", "invalid_value", "tool_choice"},
        BadRequest{R"("tool_choice":{"type":"function"})", "missing_required_parameter", "tool_choice.function.name"},
        BadRequest{R"("tool_choice":"maybe")", "invalid_value", "tool_choice"},
        BadRequest{R"("response_format":{"type":"json_schema"})", "missing_required_parameter",
                   "response_format.json_schema.schema"},
        BadRequest{R"("response_format":{"type":"json_schema","json_schema":{"schema":{"not":{}}}})", "invalid_value",
                   "response_format.json_schema.schema"},
        BadRequest{R"("response_format":{"type":"json_object"},"guided_regex":"a")", "invalid_value", "guided_regex"},
        BadRequest{R"("guided_regex":"(a")", "invalid_value", "guided_regex"},
        BadRequest{R"("guided_choice":[1])", "invalid_type", "guided_choice"},
        BadRequest{R"("guided_grammar":"root ::= x")", "unsupported_parameter", "guided_grammar"},
        BadRequest{R"("response_format":{"type":"xml"})", "invalid_value", "response_format"},
        BadRequest{R"("response_format":"json")", "invalid_type", "response_format"},
        BadRequest{R"("reasoning_effort":"huge")", "invalid_value", "reasoning_effort"},
        BadRequest{R"("thinking":{"type":"maybe"})", "invalid_value", "thinking.type"},
        BadRequest{R"("thinking":{"budget_tokens":-1})", "invalid_value", "thinking.budget_tokens"},
        BadRequest{R"("functions":[{"name":"f"}])", "unsupported_parameter", "functions"},
        BadRequest{R"("modalities":["audio"])", "unsupported_parameter", "modalities"},
        BadRequest{R"("stop_token_ids":["a"])", "invalid_value", "stop_token_ids"}));

class BodyRefuses : public ::testing::TestWithParam<BadRequest> {};

TEST_P(BodyRefuses, names_what_is_wrong) {
  static TestServer server;
  expect_error(server.call("POST", "/v1/chat/completions", GetParam().more), 400, GetParam().code, GetParam().param);
}

INSTANTIATE_TEST_SUITE_P(
    Bodies, BodyRefuses,
    ::testing::Values(
        BadRequest{"{", "invalid_json", ""}, BadRequest{" ", "invalid_json", ""}, BadRequest{"[]", "invalid_json", ""},
        BadRequest{"{\"messages\":[{\"role\":\"user\",\"content\":\"\xFF\"}]}", "invalid_json", ""},
        BadRequest{R"({"messages":[{"role":"user","content":"\ud800"}]})", "invalid_json", ""},
        BadRequest{"{}", "missing_required_parameter", "messages"},
        BadRequest{R"({"messages":[]})", "invalid_value", "messages"},
        BadRequest{R"({"messages":"hi"})", "invalid_type", "messages"},
        BadRequest{R"({"messages":[1]})", "invalid_type", "messages[0]"},
        BadRequest{R"({"messages":[{"content":"x"}]})", "missing_required_parameter", "messages[0].role"},
        BadRequest{R"({"messages":[{"role":"wizard","content":"x"}]})", "invalid_value", "messages[0].role"},
        BadRequest{R"({"messages":[{"role":"user"}]})", "missing_required_parameter", "messages[0].content"},
        BadRequest{R"({"messages":[{"role":"user","content":5}]})", "invalid_type", "messages[0].content"},
        BadRequest{R"({"messages":[{"role":"assistant"}]})", "missing_required_parameter", "messages[0].content"},
        BadRequest{R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]})",
                   "unsupported_parameter", "messages[0].content[0].type"},
        BadRequest{R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})", "missing_required_parameter",
                   "messages[0].content[0].text"},
        BadRequest{R"({"messages":[{"role":"user","content":"refuse me"}]})", "invalid_prompt", "messages"}));

TEST(Chat, unknown_models_and_long_prompts_are_refused_with_numbers) {
  TestServer server;
  expect_error(server.ask("say:x", R"("model":"gpt-4")"), 404, "model_not_found", "model");
  const TestReply reply = server.ask(std::string(2000, 'a'));
  expect_error(reply, 400, "context_length_exceeded", "messages");
  EXPECT_NE(reply.body.find("maximum context length is 1000 tokens"), std::string::npos);
  EXPECT_NE(reply.body.find("2006"), std::string::npos) << "the prompt's own length is named";
}

TEST(Chat, engine_trouble_becomes_a_status_or_an_error_event) {
  TestServer server;
  expect_error(server.ask("fail"), 500, "internal_error", "");
  const TestReply streamed = server.ask("fail", R"("stream":true)");
  EXPECT_EQ(streamed.status, 200);
  EXPECT_NE(streamed.body.find(R"(data: {"error":{"message":"the device failed")"), std::string::npos) << streamed.body;
  EXPECT_TRUE(streamed.body.ends_with("data: [DONE]\n\n"));
  server.engine.queue_max = 0;
  const TestReply full = server.ask("say:x");
  expect_error(full, 429, "queue_full", "");
  EXPECT_NE(full.head.find("Retry-After: 1"), std::string::npos);
}

TEST(Chat, a_failed_choice_takes_its_siblings_along) {
  TestServer server;
  server.engine.queue_max = 2;
  EXPECT_EQ(server.ask("forever", R"("n":3)").status, 429);
  EXPECT_TRUE(server.all_released());
}

TEST(Completions, every_kind_of_prompt_works) {
  TestServer server;
  const auto text = [&](std::string_view body) {
    const TestReply reply = server.call("POST", "/v1/completions", body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    std::string out;
    const json::value value = parse(reply.body);
    for (const json::value& choice : value.at("choices").as_array()) out += text_of(choice.at("text")) + "|";
    return out;
  };
  EXPECT_EQ(text(R"({"prompt":"say:abc"})"), "abc|");
  EXPECT_EQ(text(R"({"prompt":["say:a","say:b"],"n":2})"), "a|a|b|b|");
  EXPECT_EQ(text(R"({"prompt":[115,97,121,58,104,105]})"), "hi|");
  EXPECT_EQ(text(R"({"prompt":[[115,97,121,58,104],[115,97,121,58,105]]})"), "h|i|");
  EXPECT_EQ(text(R"({"prompt":"forever"})"), std::string(16, 'x') + "|") << "16 tokens unless asked otherwise";
}

TEST(Completions, stream_logprobs_and_usage) {
  TestServer server;
  const TestReply reply =
      server.call("POST", "/v1/completions",
                  R"({"prompt":"say:hi","stream":true,"logprobs":1,"stream_options":{"include_usage":true}})");
  const auto chunks = events(reply.body);
  std::string text;
  std::string tokens;
  for (const json::value& chunk : chunks) {
    for (const json::value& choice : chunk.at("choices").as_array()) {
      text += text_of(choice.at("text"));
      if (choice.at("logprobs").is_null()) continue;
      for (const json::value& token : choice.at("logprobs").at("tokens").as_array()) tokens += text_of(token);
    }
  }
  EXPECT_EQ(text, "hi");
  EXPECT_EQ(tokens, "hi");
  EXPECT_EQ(chunks.back().at("usage").at("completion_tokens").as_int64(), 2);
}

TEST(Completions, refuses_what_it_cannot_do) {
  TestServer server;
  const auto refused = [&](std::string_view body, std::string_view code, std::string_view param) {
    expect_error(server.call("POST", "/v1/completions", body), 400, code, param);
  };
  refused(R"({})", "missing_required_parameter", "prompt");
  refused(R"({"prompt":5})", "invalid_type", "prompt");
  refused(R"({"prompt":[]})", "invalid_value", "prompt");
  refused(R"({"prompt":[1,-2]})", "invalid_type", "prompt");
  refused(R"({"prompt":""})", "invalid_value", "prompt");
  refused(R"({"prompt":"a","echo":true})", "unsupported_parameter", "echo");
  refused(R"({"prompt":"a","suffix":"b"})", "unsupported_parameter", "suffix");
  refused(R"({"prompt":"a","best_of":3})", "unsupported_parameter", "best_of");
}

TEST(Models, lists_and_finds_the_served_model) {
  TestServer server;
  EXPECT_EQ(text_of(parse(server.call("GET", "/v1/models").body).at("data").at(0).at("id")), "fake");
  EXPECT_EQ(text_of(parse(server.call("GET", "/v1/models/fake").body).at("id")), "fake");
  expect_error(server.call("GET", "/v1/models/other%2Fmodel"), 404, "model_not_found", "model");
}

TEST(Health, tells_loading_ready_and_draining) {
  TestServer server({.http = {}, .with_model = false});
  EXPECT_EQ(server.call("GET", "/livez").status, 200);
  EXPECT_EQ(server.call("GET", "/readyz").status, 503);
  TestReply health = server.call("GET", "/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(text_of(parse(health.body).at("status")), "loading");
  expect_error(server.ask("say:x"), 503, "loading", "");
  server.set_model();
  EXPECT_EQ(server.call("GET", "/readyz").status, 200);
  health = server.call("GET", "/health");
  EXPECT_EQ(health.status, 200);
  EXPECT_EQ(text_of(parse(health.body).at("model")), "fake");
  server.gateway->drain();
  EXPECT_EQ(server.call("GET", "/readyz").status, 503);
  const TestReply refused = server.ask("say:x");
  expect_error(refused, 503, "draining", "");
  EXPECT_NE(refused.head.find("Retry-After"), std::string::npos);
}

TEST(Health, tells_that_the_device_failed_and_answers_everybody) {
  TestServer server;
  auto running = std::async(std::launch::async, [&] { return server.ask("silent"); });
  ASSERT_TRUE(testing::eventually([&] { return server.engine.live() == 1; }));
  server.engine.fail_device();
  expect_error(running.get(), 500, "internal_error", "");
  EXPECT_EQ(server.call("GET", "/readyz").status, 503);
  EXPECT_EQ(server.call("GET", "/livez").status, 200) << "the process answers, it can do no work";
  const TestReply health = server.call("GET", "/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(text_of(parse(health.body).at("status")), "failed");
  expect_error(server.ask("say:x"), 503, "unavailable", "");
}

TEST(Metrics, count_requests_and_tokens) {
  TestServer server;
  server.ask("say:hello");
  server.ask("say:x", R"("temperature":9)");
  EXPECT_TRUE(server.all_released());
  const std::string text = server.call("GET", "/metrics").body;
  EXPECT_NE(text.find("cove_requests_total{route=\"/v1/chat/completions\",status=\"200\"} 1\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("cove_requests_total{route=\"/v1/chat/completions\",status=\"400\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("cove_time_to_first_token_seconds_count 1\n"), std::string::npos);
  EXPECT_NE(text.find("cove_generations_total{finished_reason=\"stop\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("cove_kv_pages_used 0\n"), std::string::npos);
  EXPECT_EQ(text.find("vllm:"), std::string::npos);
}

TEST(Auth, only_the_documented_routes_are_public) {
  std::vector<std::string> open;
  for (const Route& route : routes()) {
    if (route.access == Access::kPublic) open.emplace_back(route.path);
  }
  EXPECT_EQ(open, (std::vector<std::string>{"/livez", "/readyz", "/health", "/login", "/login", "/token",
                                            "/.well-known/jwks.json", "/static/{id}"}));
}

TEST(Auth, revoked_keys_stop_working_at_once) {
  TestServer server;
  EXPECT_EQ(server.call("GET", "/v1/models").status, 200);
  ASSERT_TRUE(server.keys->revoke("user", 5));
  const TestReply refused = server.call("GET", "/v1/models");
  expect_error(refused, 401, "invalid_api_key", "");
  expect_error({.status = 401, .head = {}, .body = refused.body}, 401, "invalid_api_key", "");
}

TEST(Auth, the_one_time_link_signs_in_once_and_the_cookie_works_from_the_same_site_only) {
  TestServer server;
  const std::string code =
      server.sessions.create_code({.key_id = 1, .id = "key:1", .name = "admin", .role = auth::Role::kAdmin});
  const auto get = [&](const std::string& path, const std::string& extra, const std::string& method = "GET",
                       const std::string& body = {}) {
    TestClient client(server.port());
    client.send(method + " " + path + " HTTP/1.1\r\nHost: here:1\r\n" + extra +
                "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return client.reply();
  };
  TestClient head(server.port());
  head.send("HEAD /login?code=" + code + " HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(head.at_end());
  const TestReply first = get("/login?code=" + code, "");
  EXPECT_EQ(first.status, 200);
  const size_t at = first.head.find("Set-Cookie: cove_session=");
  ASSERT_NE(at, std::string::npos);
  EXPECT_NE(first.head.find("HttpOnly; SameSite=Strict"), std::string::npos);
  const std::string value = first.head.substr(at + 12, first.head.find(';', at) - at - 12);
  EXPECT_EQ(get("/login?code=" + code, "").status, 401) << "used up";
  const std::string cookie = "Cookie: " + value + "\r\n";
  EXPECT_EQ(get("/", cookie).status, 200);
  EXPECT_NE(get("/", cookie).head.find("Content-Security-Policy"), std::string::npos);
  const std::string ask = TestServer::chat("say:x");
  EXPECT_EQ(get("/v1/chat/completions", cookie, "POST", ask).status, 200);
  EXPECT_EQ(get("/v1/chat/completions", cookie + "Origin: http://here:1\r\n", "POST", ask).status, 200);
  EXPECT_EQ(get("/v1/chat/completions", cookie + "Origin: http://evil:1\r\n", "POST", ask).status, 403);
  EXPECT_EQ(get("/v1/chat/completions", cookie + "Sec-Fetch-Site: cross-site\r\n", "POST", ask).status, 403);
  EXPECT_EQ(get("/logout", cookie, "POST").status, 303);
  EXPECT_EQ(get("/v1/models", cookie).status, 401);
}

TEST(Auth, a_key_signs_in_through_the_form) {
  TestServer server;
  const auto post = [&](const std::string& key, const std::string& extra) {
    TestClient client(server.port());
    const std::string body = "key=" + key;
    client.send("POST /login HTTP/1.1\r\nHost: here:1\r\n" + extra +
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\n\r\n" + body);
    return client.reply();
  };
  EXPECT_EQ(post("wrong", "").status, 401);
  EXPECT_NE(post(server.user_key, "").head.find("Set-Cookie: cove_session="), std::string::npos);
  EXPECT_EQ(post(server.user_key, "Origin: http://evil\r\n").status, 403);
}

TEST(Auth, an_open_server_answers_to_this_machine_only) {
  TestServer server({.http = {}, .auth = AuthMode::kOff});
  const auto status = [&](const std::string& head) {
    TestClient client(server.port());
    client.send("GET /v1/models HTTP/1.1\r\n" + head + "\r\n");
    return client.reply().status;
  };
  EXPECT_EQ(status("Host: 127.0.0.1:8080\r\n"), 200);
  EXPECT_EQ(status("Host: localhost:8080\r\nOrigin: http://localhost:8080\r\n"), 200);
  EXPECT_EQ(status("Host: [::1]:8080\r\n"), 200);
  EXPECT_EQ(status("Host: evil.example\r\n"), 403) << "a foreign name that resolves to 127.0.0.1";
  EXPECT_EQ(status("Host: 127.0.0.1:8080\r\nOrigin: http://evil.example\r\n"), 403);
}

TEST(Requests, ids_are_kept_when_harmless_and_made_otherwise) {
  TestServer server;
  EXPECT_NE(server.call("GET", "/livez", {}, "X-Request-Id: my-id_1\r\n").head.find("x-request-id: my-id_1\r\n"),
            std::string::npos);
  EXPECT_NE(server.call("GET", "/livez", {}, "X-Request-Id: a b\"c\r\n").head.find("x-request-id: req_"),
            std::string::npos);
  EXPECT_NE(server.call("GET", "/nothing").head.find("x-request-id: req_"), std::string::npos);
}

TEST(Requests, bodies_must_be_declared_as_json) {
  TestServer server;
  TestClient client(server.port());
  client.send("POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer " + server.user_key +
              "\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}");
  expect_error(client.reply(), 415, "unsupported_media_type", "");
}

}  // namespace
}  // namespace cove::server

// Real shared objects: the examples of docs/examples/plugins and two that misbehave, built beside this test.
#include <thread>

#include <gtest/gtest.h>

#include "services/plugins/native/timed_calls.h"
#include "services/plugins/plugin_set.h"

namespace cove::plugins {
namespace {

using std::chrono::milliseconds;

PluginOptions options_of(const std::string& file, std::string settings = {}) {
  PluginOptions options;
  options.name = "native";
  options.type = PluginType::kSharedObject;
  options.timeout = milliseconds(5000);
  options.shared_object = {.file = std::filesystem::path(COVE_PLUGIN_MODULES) / file, .settings = std::move(settings)};
  return options;
}

std::unique_ptr<PluginSet> open(const PluginOptions& options) {
  auto set = PluginSet::create({options});
  EXPECT_TRUE(set) << set.error().message;
  return set ? std::move(*set) : nullptr;
}

std::string error_of(const PluginOptions& options) {
  const auto set = PluginSet::create({options});
  return set ? "no error" : set.error().message;
}

Input input_of(std::string text) {
  Input input;
  input.texts.push_back({"user", std::move(text)});
  return input;
}

TEST(SharedObject, the_example_in_cpp_works) {
  const auto set = open(options_of("example_signature.so", "the bank"));
  auto run = set->open({.role = "user"});
  EXPECT_EQ(run->pace(), Pace::kMayWait);
  Input input = input_of("hello");
  EXPECT_EQ(run->preprocess(input)->decision, Decision::kPass);
  EXPECT_EQ(input.texts[0].text, "hello");
  EXPECT_EQ(run->postprocess({.text_id = 1, .text = "Good "})->text, "Good ");
  EXPECT_EQ(run->postprocess({.text_id = 1, .text = "day.", .end = End::kLast})->text, "day.\n-- the bank");
  EXPECT_EQ(run->postprocess({.text_id = 2, .stage = Stage::kReasoning, .text = "x", .end = End::kLast})->text, "x");
  Input asks = input_of("please square the circle");
  const auto verdict = set->open({})->preprocess(asks);
  EXPECT_EQ(verdict->decision, Decision::kBlock);
  EXPECT_EQ(verdict->message, "that cannot be done");
}

TEST(SharedObject, the_example_in_c_works) {
  const auto set = open(options_of("example_capitals.so"));
  auto run = set->open({});
  EXPECT_EQ(run->postprocess({.text_id = 1, .text = "Grüße 1"})->text, "GRüßE 1");
  ASSERT_EQ(run->notes().size(), 1U);
  EXPECT_EQ(run->notes()[0].action, "changed");
}

TEST(SharedObject, changes_prompts_and_never_gives_invalid_text) {
  const auto set = open(options_of("misbehaves.so"));
  auto run = set->open({.role = "admin"});
  Input input = input_of("x");
  ASSERT_TRUE(run->preprocess(input));
  EXPECT_EQ(input.texts[0].text, "changed for admin");
  EXPECT_EQ(input.system, "\uFFFD is no UTF-8");
  EXPECT_EQ(run->postprocess({.text_id = 1, .text = "é!"})->decision, Decision::kBlock);
  EXPECT_EQ(run->postprocess({.text_id = 1, .text = "a€"})->text, "a\uFFFD");
}

TEST(SharedObject, errors_say_what_is_wrong_with_the_file) {
  EXPECT_NE(error_of(options_of("missing.so")).find("plugin 'native': cannot be loaded"), std::string::npos);
  EXPECT_NE(error_of(options_of("other_version.so"))
                .find("was made for version 2 of the interface, this server has version 1"),
            std::string::npos);
  PluginOptions none = options_of("x");
  none.shared_object.file.clear();
  EXPECT_EQ(error_of(none), "plugin 'native': needs 'file', the shared object");
}

TEST(SharedObject, a_late_call_is_refused_or_skipped) {
  PluginOptions options = options_of("misbehaves.so", "hang");
  options.timeout = milliseconds(50);
  {
    const auto set = open(options);
    Input input = input_of("x");
    auto run = set->open({});
    const auto verdict = run->preprocess(input);
    ASSERT_FALSE(verdict);
    EXPECT_EQ(verdict.error().message, "the plugin 'native' failed");
    ASSERT_EQ(run->notes().size(), 1U);
    EXPECT_EQ(run->notes()[0].action, "failed");
  }
  options.on_error = OnError::kSkip;
  const auto set = open(options);
  Input input = input_of("x");
  auto run = set->open({});
  ASSERT_TRUE(run->preprocess(input));
  EXPECT_EQ(input.texts[0].text, "x") << "as it was";
  EXPECT_EQ(run->postprocess({.text_id = 1, .text = "long text"})->text, "long text") << "out for the whole request";
}

TEST(SharedObject, exceptions_become_failures) {
  for (const char* settings : {"throw", "throw anything", "throw at begin"}) {
    const auto set = open(options_of("misbehaves.so", settings));
    Input input = input_of("x");
    EXPECT_FALSE(set->open({})->preprocess(input)) << settings;
  }
}

TEST(SharedObject, requests_run_side_by_side) {
  const auto set = open(options_of("example_signature.so", "s"));
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&set] {
      for (int i = 0; i < 20; ++i) {
        auto run = set->open({});
        EXPECT_EQ(run->postprocess({.text_id = 1, .text = "a", .end = End::kLast})->text, "a\n-- s");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(TimedCalls, held_threads_make_later_calls_late_not_stuck) {
  TimedCalls calls(1);
  EXPECT_FALSE(calls.make(milliseconds(200), [] { std::this_thread::sleep_for(milliseconds(2000)); }));
  EXPECT_FALSE(calls.make(milliseconds(10), [] {}));
  EXPECT_TRUE(calls.make(milliseconds(20000), [] {}));
}

}  // namespace
}  // namespace cove::plugins

// Rendering a long conversation with R1's own template (from the test data). Goal: 100 messages well below 1 ms.
#include <cstdlib>
#include <filesystem>
#include <string>

#include <benchmark/benchmark.h>
#include <boost/json/array.hpp>

#include "base/file.h"
#include "text/chat/chat_template.h"

namespace {

using namespace cove;

Result<std::string> r1_source() {
  const char* root = std::getenv("COVE_TESTDATA");
  return read_file(std::filesystem::path(root != nullptr ? root : "build/testdata") / "chat-templates" / "templates" /
                   "official-via-xinference" / "deepseek-r1.jinja");
}

json::object conversation(int64_t messages) {
  json::array list;
  for (int64_t i = 0; i < messages; ++i) {
    const bool user = i % 2 == 0;
    const std::string words(400, 'w');
    list.push_back(json::object{{"role", user ? "user" : "assistant"},
                                {"content", user ? words : "<think>" + words + "</think>\n\n" + words}});
  }
  return {{"messages", list}, {"bos_token", "<s>"}, {"eos_token", "</s>"}, {"add_generation_prompt", true}};
}

void BM_Render(benchmark::State& state) {
  const Result<std::string> source = r1_source();
  if (!source) return state.SkipWithError(source.error().message.c_str());
  const auto compiled = text::ChatTemplate::compile(*source);
  const json::object variables = conversation(state.range(0));
  size_t bytes = 0;
  for (auto _ : state) {
    const Result<std::string> prompt = (*compiled)->render(variables, 0);
    if (!prompt) return state.SkipWithError(prompt.error().message.c_str());
    bytes += prompt->size();
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
}
BENCHMARK(BM_Render)->Arg(1)->Arg(10)->Arg(100)->Arg(1000);

void BM_Compile(benchmark::State& state) {
  const Result<std::string> source = r1_source();
  if (!source) return state.SkipWithError(source.error().message.c_str());
  for (auto _ : state) benchmark::DoNotOptimize(text::ChatTemplate::compile(*source));
}
BENCHMARK(BM_Compile);

}  // namespace

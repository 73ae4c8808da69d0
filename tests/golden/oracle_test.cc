// The oracle: tiny random-weight models of each family, their logits and greedy tokens as Hugging Face transformers
// computes them in float32 (tools/make_goldens.py). One runner over the folders of tests/golden/models and over every
// backend that runs here.
#include <gtest/gtest.h>

#include "backends/cpu/cpu_backend.h"
#include "base/testing.h"
#include "engine/make_engine.h"
#include "engine/testing/engine_fixture.h"
#include "golden_models.h"

namespace cove {
namespace {

using namespace golden;

// "reference", or "cpu_" and an instruction set.
std::vector<std::string> backend_names() {
  std::vector<std::string> names = {"reference"};
  for (const std::string& isa : cpu_isas()) names.push_back("cpu_" + isa);
  return names;
}

std::unique_ptr<Backend> backend_named(const std::string& name) {
  if (name == "reference") return make_reference_backend();
  auto backend = make_cpu_backend({.threads = 2, .isa = name.substr(4)});
  EXPECT_TRUE(backend) << backend.error().message;
  return backend ? std::move(*backend) : nullptr;
}

class Oracle : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Oracle);

TEST_P(Oracle, logits_of_a_prompt_are_those_of_transformers) {
  const auto& [model, backend_name] = GetParam();
  const Golden golden = open_golden(model);
  const auto backend = backend_named(backend_name);
  for (const GoldenPrompt& prompt : golden.prompts) {
    const auto rows = Sequence(golden.files, *backend).feed(prompt.ids, prompt.positions);
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_LT(relative_error(rows[i], prompt.logits[i]), golden.tolerance)
          << "prompt of " << prompt.ids.size() << " tokens, position " << prompt.positions[i];
    }
  }
}

TEST_P(Oracle, greedy_tokens_are_those_of_transformers) {
  const auto& [model, backend_name] = GetParam();
  const Golden golden = open_golden(model);
  const auto backend = backend_named(backend_name);
  // Only where activations are rounded to bf16 too may two tokens that are this close change places.
  const float tie =
      backend_name == "cpu_avx512_bf16" && !golden.exact_weights ? static_cast<float>(golden.tolerance) : 0.0F;
  for (const GoldenPrompt& prompt : golden.prompts) {
    Sequence sequence(golden.files, *backend);
    const int32_t last = static_cast<int32_t>(prompt.ids.size()) - 1;
    Row logits = sequence.feed(prompt.ids, {&last, 1})[0];
    for (size_t i = 0; i < prompt.greedy.size(); ++i) {
      const auto best = static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
      const float lead = logits[static_cast<size_t>(best)] - logits[static_cast<size_t>(prompt.greedy[i])];
      ASSERT_LE(lead, tie * logits[static_cast<size_t>(best)])
          << best << " instead of " << prompt.greedy[i] << ", prompt of " << prompt.ids.size() << " tokens, step " << i;
      logits = sequence.feed_one(prompt.greedy[i]);
    }
    EXPECT_LT(relative_error(logits, prompt.logits_after_greedy), golden.tolerance);
  }
}

std::string test_name(const ::testing::TestParamInfo<Oracle::ParamType>& info) {
  return std::get<0>(info.param) + "_on_" + std::get<1>(info.param);
}
INSTANTIATE_TEST_SUITE_P(Golden, Oracle,
                         ::testing::Combine(::testing::ValuesIn(golden_names()), ::testing::ValuesIn(backend_names())),
                         test_name);

TEST(OracleModels, are_there_and_cover_every_family) {
  const auto names = golden_names();
  if (names.empty() && !testing::in_ci()) GTEST_SKIP() << golden_root() << " is empty: run tools/make_goldens.py";
  for (const char* family : {"qwen2", "llama", "qwen3"}) {
    EXPECT_TRUE(std::ranges::any_of(names, [&](const std::string& name) { return name.starts_with(family); }))
        << family;
  }
}

// The whole way: files, memory plan, scheduler, paged cache in the weights' own format, sampling.
TEST(OracleModels, the_engine_generates_what_transformers_generates) {
  for (const std::string& name : golden_names()) {
    auto files = std::make_shared<engine::ModelFiles>(open_golden(name).files);
    if (files->weight_format != "f32") continue;  // see greedy_tokens_are_those_of_transformers
    auto backend = make_cpu_backend({.threads = 2, .isa = ""});
    ASSERT_TRUE(backend);
    auto engine = engine::make_engine(engine::model_parts(files, ""), std::move(*backend), {.kv_tokens_max = 4096});
    ASSERT_TRUE(engine) << engine.error().message;
    for (const GoldenPrompt& prompt : read_prompts(golden_root() / name)) {
      engine::Request request;
      request.prompt = prompt.ids;
      request.tokens_max = static_cast<int32_t>(prompt.greedy.size());
      request.sampling.temperature = 0;
      request.ignore_eos = true;
      EXPECT_EQ(testing::ask(**engine, std::move(request)).tokens, prompt.greedy) << name;
    }
  }
}

}  // namespace
}  // namespace cove

// On the CPU a sequence's output never depends on what else is in its batch: in every instruction set, for f32 and bf16
// weights.
#include <gtest/gtest.h>

#include "backends/cpu/cpu_backend.h"
#include "engine/loading/model_files.h"
#include "engine/testing/company.h"

namespace cove {
namespace {

class CpuCompany : public ::testing::TestWithParam<std::string> {
 protected:
  static std::unique_ptr<Backend> backend() {
    auto made = make_cpu_backend({.threads = 2, .isa = GetParam()});
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  static void expect_same(const std::string& golden) {
    const auto path = std::filesystem::path(COVE_SOURCE_DIR) / "tests" / "golden" / "models" / golden;
    auto files = engine::open_model_files(path);
    ASSERT_TRUE(files) << files.error().message;
    const auto shared = std::make_shared<const engine::ModelFiles>(std::move(*files));
    testing::expect_same_in_any_company([&](engine::EngineOptions options) {
      options.context_max = testing::kShortContext;
      auto made = engine::make_engine(engine::model_parts(shared, ""), backend(), options);
      EXPECT_TRUE(made) << made.error().message;
      return std::move(*made);
    });
  }
};

TEST_P(CpuCompany, output_of_f32_weights_is_the_same_alone_and_in_any_batch) { expect_same("qwen2_untied"); }
TEST_P(CpuCompany, output_of_bf16_weights_is_the_same_alone_and_in_any_batch) { expect_same("qwen2_bf16"); }
TEST_P(CpuCompany, output_with_scaled_rope_is_the_same_alone_and_in_any_batch) { expect_same("llama3"); }

INSTANTIATE_TEST_SUITE_P(Isas, CpuCompany, ::testing::ValuesIn(cpu_isas()), [](const auto& isa) { return isa.param; });

}  // namespace
}  // namespace cove

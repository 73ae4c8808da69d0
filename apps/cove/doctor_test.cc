#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "doctor_checks.h"
#include "doctor_fit.h"

namespace cove::app {
namespace {

constexpr int64_t kGb = 1'000'000'000;

const ModelShape& known(std::string_view name) {
  for (const ModelShape& shape : known_models()) {
    if (shape.name == name) return shape;
  }
  ADD_FAILURE() << name;
  return known_models().front();
}

TEST(DoctorFit, parameter_counts_are_the_published_ones) {
  const auto giga = [](std::string_view name) { return static_cast<double>(known(name).parameters()) / 1e9; };
  EXPECT_NEAR(giga("R1-Distill-Qwen-1.5B"), 1.777, 0.001);
  EXPECT_NEAR(giga("R1-Distill-Qwen-7B"), 7.616, 0.001);
  EXPECT_NEAR(giga("R1-Distill-Qwen-14B"), 14.770, 0.001);
  EXPECT_NEAR(giga("R1-Distill-Qwen-32B"), 32.764, 0.001);
  EXPECT_NEAR(giga("R1-Distill-Llama-8B"), 8.030, 0.001);
  EXPECT_NEAR(giga("R1-Distill-Llama-70B"), 70.554, 0.001);
  EXPECT_NEAR(giga("R1-0528-Qwen3-8B"), 8.191, 0.001);
}

TEST(DoctorFit, kv_cache_counts_keys_and_values_in_bf16) {
  EXPECT_EQ(known("R1-Distill-Qwen-7B").kv_bytes_per_token(), 2 * 28 * 4 * 128 * 2);
  EXPECT_EQ(known("R1 671B").kv_bytes_per_token(), 61 * 576 * 2);
}

TEST(DoctorFit, bf16_7b_does_not_fit_a_16_gb_card) {
  const ModelShape& shape = known("R1-Distill-Qwen-7B");
  EXPECT_FALSE(fit_model(shape, kWeightFormats[0], 4096, 16 * kGb * 8 / 10).fits);
  EXPECT_TRUE(fit_model(shape, kWeightFormats[0], 4096, 24 * kGb * 8 / 10).fits);
  EXPECT_TRUE(fit_model(shape, kWeightFormats[1], 4096, 16 * kGb * 8 / 10).fits);
}

TEST(DoctorFit, the_largest_context_is_where_fitting_ends) {
  const ModelShape& shape = known("R1-Distill-Qwen-1.5B");
  const Fit fit = fit_model(shape, kWeightFormats[2], 1, 4 * kGb);
  ASSERT_TRUE(fit.fits);
  EXPECT_TRUE(fit_model(shape, kWeightFormats[2], fit.context_max, 4 * kGb).fits);
  EXPECT_FALSE(fit_model(shape, kWeightFormats[2], fit.context_max + 1, 4 * kGb).fits);
  EXPECT_EQ(fit_model(shape, kWeightFormats[2], 1, 0).context_max, 0);
}

class ShapeFile : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("cove_shape_" + std::to_string(::getpid())) / "tiny";
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_.parent_path()); }
  Result<ModelShape> read(const std::string& config) {
    std::ofstream(folder_ / "config.json") << config;
    return read_shape(folder_);
  }
  std::filesystem::path folder_;
};

TEST_F(ShapeFile, reads_a_model_directory) {
  const auto shape = read(R"({"model_type": "qwen2", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 16, "vocab_size": 100, "tie_word_embeddings": true})");
  ASSERT_TRUE(shape.has_value()) << shape.error().message;
  EXPECT_EQ(shape->name, "tiny");
  EXPECT_EQ(shape->head_dim, 2);
  EXPECT_TRUE(shape->served);
  EXPECT_EQ(shape->parameters(), 2 * (8 * 2 * 12 + 3 * 8 * 16 + 16) + 100 * 8);
}

TEST_F(ShapeFile, refuses_missing_and_absurd_sizes) {
  EXPECT_NE(read("{}").error().message.find("hidden_size"), std::string::npos);
  EXPECT_FALSE(read(R"({"hidden_size": -1})").has_value());
  EXPECT_FALSE(read(R"({"hidden_size": 1e300})").has_value());
  EXPECT_FALSE(read(R"({"hidden_size": 9223372036854775807})").has_value());
  EXPECT_FALSE(read("[").has_value());
  EXPECT_EQ(read_shape(folder_ / "none").error().code, ErrorCode::kNotFound);
}

Facts good_machine() {
  Facts facts;
  facts.system = {.name = "Debian", .kernel = "6.1.0", .libc = "2.36", .architecture = "x86_64"};
  facts.cpu = {
      .model = "CPU", .threads = 16, .cores = 8, .threads_allowed = 16, .cgroup_cpus = 0, .features = {"avx2", "fma"}};
  facts.memory = {.total_bytes = 64 * kGb, .available_bytes = 60 * kGb, .cgroup_max_bytes = 0};
  facts.disk = {.path = "/data", .total_bytes = 1000 * kGb, .free_bytes = 500 * kGb};
  facts.limits = {.files_soft = 65536, .files_hard = 65536, .shm_bytes = kGb};
  facts.gpu_missing = "no NVIDIA driver";
  facts.port_free = true;
  return facts;
}

CheckRow row_of(const Facts& facts, std::string_view name) {
  for (const CheckRow& row : judge(facts)) {
    if (row.name == name) return row;
  }
  ADD_FAILURE() << "no row " << name;
  return {};
}

Verdict verdict_of(const Facts& facts, std::string_view name) { return row_of(facts, name).verdict; }

TEST(DoctorChecks, a_good_machine_without_gpu_passes) {
  const auto rows = judge(good_machine());
  EXPECT_FALSE(below_minimum(rows));
  for (const CheckRow& row : rows)
    EXPECT_TRUE(row.verdict == Verdict::kOk || row.verdict == Verdict::kInfo) << row.name;
}

TEST(DoctorChecks, what_is_below_the_minimum_fails) {
  Facts facts = good_machine();
  facts.memory.cgroup_max_bytes = kGb;
  EXPECT_EQ(verdict_of(facts, "memory"), Verdict::kBelowMinimum);
  EXPECT_TRUE(below_minimum(judge(facts)));
  facts = good_machine();
  facts.disk.free_bytes = kGb;
  EXPECT_EQ(verdict_of(facts, "disk"), Verdict::kBelowMinimum);
  facts = good_machine();
  facts.system.libc = "2.31";
  EXPECT_EQ(verdict_of(facts, "system"), Verdict::kBelowMinimum);
  facts = good_machine();
  facts.system.architecture = "riscv64";
  EXPECT_EQ(verdict_of(facts, "system"), Verdict::kBelowMinimum);
}

TEST(DoctorChecks, what_is_below_the_recommendation_only_warns) {
  Facts facts = good_machine();
  facts.cpu.cgroup_cpus = 2;
  facts.cpu.features = {"sse4_2"};
  facts.limits.files_soft = 1024;
  facts.port_free = false;
  facts.ceilings = CpuCeilings{.threads = 2, .isa = "avx2", .read_gbs = {.one_thread = 15, .all_threads = 20}};
  for (const char* name : {"processor", "instructions", "open files", "port", "memory speed"}) {
    EXPECT_EQ(verdict_of(facts, name), Verdict::kBelowRecommended) << name;
  }
  EXPECT_FALSE(below_minimum(judge(facts)));
}

TEST(DoctorChecks, a_gpu_is_judged_only_when_there_is_one) {
  Facts facts = good_machine();
  facts.gpu = GpuDriver{.version = "580.95",
                        .cuda_major = 13,
                        .cuda_minor = 0,
                        .gpus = {{.name = "H200",
                                  .memory_total_bytes = 150 * kGb,
                                  .memory_free_bytes = 149 * kGb,
                                  .compute_major = 9,
                                  .compute_minor = 0}}};
  EXPECT_EQ(verdict_of(facts, "gpu"), Verdict::kOk);
  EXPECT_EQ(verdict_of(facts, "gpu driver"), Verdict::kOk);
  EXPECT_EQ(row_of(facts, "gpu").value, "H200, 149.0 GB of 150.0 GB free, compute capability 9.0");
  facts.gpu->gpus[0].utilization = 0.97;
  facts.gpu->gpus[0].power_w = 412.6;
  EXPECT_EQ(row_of(facts, "gpu").value, "H200, 149.0 GB of 150.0 GB free, compute capability 9.0, 97 % busy, 413 W");
  facts.gpu->gpus.emplace_back();
  EXPECT_TRUE(row_of(facts, "gpu").value.ends_with("; one that does not answer")) << row_of(facts, "gpu").value;
  facts.gpu->gpus[0].memory_total_bytes = 8 * kGb;
  facts.gpu->cuda_major = 11;
  EXPECT_EQ(verdict_of(facts, "gpu"), Verdict::kBelowRecommended);
  EXPECT_EQ(verdict_of(facts, "gpu driver"), Verdict::kBelowRecommended);
}

TEST(DoctorChecks, says_how_fast_the_gpu_is_or_why_it_is_not_used) {
  Facts facts = good_machine();
  const auto has_row = [&] {
    return std::ranges::any_of(judge(facts), [](const CheckRow& row) { return row.name == "gpu speed"; });
  };
  EXPECT_FALSE(has_row());
  facts.gpu_unmeasured = "this build has no CUDA backend";
  EXPECT_EQ(row_of(facts, "gpu speed").value, "not measured: this build has no CUDA backend");
  EXPECT_EQ(verdict_of(facts, "gpu speed"), Verdict::kBelowRecommended);
  facts.gpu_ceilings = CudaCeilings{.read_gbs = 4300, .bf16_tflops = 764, .fp8_tflops = 1395, .int8_tops = 1390};
  EXPECT_EQ(row_of(facts, "gpu speed").value,
            "4300 GB/s read, bf16 764 TFLOP/s, fp8 1395 TFLOP/s, int8 1390 TOP/s (measured now)");
  facts.gpu_ceilings->fp8_tflops = facts.gpu_ceilings->int8_tops = 0;
  EXPECT_EQ(row_of(facts, "gpu speed").value, "4300 GB/s read, bf16 764 TFLOP/s (measured now)");
  EXPECT_EQ(verdict_of(facts, "gpu speed"), Verdict::kInfo);
}

TEST(DoctorChecks, this_machine_can_be_looked_at) {
  const Facts facts = gather_facts("data", "127.0.0.1", 8080);
  EXPECT_GE(judge(facts).size(), 12U);
  EXPECT_GT(facts.memory.usable_bytes(), 0);
}

}  // namespace
}  // namespace cove::app

// cove bench: its reports, and what it says of a machine's ceilings.
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "base/json.h"
#include "bench_model.h"

namespace cove::app {
namespace {

BenchCeilings gpu_ceilings() {
  BenchCeilings ceilings{.device = BenchCeilings::Device::kGpu, .rates = {.threads = 0, .isa = "cuda"}};
  ceilings.rates.read_gbs.all_threads = 4300;
  ceilings.rates.bf16_gflops.all_threads = 764'000;
  ceilings.rates.int8_gops.all_threads = 1'390'000;
  ceilings.fp8_gflops = 1'395'000;
  return ceilings;
}

TEST(Bench, eight_bit_weights_are_measured_against_eight_bit_products_where_the_gpu_has_them) {
  const BenchCeilings hopper = gpu_ceilings();
  EXPECT_EQ(arithmetic_of("fp8", hopper), "fp8");
  EXPECT_EQ(arithmetic_of("int8", hopper), "int8");
  for (const char* format : {"bf16", "w4a16", "q8_0", "q4_0"}) EXPECT_EQ(arithmetic_of(format, hopper), "bf16");
  BenchCeilings older = hopper;
  older.fp8_gflops = older.rates.int8_gops.all_threads = 0;
  for (const char* format : {"fp8", "int8", "bf16"}) EXPECT_EQ(arithmetic_of(format, older), "bf16");
}

TEST(Bench, a_processor_multiplies_block_formats_in_int8_and_bf16_where_it_can) {
  BenchCeilings cpu;
  EXPECT_EQ(arithmetic_of("q8_0", cpu), "int8");
  EXPECT_EQ(arithmetic_of("bf16", cpu), "f32");
  cpu.rates.bf16_gflops.all_threads = 500;
  EXPECT_EQ(arithmetic_of("bf16", cpu), "bf16");
  EXPECT_EQ(arithmetic_of("f32", cpu), "f32");
}

TEST(Bench, a_gpus_report_names_the_ceilings_it_has) {
  ModelBenchReport report;
  report.arithmetic = "fp8";
  report.before = report.after = gpu_ceilings();
  report.rows.push_back({.phase = "prefill", .tokens = 4096, .gops = 1'000'000, .compute_share = 0.7168});
  const std::string text = report_text(report);
  EXPECT_NE(text.find("764.0 bf16 TFLOP/s"), std::string::npos) << text;
  EXPECT_NE(text.find("1395.0 fp8 TFLOP/s"), std::string::npos) << text;
  EXPECT_NE(text.find("1390.0 int8 TOP/s"), std::string::npos) << text;
  EXPECT_NE(text.find("of fp8 ceiling"), std::string::npos) << text;
  EXPECT_NE(text.find("72%"), std::string::npos) << text;
  report.before.fp8_gflops = report.after.fp8_gflops = 0;
  report.before.rates.int8_gops = report.after.rates.int8_gops = {};
  const std::string older = report_text(report);
  EXPECT_EQ(older.find("fp8 TFLOP/s"), std::string::npos) << older;
  EXPECT_EQ(older.find("int8"), std::string::npos) << older;
}

TEST(Bench, a_gpus_ceilings_are_in_the_json) {
  ModelBenchReport report;
  report.load_s = 1;
  report.before = report.after = gpu_ceilings();
  const auto parsed = parse_json(report_json(report));
  ASSERT_TRUE(parsed);
  const json::value& before = parsed->at("ceilings_before");
  EXPECT_DOUBLE_EQ(before.at("fp8_gflop_s").at("all_threads").to_number<double>(), 1'395'000);
  EXPECT_DOUBLE_EQ(before.at("int8_gop_s").at("all_threads").to_number<double>(), 1'390'000);
  EXPECT_DOUBLE_EQ(before.at("bf16_gflop_s").at("all_threads").to_number<double>(), 764'000);
}

}  // namespace
}  // namespace cove::app

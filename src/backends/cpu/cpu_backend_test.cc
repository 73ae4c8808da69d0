// What the CPU backend promises beyond the conformance suite: refusals that name what is wrong, results that do not
// depend on the number of threads, weights that are borrowed, tensors of one layer in different formats.
#include "backends/cpu/cpu_backend.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "backends/cpu/ceilings.h"
#include "backends/cpu/cpu_weights.h"
#include "backends/cpu/dispatch.h"
#include "compute/conformance/attention_rig.h"
#include "compute/conformance/linear_rig.h"

namespace cove {
namespace {

using conformance::HostTensor;
using conformance::LinearCase;
using conformance::LinearData;
using conformance::random_values;
using conformance::Rig;

std::unique_ptr<Backend> make(int threads, const std::string& isa = "") {
  return std::move(*make_cpu_backend({.threads = threads, .isa = isa}));
}

TEST(CpuBackend, refuses_an_instruction_set_that_does_not_exist_and_names_those_that_run) {
  const auto backend = make_cpu_backend({.threads = 1, .isa = "mmx"});
  ASSERT_FALSE(backend.has_value());
  EXPECT_EQ(backend.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(backend.error().message.find("generic"), std::string::npos);
  EXPECT_FALSE(make_cpu_backend({.threads = -1, .isa = ""}).has_value());
}

TEST(CpuBackend, says_what_it_is) {
  const DeviceInfo info = make(2, "generic")->info();
  EXPECT_EQ(info.kind, "cpu");
  EXPECT_NE(info.description.find("2 threads, generic"), std::string::npos) << info.description;
  EXPECT_GT(info.memory_total, 0U);
}

TEST(CpuBackend, refuses_formats_and_shapes_with_a_reason) {
  const auto backend = make(1);
  EXPECT_FALSE(backend->supports({.kind = OpKind::kLinear, .dtype = DType::kI8}).has_value());
  EXPECT_FALSE(backend->supports({.kind = OpKind::kLinear, .dtype = DType::kQ8_0, .in_features = 40}).has_value());
  EXPECT_FALSE(backend->supports({.kind = OpKind::kKvCache, .dtype = DType::kQ8_0, .head_dim = 64}).has_value());
  const Status fp8 = backend->supports({.kind = OpKind::kKvCache, .dtype = DType::kE4M3, .head_dim = 64});
  ASSERT_FALSE(fp8.has_value());
  EXPECT_EQ(fp8.error().message, "a key-value cache in fp8 is not supported by the cpu backend: use bf16, f16 or f32");
  EXPECT_FALSE(backend->supports({.kind = OpKind::kAttention, .dtype = DType::kF32, .head_dim = 63}).has_value());
  EXPECT_TRUE(backend->supports({.kind = OpKind::kAttention, .dtype = DType::kBF16, .head_dim = 96}).has_value());
  const auto cache = backend->make_kv_cache({.layers = 1, .kv_heads = 1, .head_dim = 64, .page_tokens = 12}, 4);
  ASSERT_FALSE(cache.has_value());
  EXPECT_NE(cache.error().message.find("multiple of 16"), std::string::npos);
}

TEST(CpuBackend, refuses_memory_that_is_not_to_be_had) {
  const auto buffer = make(1)->allocate(size_t{1} << 60);
  ASSERT_FALSE(buffer.has_value());
  EXPECT_EQ(buffer.error().code, ErrorCode::kFailedPrecondition);
}

TEST(CpuBackend, gives_the_same_bits_with_any_number_of_threads) {
  for (const DType dtype : conformance::weight_dtypes()) {
    const LinearCase c = {.dtype = dtype, .rows = 45, .in = 352, .parts = {131, 70}, .bias = true};
    const LinearData data(c);
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 4, 7}) {
      Rig rig(make(threads));
      const auto weight = rig.load(data.desc(c));
      results.push_back(conformance::run_linear(rig, *weight, c, data.x));
      EXPECT_EQ(results.back(), results.front()) << threads << " threads";
    }
  }
  const conformance::AttentionCase c = {.heads = 6, .kv_heads = 2, .head_dim = 48};
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 5}) {
    conformance::AttentionRig rig(make(threads), c);
    conformance::SequenceBook book(16);
    results.push_back(rig.run(book.next({{0, 40}, {1, 1}}), random_values(41 * c.width(), 9), 0).attention);
    EXPECT_EQ(results.back(), results.front()) << threads << " threads";
  }
}

TEST(CpuBackend, borrows_plain_weights_and_repacks_blocks_into_no_more_bytes) {
  const cpu::KernelTable& kernels = *cpu::choose("", 1)->kernels;
  cpu::ThreadPool pool(2, {});
  const std::vector<float> values = random_values(64 * 96, 3);
  for (const DType dtype : conformance::weight_dtypes()) {
    const HostTensor tensor(dtype, {64, 96}, values);
    const auto linear = cpu::load_cpu_linear({.name = "w", .parts = {{.weight = tensor.view()}}}, kernels, pool);
    ASSERT_TRUE(linear.has_value());
    const bool is_block = (*linear)->path == cpu::CpuLinear::Path::kBlocks;
    EXPECT_EQ((*linear)->bytes_read, static_cast<uint64_t>(tensor.view().bytes()));
    if (is_block) {
      EXPECT_EQ((*linear)->panel_bytes * static_cast<int64_t>((*linear)->panels.size()), tensor.view().bytes());
    } else {
      EXPECT_EQ(static_cast<const void*>((*linear)->panels[0].rows), tensor.view().data);
      EXPECT_EQ((*linear)->packed.data(), nullptr);
    }
  }
}

TEST(CpuBackend, multiplies_parts_of_different_formats) {
  const std::vector<float> values = random_values(3 * 32 * 64, 4);
  const HostTensor q(DType::kQ8_0, {32, 64}, std::span(values).subspan(0, 2048));
  const HostTensor k(DType::kBF16, {32, 64}, std::span(values).subspan(2048, 2048));
  const HostTensor v(DType::kF32, {32, 64}, std::span(values).subspan(4096, 2048));
  const LinearWeightDesc desc = {.name = "qkv",
                                 .parts = {{.weight = q.view()}, {.weight = k.view()}, {.weight = v.view()}}};
  const LinearCase c = {.rows = 3, .in = 64, .parts = {32, 32, 32}};
  const std::vector<float> x = random_values(3 * 64, 5);
  Rig reference = conformance::reference_rig();
  Rig rig(make(2));
  const auto want = conformance::run_linear(reference, *reference.load(desc), c, x);
  const auto got = conformance::run_linear(rig, *rig.load(desc), c, x);
  for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-4) << i;
}

TEST(CpuCeilings, are_positive_and_name_the_instruction_set) {
  const auto ceilings = measure_cpu_ceilings({.threads = 2, .isa = "generic", .buffer_bytes = 16 << 20});
  ASSERT_TRUE(ceilings.has_value());
  EXPECT_EQ(ceilings->isa, "generic");
  EXPECT_GT(ceilings->read_gbs.one_thread, 0);
  EXPECT_GT(ceilings->f32_gflops.all_threads, 0);
  EXPECT_GT(ceilings->int8_gops.all_threads, 0);
  EXPECT_EQ(ceilings->bf16_gflops.all_threads, 0);
  EXPECT_FALSE(measure_cpu_ceilings({.threads = 1, .isa = "mmx"}).has_value());
}

}  // namespace
}  // namespace cove

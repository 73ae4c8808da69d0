// What the conformance suite does not ask: weights that are rounded while they are loaded, splits of long sequences,
// sampling in every combination, replayed steps, and the emulator itself.
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "backends/cuda/backend/backend.h"
#include "backends/cuda/backend/buffers.h"
#include "backends/cuda/backend/step_work.h"
#include "backends/cuda/backend/unpacked_pages.h"
#include "backends/cuda/emulator/block.h"
#include "backends/cuda/emulator/emulated_device.h"
#include "backends/cuda/rounded_values.h"
#include "backends/cuda/sampling_testing.h"
#include "compute/conformance/attention_rig.h"
#include "compute/conformance/linear_rig.h"
#include "compute/reference/reference_tensors.h"
#include "tensor/formats/float16.h"

namespace cove::cuda {
namespace {

using conformance::attention_values;
using conformance::AttentionCase;
using conformance::AttentionRig;
using conformance::HostTensor;
using conformance::random_values;
using conformance::Rig;
using conformance::SequenceBook;

std::unique_ptr<Backend> make(const CudaOptions& options) {
  Result<std::unique_ptr<Backend>> backend = make_backend(emulated::make_device(), options);
  COVE_CHECK_MSG(backend.has_value(), backend.has_value() ? "" : backend.error().message);
  return std::move(*backend);
}

// A layer in that format against the reference backend with the same rounded weights.
void check_rounded(CudaWeightFormat format, int64_t rows, conformance::LinearCase c) {
  c.dtype = DType::kBF16;
  c.rows = rows;
  const conformance::LinearData data(c);
  Rig rig(make({.format = format}));
  const auto weight = rig.load(data.desc(c));
  conformance::LinearCase wide = c;
  wide.dtype = DType::kF32;
  conformance::LinearData rounded(wide);
  for (size_t part = 0; part < c.parts.size(); ++part) {
    const std::vector<float> stored = data.weights[part].values();
    std::vector<float> values;
    for (int64_t row = 0; row < c.parts[part]; ++row) {
      const auto one =
          rounded_row(std::span(stored).subspan(static_cast<size_t>(row * c.in), static_cast<size_t>(c.in)), format);
      values.insert(values.end(), one.begin(), one.end());
    }
    rounded.weights[part] = HostTensor(DType::kF32, {c.parts[part], c.in}, values);
    rounded.biases[part] = HostTensor(DType::kF32, {c.parts[part]}, data.biases[part].values());
  }
  Rig reference = conformance::reference_rig();
  const auto reference_weight = reference.load(rounded.desc(wide));
  const std::vector<float> want = conformance::run_linear(reference, *reference_weight, wide, data.x);
  const std::vector<float> got = conformance::run_linear(rig, *weight, c, data.x);
  // Activations, results and, for many tokens, the unpacked weights are bf16.
  EXPECT_LT(conformance::row_error(got, want, c.out_width()), 3 * 0x1p-8)
      << "format " << static_cast<int>(format) << ", " << c.name();
}

TEST(EmulatedCuda, rounded_weights_give_the_products_of_the_same_rounded_weights) {
  for (const auto format : {CudaWeightFormat::kFp8, CudaWeightFormat::kInt8, CudaWeightFormat::kW4A16}) {
    check_rounded(format, 3, {.in = 256, .parts = {40, 16, 16}, .bias = true});
    check_rounded(format, 3, {.in = 200, .parts = {24, 24}, .epilogue = LinearArgs::Epilogue::kSwiGlu});
    check_rounded(format, 150, {.in = 136, .parts = {20}});
  }
}

TEST(EmulatedCuda, plans_the_bytes_that_a_layer_takes) {
  using Format = CudaWeightFormat;
  for (const auto format : {Format::kAsStored, Format::kFp8, Format::kInt8, Format::kW4A16}) {
    for (const DType dtype : {DType::kBF16, DType::kQ8_0, DType::kQ4_0}) {
      for (const bool bias : {false, true}) {
        const conformance::LinearCase c{.dtype = dtype, .in = 288, .parts = {24, 24}, .bias = bias};
        const conformance::LinearData data(c);
        const auto backend = make({.format = format});
        const auto planned = backend->plan_linear(data.desc(c));
        const auto loaded = backend->load_linear(data.desc(c));
        ASSERT_TRUE(planned && loaded);
        const uint64_t bias_bytes = bias ? 48 * sizeof(float) : 0;
        EXPECT_EQ(planned->own, (*loaded)->bytes_read + bias_bytes) << c.name();
        // Weights that are not bf16 are unpacked for long prompts: 384 padded inputs of 48 rows.
        const bool unpacked = dtype != DType::kBF16 || format != Format::kAsStored;
        EXPECT_EQ(planned->shared, unpacked ? 384U * 48 * 2 : 0U) << c.name();
      }
    }
  }
}

TEST(EmulatedCuda, a_token_has_the_same_bits_from_a_prompt_and_from_split_decoding) {
  for (const DType cache : {DType::kBF16, DType::kF32, DType::kE4M3}) {
    const AttentionCase c = {.heads = 6, .kv_heads = 2, .head_dim = 32, .cache = cache};
    constexpr int32_t kTokens = 420;  // four splits, the last of them short
    const std::vector<float> qkv = attention_values(c, kTokens, 70);
    AttentionRig whole(make({.reproducible = true}), c);
    SequenceBook whole_book(16);
    const auto want = whole.run(whole_book.next({{0, kTokens}}), qkv, 0).attention;
    AttentionRig reference(make_reference_backend(), c);
    SequenceBook reference_book(16);
    const auto right = reference.run(reference_book.next({{0, kTokens}}), qkv, 0).attention;
    EXPECT_LT(conformance::row_error(want, right, c.head_dim), 5 * 0x1p-8);

    AttentionRig parts(make({.reproducible = true}), c);
    SequenceBook book(16);
    const int64_t before = (kTokens - 1) * c.width();
    parts.run(book.next({{0, kTokens - 1}}), std::span(qkv).first(static_cast<size_t>(before)), 0);
    const auto last = parts.run(book.next({{0, 1}}), std::span(qkv).subspan(static_cast<size_t>(before)), 0).attention;
    const auto tail = std::span(want).last(last.size());
    EXPECT_TRUE(std::equal(last.begin(), last.end(), tail.begin()));
  }
}

std::vector<std::byte> cached_bytes(AttentionRig& rig) {
  const CudaBuffer& values = *static_cast<CudaKvCache&>(rig.cache()).values;
  std::vector<std::byte> bytes(values.bytes());
  const TensorView view = {.data = values.data(), .dtype = DType::kU8, .shape = {static_cast<int64_t>(values.bytes())}};
  COVE_CHECK(rig.rig().backend().read_back(view, bytes).has_value());
  return bytes;
}

// Sequences of many lengths, alone (and then split) and together. The cache begins as NaNs.
void check_rotating_attention(const AttentionCase& c) {
  SCOPED_TRACE(c.name());
  AttentionRig reference(make_reference_backend(), c);
  AttentionRig together(make({}), c);
  AttentionRig apart(make({}), c);
  apart.set_apart();
  SequenceBook book(c.page_tokens);
  uint32_t seed = 90;
  for (const std::vector<conformance::StepPart>& parts :
       std::vector<std::vector<conformance::StepPart>>{{{0, 298}, {1, 33}, {2, 15}, {3, 16}, {4, 64}},
                                                       {{0, 1}},
                                                       {{4, 1}, {0, 1}},
                                                       {{0, 1}, {5, 1}, {2, 1}, {1, 1}},
                                                       {{4, 1}, {3, 1}, {2, 1}, {1, 1}, {0, 1}, {5, 1}},
                                                       {{1, 1}, {2, 3}, {0, 1}},  // a prompt's chunk keeps them apart
                                                       {{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}}}) {
    const StepBatch step = book.next(parts);
    const std::vector<float> qkv = attention_values(c, step.token_count(), seed++);
    const auto want = reference.run(step, qkv, 1).attention;
    const auto got = together.run(step, qkv, 1).attention;
    ASSERT_LT(conformance::row_error(got, want, c.head_dim), 5 * 0x1p-8) << "step of seed " << seed;
    ASSERT_EQ(got, apart.run(step, qkv, 1).attention) << "step of seed " << seed;
    ASSERT_EQ(cached_bytes(together), cached_bytes(apart)) << "step of seed " << seed;
  }
}

TEST(EmulatedCuda, attention_that_rotates_equals_rope_and_attention_one_after_the_other) {
  check_rotating_attention({.heads = 1, .kv_heads = 1, .head_dim = 128, .cache = DType::kBF16});
  check_rotating_attention({.heads = 8, .kv_heads = 2, .head_dim = 64, .cache = DType::kBF16});
  check_rotating_attention({.heads = 16, .kv_heads = 1, .head_dim = 64, .cache = DType::kBF16});
  check_rotating_attention({.heads = 7, .kv_heads = 1, .head_dim = 128, .cache = DType::kBF16, .page_tokens = 48});
  check_rotating_attention({.heads = 7, .kv_heads = 1, .head_dim = 128, .cache = DType::kE4M3});
  check_rotating_attention({.heads = 8, .kv_heads = 2, .head_dim = 64, .cache = DType::kE4M3, .page_tokens = 48});
}

TEST(EmulatedCuda, rope_stays_a_kernel_of_its_own_where_attention_cannot_do_it) {
  check_rotating_attention({.head_dim = 80, .cache = DType::kBF16});
  check_rotating_attention({.head_dim = 64, .cache = DType::kBF16, .qk_norm = true});
  check_rotating_attention({.head_dim = 64, .cache = DType::kBF16, .interleaved = true});
  check_rotating_attention({.heads = 16, .kv_heads = 1, .head_dim = 112, .cache = DType::kE4M3});
  check_rotating_attention({.head_dim = 128, .cache = DType::kE4M3, .qk_norm = true});
}

// What hopper/ is given of an e4m3 cache: the pages of the sequences that have tiles, as bf16.
TEST(EmulatedCuda, unpacked_pages_hold_what_the_reference_holds) {
  const AttentionCase c = {.heads = 4, .kv_heads = 2, .head_dim = 48, .cache = DType::kE4M3, .page_tokens = 32};
  AttentionRig reference(make_reference_backend(), c);
  AttentionRig rig(make({}), c);
  SequenceBook book(c.page_tokens);
  const StepBatch step = book.next({{0, 70}, {1, 40}, {2, 7}});
  const std::vector<float> qkv = attention_values(c, step.token_count(), 91);
  reference.run(step, qkv, 1);
  rig.run(step, qkv, 1);

  const auto device = emulated::make_device();
  StepArrays arrays(*device);
  ASSERT_TRUE(arrays.begin(1 << 16, 0));
  const std::vector<AttentionTile> tiles = {{.sequence = 2}, {.sequence = 0}, {.sequence = 2}};
  const UnpackedPages::Plan plan = UnpackedPages::plan(step, tiles, c.page_tokens, arrays);
  arrays.upload();
  ASSERT_EQ(plan.count, 1 + 3);
  UnpackedPages memory;
  const KvLayout& layout = rig.cache().layout;
  EXPECT_EQ(memory.pages_max(layout), 0);
  ASSERT_TRUE(memory.reserve(*device, layout, 4));
  EXPECT_EQ(memory.pages_max(layout), 4);
  hopper::PrefillArgs prefill;
  const auto launch = memory.unpack(plan, static_cast<CudaKvCache&>(rig.cache()).layer(1), prefill);
  ASSERT_EQ(launch_unpack_pages(launch, nullptr), nullptr);

  const auto& right = static_cast<const reference::ReferenceKvCache&>(reference.cache());
  int64_t keys_other = 0;
  for (const int32_t sequence : {0, 2}) {
    const SequenceSlice& slice = step.sequences[static_cast<size_t>(sequence)];
    for (int32_t i = 0; i < slice.kv_length * c.kv_heads * c.head_dim; ++i) {
      const int64_t position = i / (c.kv_heads * c.head_dim);
      const int64_t column = i % (c.kv_heads * c.head_dim);
      const int64_t page = prefill.page_table[slice.page_begin + position / c.page_tokens];
      const int64_t at =
          ((page * c.kv_heads + column / c.head_dim) * c.page_tokens + position % c.page_tokens) * c.head_dim +
          column % c.head_dim;
      const int64_t slot = step.slots[static_cast<size_t>(slice.token_begin + position)];
      using Side = reference::ReferenceKvCache;
      EXPECT_EQ(bf16_to_f32(static_cast<const uint16_t*>(prefill.values)[at]),
                right.at(1, Side::kValues, slot)[column]);
      keys_other +=
          bf16_to_f32(static_cast<const uint16_t*>(prefill.keys)[at]) != right.at(1, Side::kKeys, slot)[column] ? 1 : 0;
    }
  }
  EXPECT_LT(keys_other, 8);  // of 7 392: the last bit of a sine may turn a rounding
}

TEST(EmulatedCuda, draws_the_tokens_that_the_host_draws) { check_every_combination(*emulated::make_device()); }
TEST(EmulatedCuda, draws_the_tokens_that_the_host_draws_from_large_vocabularies) {
  check_large_vocabularies(*emulated::make_device());
}
TEST(EmulatedCuda, draws_among_many_equal_values) { check_equal_values(*emulated::make_device()); }
TEST(EmulatedCuda, a_row_that_is_not_finite_draws_nothing) { check_rows_not_finite(*emulated::make_device()); }

TEST(EmulatedCuda, refuses_to_draw_without_room_or_from_too_many_tokens) {
  const SampleRow row;
  EXPECT_STRNE(launch_sample({.rows = 1, .vocab = 40, .params = &row, .scratch_bytes = 8}, nullptr), nullptr);
  EXPECT_STRNE(launch_sample({.rows = 1, .vocab = kSampleVocabMax + 1, .params = &row}, nullptr), nullptr);
}

TEST(EmulatedCuda, an_equal_step_is_recorded_once_and_replayed) {
  const auto device = emulated::make_device();
  GraphCache graphs(*device);
  std::vector<uint16_t> residual(16, 0x3f80);  // ones
  std::vector<uint16_t> out(16);
  const std::vector<float> scale(16, 2.0F);
  const auto step = [&](float eps) {
    return std::vector<Work>{RmsNormLaunch{
        .residual = residual.data(), .scale = scale.data(), .eps = eps, .out = out.data(), .rows = 1, .width = 16}};
  };
  for (int i = 0; i < 4; ++i) {
    std::fill(out.begin(), out.end(), 0);
    graphs.run(step(0));
    EXPECT_EQ(out[15], 0x4000) << "run " << i;  // two
  }
  EXPECT_EQ(graphs.recorded(), 1);
  EXPECT_EQ(graphs.replayed(), 3);
  graphs.run(step(3));
  EXPECT_EQ(graphs.recorded(), 1);
  EXPECT_EQ(out[0], 0x3f80);
}

TEST(EmulatedCuda, refuses_what_it_has_no_kernels_for) {
  const auto backend = make({});
  EXPECT_FALSE(backend->supports({.kind = OpKind::kAttention, .dtype = DType::kBF16, .head_dim = 192}).has_value());
  EXPECT_FALSE(backend->supports({.kind = OpKind::kAttention, .dtype = DType::kBF16, .head_dim = 12}).has_value());
  EXPECT_FALSE(backend->supports({.kind = OpKind::kKvCache, .dtype = DType::kF16, .head_dim = 64}).has_value());
  EXPECT_FALSE(backend->supports({.kind = OpKind::kKvCache, .dtype = DType::kE4M3, .head_dim = 72}).has_value());
  EXPECT_TRUE(backend->supports({.kind = OpKind::kKvCache, .dtype = DType::kE4M3, .head_dim = 80}).has_value());
  EXPECT_FALSE(backend->supports({.kind = OpKind::kLinear, .dtype = DType::kI32, .in_features = 64}).has_value());
  EXPECT_FALSE(backend->supports({.kind = OpKind::kLinear, .dtype = DType::kQ4_0, .in_features = 33}).has_value());
  EXPECT_TRUE(backend->supports({.kind = OpKind::kLinear, .dtype = DType::kQ4_0, .in_features = 64}).has_value());
}

TEST(Emulator, copies_arrive_when_they_are_waited_for_and_not_before) {
  alignas(16) const char from[16] = "fifteen letters";
  emulated::run({.block = {32, 1, 1}, .shared_bytes = 16}, [&] {
    std::byte* shared = emulated::dynamic_shared();
    if (emulated::place().thread.x == 3) {
      emulated::async_copy(shared, from, 16, 0);
      emulated::async_commit();
      EXPECT_EQ(shared[0], std::byte{0xff});
      emulated::async_wait(0);
    }
    emulated::block_barrier();
    EXPECT_EQ(shared[0], std::byte{'f'});
  });
}

TEST(EmulatorDeath, says_so_when_threads_wait_for_each_other_for_ever) {
  const auto stand_still = [] {
    emulated::run({.block = {32, 1, 1}}, [] {
      const char nothing = 0;
      if (emulated::lane() == 0) {
        emulated::block_barrier();
      } else {
        emulated::warp_exchange(&nothing, 1);
      }
    });
  };
  EXPECT_DEATH(stand_still(), "the block stands still");
}

}  // namespace
}  // namespace cove::cuda

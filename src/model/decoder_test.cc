#include "model/decoder.h"

#include <numeric>

#include <gtest/gtest.h>

#include "model/testing/tiny_model.h"

namespace cove::model {
namespace {

using testing::TinyModel;
using testing::TinyShape;
using Row = std::vector<float>;

// One sequence over a decoder of its own, fed in pieces; its pages are scattered on purpose.
class Feeder {
 public:
  static constexpr int64_t kPageTokens = 4;
  static constexpr int64_t kPages = 64;

  explicit Feeder(const TinyModel& model) : backend_(make_reference_backend()) {
    auto decoder =
        Decoder::load(model.spec(), model.lookup(), *backend_, {.batch_tokens_max = 128, .logit_rows_max = 16});
    EXPECT_TRUE(decoder) << decoder.error().message;
    decoder_ = std::move(*decoder);
    auto cache = backend_->make_kv_cache(Decoder::kv_layout(model.spec(), kPageTokens, DType::kF32), kPages);
    EXPECT_TRUE(cache);
    cache_ = std::move(*cache);
    for (int32_t i = 0; i < kPages; ++i) pages_.push_back(static_cast<int32_t>((i * 37 + 5) % kPages));
  }

  // Logits of the rows asked for (indices into `tokens`).
  std::vector<Row> feed(std::span<const int32_t> tokens, std::vector<int32_t> rows) {
    std::vector<int32_t> positions(tokens.size());
    std::iota(positions.begin(), positions.end(), length_);
    std::vector<int32_t> slots;
    slots.reserve(positions.size());
    for (const int32_t p : positions) slots.push_back(pages_[static_cast<size_t>(p) / 4] * 4 + p % 4);
    length_ += static_cast<int32_t>(tokens.size());
    const std::vector<SequenceSlice> slices = {
        {.token_count = static_cast<int32_t>(tokens.size()), .kv_length = length_}};
    const StepBatch step{.tokens = tokens,
                         .positions = positions,
                         .slots = slots,
                         .sequences = slices,
                         .page_table = pages_,
                         .logit_rows = rows};
    backend_->begin_step(step);
    const TensorView logits = decoder_->forward(step, *cache_);
    EXPECT_TRUE(backend_->end_step());
    std::vector<Row> out;
    for (size_t i = 0; i < rows.size(); ++i) {
      const float* begin = logits.as<float>() + static_cast<int64_t>(i) * logits.shape[1];
      out.emplace_back(begin, begin + logits.shape[1]);
    }
    return out;
  }

  Decoder& decoder() { return *decoder_; }

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<KvCache> cache_;
  std::vector<int32_t> pages_;
  int32_t length_ = 0;
};

std::vector<int32_t> tokens_of(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 64);
  return tokens;
}

std::vector<TinyShape> shapes() {
  RopeSpec llama3;
  llama3.kind = RopeSpec::Kind::kLlama3;
  llama3.factor = 8;
  llama3.original_context = 16;
  llama3.interleaved = true;
  return {TinyShape{}, TinyShape{.qkv_bias = false, .tied = true},
          TinyShape{.layers = 3, .head_dim = 16, .qkv_bias = false, .qk_norm = true},
          TinyShape{.layers = 1, .kv_heads = 4, .rope = llama3}};
}

TEST(Decoder, decode_token_by_token_equals_one_whole_forward) {
  for (const TinyShape& shape : shapes()) {
    const TinyModel model(shape);
    const auto tokens = tokens_of(21, 3);
    std::vector<int32_t> all(tokens.size() - 5);
    std::iota(all.begin(), all.end(), 5);
    const auto whole = Feeder(model).feed(tokens, all);
    Feeder stepwise(model);
    for (size_t i = 0; i < tokens.size(); ++i) {
      const auto logits = stepwise.feed(std::span(tokens).subspan(i, 1), {0});
      if (i >= 5) {
        EXPECT_EQ(logits[0], whole[i - 5]) << "position " << i;
      }
    }
  }
}

TEST(Decoder, a_prompt_in_chunks_equals_a_whole_prompt) {
  for (const TinyShape& shape : shapes()) {
    const TinyModel model(shape);
    const auto tokens = tokens_of(40, 4);
    const auto whole = Feeder(model).feed(tokens, {39});
    for (const size_t chunk : {1U, 3U, 4U, 16U, 39U}) {
      Feeder feeder(model);
      std::vector<Row> last;
      for (size_t begin = 0; begin < tokens.size(); begin += chunk) {
        const auto piece = std::span(tokens).subspan(begin, std::min(chunk, tokens.size() - begin));
        const bool is_last = begin + piece.size() == tokens.size();
        last =
            feeder.feed(piece, is_last ? std::vector{static_cast<int32_t>(piece.size()) - 1} : std::vector<int32_t>{});
      }
      EXPECT_EQ(last[0], whole[0]) << "chunks of " << chunk;
    }
  }
}

TEST(Decoder, earlier_tokens_matter_and_their_order_too) {
  const TinyModel model;
  const std::vector<int32_t> tokens = {1, 2, 3, 4};
  const std::vector<int32_t> swapped = {2, 1, 3, 4};
  EXPECT_NE(Feeder(model).feed(tokens, {3}), Feeder(model).feed(swapped, {3}));
}

TEST(Decoder, names_a_missing_tensor) {
  TinyModel model;
  model.remove("layers.1.up.weight");
  const auto backend = make_reference_backend();
  const auto decoder = Decoder::load(model.spec(), model.lookup(), *backend, {});
  ASSERT_FALSE(decoder);
  EXPECT_EQ(decoder.error().code, ErrorCode::kDataCorrupt);
  EXPECT_NE(decoder.error().message.find("layers.1.up.weight"), std::string::npos) << decoder.error().message;
}

TEST(Decoder, names_a_tensor_of_wrong_shape) {
  TinyModel model;
  model.spec().layers[0].ffn_dim += 1;
  const auto backend = make_reference_backend();
  const auto decoder = Decoder::load(model.spec(), model.lookup(), *backend, {});
  ASSERT_FALSE(decoder);
  EXPECT_NE(decoder.error().message.find("layers.0.gate.weight"), std::string::npos) << decoder.error().message;
  EXPECT_NE(decoder.error().message.find("[48, 32]"), std::string::npos) << decoder.error().message;
}

TEST(Decoder, refuses_heads_that_do_not_divide) {
  TinyModel model;
  model.spec().layers[0].heads = 5;
  const auto backend = make_reference_backend();
  EXPECT_FALSE(Decoder::load(model.spec(), model.lookup(), *backend, {}));
}

TEST(Decoder, workspace_is_known_before_loading) {
  const TinyModel model;
  const DecoderLimits limits{.batch_tokens_max = 10, .logit_rows_max = 3};
  // residual, normed, delta 32 wide; qkv 64, attended 32, gated 48; kept 2 x 32; logits 64. f32, aligned to 64 bytes.
  const uint64_t expected = 4 * (10 * (3 * 32 + 64 + 32 + 48) + 3 * (32 + 32 + 64));
  EXPECT_NEAR(static_cast<double>(Decoder::workspace_bytes(model.spec(), DType::kF32, limits)),
              static_cast<double>(expected), 9 * 64);
}

}  // namespace
}  // namespace cove::model

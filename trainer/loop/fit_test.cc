#include "loop/fit.h"

#include <random>

#include <unistd.h>

#include <gtest/gtest.h>

#include "export/read_weights.h"
#include "export/weights_file.h"
#include "loop/generate.h"

namespace cove::trainer {
namespace {

constexpr int32_t kEnd = 0;
constexpr int32_t kBegin = 1;

StudentConfig toy_config() {
  StudentConfig config;
  config.vocab = 64;
  config.hidden = 64;
  config.layers = 2;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 32;
  config.ffn = 128;
  config.context = 64;
  return config;
}

// Documents that count upwards from a random start: learnable in a hundred steps.
class Fit : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() / ("cove_fit_test_" + std::to_string(::getpid()));
    std::filesystem::create_directories(dir_);
    std::mt19937 random(1);
    for (int64_t shard = 0; shard < 2; ++shard) {
      std::vector<Document> documents;
      for (int i = 0; i < 300; ++i) documents.push_back(counting_document(random));
      ASSERT_TRUE(write_shard(dir_, shard, documents));
    }
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  static Document counting_document(std::mt19937& random) {
    Document document;
    document.ids = {kBegin};
    const uint32_t start = 2 + random() % 40;
    const uint32_t length = 5 + random() % 8;
    for (uint32_t j = 0; j < length; ++j) document.ids.push_back(static_cast<uint16_t>(start + j));
    document.ids.push_back(kEnd);
    document.mask.assign(document.ids.size(), 1);
    return document;
  }

  FitOptions options(int64_t steps) const {
    FitOptions options;
    options.data_dir = dir_;
    options.batch_tokens = 512;
    options.document_max = 64;
    options.steps = steps;
    options.warmup_steps = 10;
    options.decay_steps = 30;
    options.learning_rate = 5e-3;
    options.log_every = 20;
    options.wrap_data = true;
    options.data_wait_s = 1;
    return options;
  }

  static void ignore_progress(const std::string&) {}

  std::filesystem::path dir_;
};

TEST_F(Fit, learns_to_count) {
  Student student(toy_config(), torch::kCPU, torch::kFloat, 7);
  const Result<FitResult> result = fit(student, options(80), ignore_progress);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->finished);
  EXPECT_LT(result->last_loss, 1.0);
  const auto answers = generate_greedy(student, {{kBegin, 5, 6, 7}, {kBegin, 20, 21, 22, 23}},
                                       {.tokens_max = 4, .sequences_at_once = 2, .end_token = kEnd});
  ASSERT_GE(answers[0].size(), 2U);
  EXPECT_EQ(answers[0][0], 8);
  EXPECT_EQ(answers[0][1], 9);
  EXPECT_EQ(answers[1][0], 24);
}

TEST_F(Fit, continuing_from_a_checkpoint_equals_one_run) {
  Student whole(toy_config(), torch::kCPU, torch::kFloat, 7);
  ASSERT_TRUE(fit(whole, options(24), ignore_progress));

  FitOptions halves = options(24);
  halves.checkpoint = dir_ / "checkpoint.pt";
  halves.checkpoint_every = 12;
  Student first(toy_config(), torch::kCPU, torch::kFloat, 7);
  FitOptions half = halves;
  half.seconds_max = 1e-9;  // ends before the first step: the checkpoint is the beginning
  ASSERT_TRUE(fit(first, half, ignore_progress));
  Student second(toy_config(), torch::kCPU, torch::kFloat, 99);  // its own draw is replaced by the checkpoint
  ASSERT_TRUE(fit(second, halves, ignore_progress));
  EXPECT_TRUE(torch::equal(whole.flat(), second.flat()));
}

TEST_F(Fit, refuses_a_checkpoint_of_another_shape) {
  FitOptions with_checkpoint = options(2);
  with_checkpoint.checkpoint = dir_ / "checkpoint.pt";
  Student student(toy_config(), torch::kCPU, torch::kFloat, 7);
  ASSERT_TRUE(fit(student, with_checkpoint, ignore_progress));
  StudentConfig wider = toy_config();
  wider.ffn = 256;
  Student other(wider, torch::kCPU, torch::kFloat, 7);
  const Result<FitResult> result = fit(other, with_checkpoint, ignore_progress);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(Fit, says_when_the_data_ends) {
  FitOptions once = options(1000);
  once.wrap_data = false;
  Student student(toy_config(), torch::kCPU, torch::kFloat, 7);
  const Result<FitResult> result = fit(student, once, ignore_progress);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
}

TEST_F(Fit, batches_are_full_and_predict_only_masked_tokens) {
  BatchSource source({.dir = dir_, .batch_tokens = 100, .document_max = 64, .wait_s = 0, .wrap = false});
  const Result<TokenBatch> batch = source.next();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->ids.size(), 100U);
  EXPECT_EQ(batch->starts.back(), 100);
  ASSERT_EQ(batch->rows.size(), batch->targets.size());
  for (size_t i = 0; i < batch->rows.size(); ++i) {
    const auto row = static_cast<size_t>(batch->rows[i]);
    EXPECT_EQ(batch->ids[row + 1], batch->targets[i]);
    EXPECT_EQ(batch->positions[row + 1], batch->positions[row] + 1);
  }
}

TEST_F(Fit, refuses_a_cut_off_shard) {
  const std::filesystem::path path = shard_path(dir_, 0);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  const Result<Shard> shard = read_shard(path);
  ASSERT_FALSE(shard);
  EXPECT_EQ(shard.error().code, ErrorCode::kDataCorrupt);
}

TEST_F(Fit, ends_by_the_clock_with_a_rate_of_zero) {
  FitOptions timed = options(1'000'000);
  timed.seconds_max = 1;
  timed.decay_seconds = 1;
  timed.checkpoint = dir_ / "checkpoint.pt";
  Student student(toy_config(), torch::kCPU, torch::kFloat, 7);
  const Result<FitResult> result = fit(student, timed, ignore_progress);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->finished);
  EXPECT_LT(result->steps_done, 1'000'000);
  EXPECT_TRUE(std::filesystem::exists(timed.checkpoint));
}

TEST_F(Fit, begins_with_the_weights_of_a_model_file) {
  const Student trained(toy_config(), torch::kCPU, torch::kFloat, 7);
  ASSERT_TRUE(write_weights(dir_ / "model.safetensors", trained.named_tensors()));
  Student student(toy_config(), torch::kCPU, torch::kFloat, 99);
  ASSERT_TRUE(read_weights(dir_, student));
  EXPECT_TRUE(torch::equal(student.flat(), trained.flat().to(torch::kBFloat16).to(torch::kFloat)));
}

TEST_F(Fit, refuses_a_model_of_another_shape_by_the_tensors_name) {
  const Student trained(toy_config(), torch::kCPU, torch::kFloat, 7);
  ASSERT_TRUE(write_weights(dir_ / "model.safetensors", trained.named_tensors()));
  StudentConfig wider = toy_config(), deeper = toy_config();
  wider.ffn = 256;
  deeper.layers = 3;
  Student wide(wider, torch::kCPU, torch::kFloat, 7), deep(deeper, torch::kCPU, torch::kFloat, 7);
  const Status other_shape = read_weights(dir_, wide), missing = read_weights(dir_, deep);
  ASSERT_FALSE(other_shape);
  EXPECT_NE(other_shape.error().message.find("'model.layers.0.mlp.gate_proj.weight' has shape [128, 64]"),
            std::string::npos)
      << other_shape.error().message;
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("'model.layers.2."), std::string::npos) << missing.error().message;
}

TEST(Student, documents_of_a_batch_do_not_see_each_other) {
  const torch::NoGradGuard guard;
  const Student student(toy_config(), torch::kCPU, torch::kFloat, 3);
  TokenBatch alone{.ids = {1, 8, 9}, .positions = {0, 1, 2}, .starts = {0, 3}, .rows = {}, .targets = {}, .longest = 3};
  TokenBatch packed{.ids = {1, 5, 6, 7, 1, 8, 9, 1, 4},
                    .positions = {0, 1, 2, 3, 0, 1, 2, 0, 1},
                    .starts = {0, 4, 7, 9},
                    .rows = {},
                    .targets = {},
                    .longest = 4};
  const torch::Tensor expected = student.forward(to_device(alone, torch::kCPU));
  const torch::Tensor actual = student.forward(to_device(packed, torch::kCPU)).narrow(0, 4, 3);
  EXPECT_LT((actual - expected).abs().max().item<double>(), 1e-5);
}

TEST(DirectStep, gives_the_loss_and_gradient_of_autograd) {
  if (!DirectStep::available()) GTEST_SKIP() << "this machine has no AMX";
  std::mt19937 random(5);
  TokenBatch batch;
  for (const int32_t length : {37, 50, 9}) {  // none a multiple of a tile
    batch.starts.push_back(static_cast<int32_t>(batch.ids.size()));
    for (int32_t i = 0; i < length; ++i) {
      if (i > 0 && random() % 3 > 0) {
        batch.rows.push_back(static_cast<int64_t>(batch.ids.size()) - 1);
        batch.targets.push_back(static_cast<int64_t>(random() % 64));
      }
      batch.ids.push_back(static_cast<int32_t>(random() % 64));
      batch.positions.push_back(i);
    }
  }
  batch.starts.push_back(static_cast<int32_t>(batch.ids.size()));
  batch.longest = 50;
  Student direct(toy_config(), torch::kCPU, torch::kBFloat16, 3), plain(toy_config(), torch::kCPU, torch::kFloat, 3);
  // Larger weights than a fresh student's, so that the softmaxes are not flat; the same values in both.
  direct.flat().mul_(4);
  plain.flat().copy_(direct.flat());
  const double loss = direct.backward(batch).item<double>(), expected = plain.backward(batch).item<double>();
  EXPECT_NEAR(loss, expected, 0.01 * expected);
  for (const ParameterGroup& group : plain.groups()) {
    const auto part = [&](const torch::Tensor& t) { return t.narrow(0, group.offset, group.elements()); };
    const torch::Tensor wanted = part(plain.flat_gradient()), difference = part(direct.flat_gradient()) - wanted;
    // bf16 keeps 8 bits at some thirty places of the way there and back, and sharp softmaxes amplify it: 0.06 was seen.
    EXPECT_LT(difference.norm().item<double>(), 0.1 * wanted.norm().item<double>()) << group.name;
  }
}

TEST_F(Fit, learns_in_bf16_too) {
  Student student(toy_config(), torch::kCPU, torch::kBFloat16, 7);
  const Result<FitResult> result = fit(student, options(80), ignore_progress);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_LT(result->last_loss, 1.0);
}

TEST(Generation, cached_steps_equal_the_whole_forward) {
  const torch::NoGradGuard guard;
  Student student(toy_config(), torch::kCPU, torch::kFloat, 3);
  TokenBatch batch;
  batch.ids = {1, 5, 6, 7, 8, 9};
  batch.positions = {0, 1, 2, 3, 4, 5};
  batch.starts = {0, 6};
  batch.longest = 6;
  const torch::Tensor hidden = student.forward(to_device(batch, torch::kCPU));
  Student::Cache cache = student.make_cache(1, 16);
  student.step(cache, torch::tensor({{1, 5, 6, 7}}, torch::kLong), torch::tensor({4}, torch::kLong));
  const torch::Tensor logits =
      student.step(cache, torch::tensor({{8, 9}}, torch::kLong), torch::tensor({2}, torch::kLong));
  const torch::Tensor embed = student.flat().narrow(0, 0, 64 * 64).view({64, 64});
  const torch::Tensor expected = torch::matmul(embed, hidden[5]);
  EXPECT_LT((logits[0] - expected).abs().max().item<double>(), 1e-4);
}

TEST(Optimizer, orthogonalise_brings_singular_values_near_one) {
  torch::manual_seed(1);
  const torch::Tensor m = torch::randn({3, 24, 40});
  const torch::Tensor values = torch::linalg_svdvals(orthogonalise(m));
  EXPECT_GT(values.min().item<double>(), 0.3);
  EXPECT_LT(values.max().item<double>(), 1.4);
}

TEST(Schedule, warms_up_stays_and_decays_to_near_zero) {
  FitOptions options;
  options.steps = 100;
  options.warmup_steps = 10;
  options.decay_steps = 20;
  options.learning_rate = 1.0;
  EXPECT_DOUBLE_EQ(scheduled_rate(options, 1, 0), 0.1);
  EXPECT_DOUBLE_EQ(scheduled_rate(options, 10, 0), 1.0);
  EXPECT_DOUBLE_EQ(scheduled_rate(options, 80, 0), 1.0);
  EXPECT_DOUBLE_EQ(scheduled_rate(options, 81, 0), 1.0);
  EXPECT_DOUBLE_EQ(scheduled_rate(options, 91, 0), 0.5);
  EXPECT_DOUBLE_EQ(scheduled_rate(options, 100, 0), 0.05);
}

TEST(Schedule, decays_by_the_clock_when_asked) {
  FitOptions options;
  options.warmup_steps = 10;
  options.learning_rate = 1.0;
  options.seconds_max = 100;
  options.decay_seconds = 80;
  EXPECT_DOUBLE_EQ(scheduled_rate(options, 5, 90), 0.5);  // still warming up
  EXPECT_DOUBLE_EQ(scheduled_rate(options, 50, 10), 1.0);
  EXPECT_DOUBLE_EQ(scheduled_rate(options, 50, 60), 0.5);
  EXPECT_DOUBLE_EQ(scheduled_rate(options, 50, 100), 0.0);
  EXPECT_DOUBLE_EQ(scheduled_rate(options, 50, 101), 0.0);
}

}  // namespace
}  // namespace cove::trainer

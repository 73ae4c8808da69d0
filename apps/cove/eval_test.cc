// cove eval: its arithmetic against a naive computation, its comparison of models, and the command from the outside.
#include <cmath>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>
#include <boost/json.hpp>

#include "backends/cpu/cpu_backend.h"
#include "base/file.h"
#include "base/json.h"
#include "command_testing.h"
#include "commands.h"
#include "eval_tasks.h"
#include "eval_text.h"
#include "logit_reader.h"

namespace cove::app {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kPositionsMax = 300;

std::string shipped_model() { return (fs::path(COVE_SOURCE_DIR) / "models" / "cove-mini").string(); }

class Eval : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("cove_eval_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(at(name)) << content;
    return at(name);
  }
  // Random weights, the same ones in every format.
  std::string random_model(const std::string& format) const {
    const std::string path = at(format + ".gguf");
    EXPECT_EQ(run_command(kModel, {"random", path, "--type", format}).exit_code, kDone);
    return path;
  }
  static std::unique_ptr<LogitReader> reader(const std::string& path) {
    auto files = engine::open_model_files(path);
    EXPECT_TRUE(files) << files.error().message;
    auto made =
        LogitReader::create(std::make_shared<engine::ModelFiles>(std::move(*files)),
                            std::move(*make_cpu_backend({.threads = 1, .isa = ""})), {.positions_max = kPositionsMax});
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  static Result<TextScore> score(LogitReader& model, LogitReader* against, const std::vector<int32_t>& ids,
                                 const TextOptions& options) {
    return score_text(model, against, ids, options, [](int64_t) {});
  }
  json::value eval_json(std::vector<std::string> arguments) const {
    arguments.emplace_back("--json");
    const Ran ran = run_command(kEval, std::move(arguments));
    EXPECT_EQ(ran.exit_code, kDone) << ran.err;
    auto report = parse_json(ran.out);
    EXPECT_TRUE(report) << ran.out;
    return report ? *report : json::value();
  }

  fs::path folder_;
};

std::vector<int32_t> some_ids(int64_t count, int64_t vocab) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>((i * i * 31 + 7 * i + 3) % vocab));
  return ids;
}

// -ln of the softmax's share of `target`, written as in a textbook.
double naive_surprise(std::span<const float> row, int32_t target) {
  double sum = 0;
  for (const float x : row) sum += std::exp(static_cast<double>(x));
  return -std::log(std::exp(static_cast<double>(row[static_cast<size_t>(target)])) / sum);
}

// Of ids[first], ids[first + 1], ... after what stands in front of each, read one token at a time.
double naive_sum(LogitReader& reader, std::span<const int32_t> ids, size_t first) {
  reader.begin();
  double sum = 0;
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    const auto row = reader.feed(ids.subspan(i, 1));
    EXPECT_TRUE(row);
    if (i + 1 >= first) sum += naive_surprise(*row, ids[i + 1]);
  }
  return sum;
}

TEST_F(Eval, perplexity_of_a_text_within_one_window_is_the_naive_one) {
  const auto model = reader(random_model("f32"));
  const auto ids = some_ids(150, model->vocab());  // more than one chunk
  const double naive = naive_sum(*model, ids, 1);
  const auto scored = score(*model, nullptr, ids, {.window = 200, .stride = 100, .bos = std::nullopt});
  ASSERT_TRUE(scored) << scored.error().message;
  EXPECT_EQ(scored->tokens, 149);
  EXPECT_EQ(scored->windows, 1);
  EXPECT_NEAR(scored->nats, naive, 1e-4 * naive);
  EXPECT_NEAR(scored->perplexity(), std::exp(naive / 149), 1e-3 * scored->perplexity());
}

TEST_F(Eval, windows_predict_each_token_once_with_what_they_hold_of_the_text) {
  const auto model = reader(random_model("f32"));
  const auto ids = some_ids(40, model->vocab());
  const int32_t bos = 1;
  // Windows of 11 tokens after a BOS: [0, 11), then [4, 15) predicting 11..14, [8, 19) predicting 15..18, ...
  double naive = 0;
  int64_t windows = 0;
  for (size_t begin_predicting = 0, end = 11; begin_predicting < ids.size(); ++windows) {
    const size_t begin = end - std::min<size_t>(end, 11);
    std::vector<int32_t> window = {bos};
    window.insert(window.end(), ids.begin() + static_cast<int64_t>(begin), ids.begin() + static_cast<int64_t>(end));
    naive += naive_sum(*model, window, 1 + begin_predicting - begin);
    begin_predicting = end;
    end = std::min(ids.size(), end + 4);
  }
  const auto scored = score(*model, nullptr, ids, {.window = 12, .stride = 4, .bos = bos});
  ASSERT_TRUE(scored) << scored.error().message;
  EXPECT_EQ(scored->tokens, 40);
  EXPECT_EQ(scored->windows, windows);
  EXPECT_NEAR(scored->nats, naive, 1e-4 * naive);
}

TEST_F(Eval, a_model_does_not_diverge_from_itself) {
  const std::string path = random_model("f32");
  const auto model = reader(path), same = reader(path);
  const auto scored = score(*model, same.get(), some_ids(60, model->vocab()), {.window = 32, .stride = 16, .bos = 1});
  ASSERT_TRUE(scored && scored->divergence);
  EXPECT_EQ(scored->divergence->mean, 0.0);
  EXPECT_EQ(scored->divergence->max, 0.0);
  EXPECT_EQ(scored->divergence->top1_share, 1.0);
  EXPECT_EQ(*scored->against_nats, scored->nats);
}

TEST_F(Eval, coarser_weights_diverge_more) {
  const auto model = reader(random_model("f32")), q8 = reader(random_model("q8_0")), q4 = reader(random_model("q4_0"));
  const auto ids = some_ids(60, model->vocab());
  const TextOptions options{.window = 64, .stride = 32, .bos = 1};
  const auto fine = score(*q8, model.get(), ids, options), coarse = score(*q4, model.get(), ids, options);
  ASSERT_TRUE(fine && coarse);
  EXPECT_GT(fine->divergence->mean, 0.0);
  EXPECT_GT(coarse->divergence->mean, 4 * fine->divergence->mean);
  EXPECT_LE(fine->divergence->median, fine->divergence->p99);
  EXPECT_LE(fine->divergence->p99, fine->divergence->max);
  EXPECT_EQ(*fine->against_nats, *coarse->against_nats);  // of the same reference
}

TEST(EvalArithmetic, divergence_is_that_of_the_definition) {
  // Softmaxes (1/2, 1/2) and (1/4, 3/4), and logits far from zero, where exp alone would overflow.
  const std::vector<float> even = {1000.0F, 1000.0F};
  const std::vector<float> skewed = {-500.0F, -500.0F + std::log(3.0F)};
  EXPECT_NEAR(log_sum_exp(even), 1000.0 + std::log(2.0), 1e-9);
  EXPECT_NEAR(kl_divergence(even, skewed), 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3.0), 1e-4);
  EXPECT_NEAR(kl_divergence(skewed, even), 0.25 * std::log(0.5) + 0.75 * std::log(1.5), 1e-4);
}

TEST_F(Eval, a_text_too_short_to_predict_is_refused) {
  const auto model = reader(random_model("f32"));
  EXPECT_FALSE(score(*model, nullptr, {5}, {.window = 8, .stride = 4, .bos = std::nullopt}));
  EXPECT_FALSE(score(*model, nullptr, {}, {.window = 8, .stride = 4, .bos = 1}));
  EXPECT_TRUE(score(*model, nullptr, {5}, {.window = 8, .stride = 4, .bos = 1}));
}

TEST_F(Eval, reports_a_text_and_its_comparison) {
  const std::string model = random_model("f32"), q8 = random_model("q8_0");
  const std::string text = write("text.txt", "The harbour wall was built in 1890. 港口的墙建于一八九〇年。\n");
  const json::value report = eval_json({q8, "--against", model, "--text", text, "--context", "32", "--stride", "8"});
  EXPECT_EQ(report.at("model").at("format").as_string(), "q8_0");
  EXPECT_EQ(report.at("against").at("format").as_string(), "f32");
  const json::value& scored = report.at("text");
  EXPECT_GT(scored.at("tokens").as_int64(), 32);
  EXPECT_GT(scored.at("windows").as_int64(), 1);
  EXPECT_NEAR(scored.at("perplexity").as_double(), std::exp(scored.at("nats_per_token").as_double()), 1e-6);
  EXPECT_GT(scored.at("kl_nats").at("mean").as_double(), 0.0);
  EXPECT_LE(scored.at("top1_agreement").as_double(), 1.0);
  EXPECT_EQ(report.as_object().if_contains("tasks"), nullptr);
  const Ran table = run_command(kEval, {model, "--text", text});
  EXPECT_EQ(table.exit_code, kDone) << table.err;
  EXPECT_NE(table.out.find("perplexity"), std::string::npos);
}

TEST_F(Eval, scores_exercises_by_task_and_language) {
  const std::string tasks =
      write("tasks.jsonl", R"({"messages":[{"role":"user","content":"12+30=?"}],"task":"sum","language":"en",)"
                           R"("check":{"kind":"number","want":["42"]}})"
                           "\n\n"
                           R"({"messages":[{"role":"user","content":"12+30=?"}],"task":"sum","language":"zh",)"
                           R"("answer":"forty-two, of course"})"
                           "\n");
  const json::value report = eval_json({shipped_model(), "--tasks", tasks, "--max-tokens", "200"});
  const json::value& scored = report.at("tasks");
  EXPECT_EQ(scored.at("all").at("count").as_int64(), 2);
  EXPECT_DOUBLE_EQ(scored.at("all").at("correct").as_double(), 0.5);
  EXPECT_DOUBLE_EQ(scored.at("all").at("closed").as_double(), 1.0);
  ASSERT_EQ(scored.at("by_task").as_array().size(), 2U);
  EXPECT_DOUBLE_EQ(scored.at("by_task").as_array()[0].at("correct").as_double(), 1.0);
  EXPECT_EQ(scored.at("by_task").as_array()[1].at("language").as_string(), "zh");
  EXPECT_DOUBLE_EQ(scored.at("by_task").as_array()[1].at("correct").as_double(), 0.0);
}

TEST_F(Eval, answers_that_are_cut_off_are_wrong_and_counted) {
  const std::string tasks = write("tasks.jsonl", R"({"messages":[{"role":"user","content":"12+30=?"}],"answer":"42"})"
                                                 "\n");
  const Ran ran =
      run_command(kEval, {shipped_model(), "--tasks", tasks, "--max-tokens", "2", "--json", "--wrong", "1"});
  ASSERT_EQ(ran.exit_code, kDone) << ran.err;
  const auto report = parse_json(ran.out);
  const json::value& all = report->at("tasks").at("all");
  EXPECT_EQ(all.at("cut").as_int64(), 1);
  EXPECT_DOUBLE_EQ(all.at("closed").as_double(), 0.0);
  EXPECT_NE(ran.err.find("wanted exact 42"), std::string::npos) << ran.err;
}

TEST_F(Eval, bad_tasks_are_refused_with_their_line) {
  const auto refused = [&](const std::string& line) {
    const Ran ran = run_command(kEval, {shipped_model(), "--tasks", write("bad.jsonl", "\n" + line + "\n")});
    EXPECT_EQ(ran.exit_code, kCouldNot) << line;
    return ran.err;
  };
  EXPECT_NE(refused("{oops").find("bad.jsonl line 2"), std::string::npos);
  EXPECT_NE(refused("[1]").find("JSON object"), std::string::npos);
  EXPECT_NE(refused(R"({"answer":"4"})").find("\"messages\""), std::string::npos);
  EXPECT_NE(refused(R"({"prompt":"2+2"})").find("\"answer\""), std::string::npos);
  EXPECT_NE(refused(R"({"prompt":7,"answer":"4"})").find("\"prompt\""), std::string::npos);
  EXPECT_NE(refused(R"({"messages":"hi","answer":"4"})").find("array"), std::string::npos);
  EXPECT_NE(refused(R"({"prompt":"2+2","check":{"kind":"vibes","want":["4"]}})").find("'vibes'"), std::string::npos);
  EXPECT_NE(refused("").find("no task"), std::string::npos);
  std::string words;
  for (int i = 0; i < 2100; ++i) words += "1 ";
  EXPECT_NE(refused(R"({"prompt":")" + words + R"(","answer":"4"})").find("task 1"), std::string::npos);
}

TEST_F(Eval, wrong_arguments_and_bad_files_are_refused) {
  const std::string model = random_model("f32"), text = write("text.txt", "some words");
  EXPECT_EQ(run_command(kEval, {model}).exit_code, kWrongUsage);
  EXPECT_EQ(run_command(kEval, {model, "--text", text, "--context", "1"}).exit_code, kWrongUsage);
  EXPECT_EQ(run_command(kEval, {model, "--text", text, "--temperature", "3"}).exit_code, kWrongUsage);
  EXPECT_EQ(run_command(kEval, {model, "--text", text, "--limit", "-1"}).exit_code, kWrongUsage);
  const auto err = [&](const std::vector<std::string>& arguments) {
    const Ran ran = run_command(kEval, arguments);
    EXPECT_EQ(ran.exit_code, kCouldNot);
    return ran.err;
  };
  EXPECT_NE(err({at("absent"), "--text", text}).find("absent"), std::string::npos);
  EXPECT_NE(err({model, "--text", at("absent.txt")}).find("absent.txt"), std::string::npos);
  EXPECT_NE(err({model, "--text", write("bad.txt", "a\xff")}).find("bad.txt"), std::string::npos);
  EXPECT_NE(err({model, "--text", text, "--context", "1000000"}).find("more than the model's"), std::string::npos);
  EXPECT_NE(err({model, "--text", text, "--context", "8", "--stride", "8"}).find("--stride 8"), std::string::npos);
  EXPECT_NE(err({model, "--against", shipped_model(), "--text", text}).find("cannot be compared"), std::string::npos);
}

// What the oracle's goldens hold, of the prompt as a whole, cut into pieces, and token by token.
TEST_F(Eval, logits_are_those_of_transformers) {
  const fs::path golden = fs::path(COVE_SOURCE_DIR) / "tests" / "golden" / "models" / "qwen3";
  const auto text = read_file(golden / "golden.json");
  ASSERT_TRUE(text);
  const auto wanted = parse_json(*text);
  ASSERT_TRUE(wanted);
  const json::value& prompt = wanted->at("prompts").as_array().back();
  const json::object request = {{"ids", prompt.at("ids")}, {"positions", prompt.at("positions")}, {"greedy", 64}};
  const std::string lines = write("requests.jsonl", json::serialize(request) + "\n");
  for (const char* chunk : {"2048", "37", "1"}) {
    const Ran ran = run_command(kEval, {golden.string(), "--logits", lines, "--device", "cpu", "--chunk", chunk});
    ASSERT_EQ(ran.exit_code, kDone) << ran.err;
    const auto got = parse_json(ran.out);
    ASSERT_TRUE(got) << ran.out;
    EXPECT_EQ(got->at("greedy"), prompt.at("greedy"));
    EXPECT_EQ(got->at("gaps").as_array().size(), 64U);
    const auto near = [](const json::value& a, const json::value& b) {
      const auto x = json::value_to<std::vector<double>>(a), y = json::value_to<std::vector<double>>(b);
      ASSERT_EQ(x.size(), y.size());
      for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 1e-3);
    };
    ASSERT_EQ(got->at("logits").as_array().size(), prompt.at("logits").as_array().size());
    for (size_t i = 0; i < prompt.at("logits").as_array().size(); ++i)
      near(got->at("logits").as_array()[i], prompt.at("logits").as_array()[i]);
    near(got->at("last"), prompt.at("logits_after_greedy"));
  }
}

TEST_F(Eval, logits_after_given_tokens_are_those_of_a_longer_prompt) {
  const std::string lines = write("requests.jsonl", R"({"ids":[5,6,7,8,9]})"
                                                    "\n\n"
                                                    R"({"ids":[5,6,7],"positions":[],"follow":[8,9]})");
  const Ran ran = run_command(kEval, {random_model("f32"), "--logits", lines, "--device", "cpu"});
  ASSERT_EQ(ran.exit_code, kDone) << ran.err;
  const size_t end = ran.out.find('\n');
  const auto whole = parse_json(ran.out.substr(0, end)), stepwise = parse_json(ran.out.substr(end + 1));
  ASSERT_TRUE(whole && stepwise) << ran.out;
  EXPECT_EQ(whole->at("logits").as_array()[0], stepwise->at("last"));
  EXPECT_EQ(stepwise->at("logits").as_array().size(), 0U);
  EXPECT_EQ(stepwise->at("greedy").as_array().size(), 2U);
  EXPECT_EQ(whole->as_object().if_contains("greedy"), nullptr);
}

TEST_F(Eval, bad_requests_for_logits_are_refused_with_their_line) {
  const std::string model = random_model("f32");
  const auto refused = [&](const std::string& line) {
    const Ran ran = run_command(kEval, {model, "--logits", write("bad.jsonl", "{\"ids\":[1]}\n" + line + "\n")});
    EXPECT_EQ(ran.exit_code, kCouldNot) << line;
    EXPECT_EQ(ran.out, "") << line;
    EXPECT_NE(ran.err.find("bad.jsonl: line 2"), std::string::npos) << ran.err;
    return ran.err;
  };
  EXPECT_NE(refused("[1]").find("JSON object"), std::string::npos);
  EXPECT_NE(refused("{}").find("at least one token"), std::string::npos);
  EXPECT_NE(refused(R"({"ids":7})").find("array of integers"), std::string::npos);
  EXPECT_NE(refused(R"({"ids":[1,99999999]})").find("\"ids\" must hold integers from 0"), std::string::npos);
  EXPECT_NE(refused(R"({"ids":[-1]})").find("\"ids\""), std::string::npos);
  EXPECT_NE(refused(R"({"ids":[1,2],"positions":[2]})").find("position 2"), std::string::npos);
  EXPECT_NE(refused(R"({"ids":[1,2],"positions":[1,0]})").find("ascend"), std::string::npos);
  EXPECT_NE(refused(R"({"ids":[1],"greedy":9223372036854775807})").find("context"), std::string::npos);
  EXPECT_NE(refused(R"({"ids":[1],"greedy":1,"follow":[2]})").find("not both"), std::string::npos);
  EXPECT_NE(refused(R"({"ids":[1],"steps":1})").find("\"steps\" is not known"), std::string::npos);
  const std::string good = write("good.jsonl", R"({"ids":[1]})");
  EXPECT_EQ(run_command(kEval, {model, "--logits", good, "--text", good}).exit_code, kWrongUsage);
  EXPECT_EQ(run_command(kEval, {model, "--logits", good, "--chunk", "0"}).exit_code, kWrongUsage);
  EXPECT_EQ(run_command(kEval, {model, "--logits", good, "--device", "tpu"}).exit_code, kWrongUsage);
  EXPECT_EQ(run_command(kEval, {model, "--logits", write("empty.jsonl", "\n")}).exit_code, kCouldNot);
}

TEST_F(Eval, reads_encrypted_models) {
  const std::string model = random_model("f32"), text = write("text.txt", "some words to read");
  ASSERT_EQ(run_command(kKey, {"new", at("key")}).exit_code, kDone);
  ASSERT_EQ(run_command(kEncrypt, {model, at("sealed.gguf"), "--key-file", at("key")}).exit_code, kDone);
  const json::value plain = eval_json({model, "--text", text});
  const json::value sealed = eval_json({at("sealed.gguf"), "--text", text, "--key-file", at("key")});
  EXPECT_EQ(plain.at("text").at("perplexity"), sealed.at("text").at("perplexity"));
  const Ran without = run_command(kEval, {at("sealed.gguf"), "--text", text});
  EXPECT_EQ(without.exit_code, kCouldNot);
  EXPECT_NE(without.err.find("sealed.gguf"), std::string::npos);
}

}  // namespace
}  // namespace cove::app

#include "engine/loading/model_files.h"

#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"
#include "tensor/io/safetensors.h"

namespace cove::engine {
namespace {

namespace fs = std::filesystem;

fs::path golden_models() { return fs::path(COVE_SOURCE_DIR) / "tests" / "golden" / "models"; }

// A copy of a golden model that a test may damage.
class ModelFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("cove_model_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path copy_of(const std::string& name) const {
    fs::copy(golden_models() / name, folder_);
    return folder_;
  }
  void replace_in(const std::string& file, std::string_view from, std::string_view to) const {
    std::string content = read_file(folder_ / file).value();
    const size_t at = content.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    content.replace(at, from.size(), to);
    ASSERT_TRUE(write_file_atomic(folder_ / file, content).has_value());
  }
  std::string message() const {
    const auto model = open_model_files(folder_);
    return model ? "accepted" : model.error().message;
  }
  fs::path folder_;
};

TEST_F(ModelFilesTest, every_golden_model_opens) {
  int opened = 0;
  for (const auto& entry : fs::directory_iterator(golden_models())) {
    const auto model = open_model_files(entry.path());
    ASSERT_TRUE(model.has_value()) << model.error().message;
    EXPECT_EQ(model->spec.vocab, 288);
    EXPECT_NE(model->tokenizer, nullptr);
    EXPECT_EQ(model->tokenizer->vocab_size(), 278);
    EXPECT_EQ(model->bos_token, "<|begin|>");
    EXPECT_EQ(model->eos_token, "<|end|>");
    EXPECT_NE(model->chat_template.find("add_generation_prompt"), std::string::npos);
    EXPECT_EQ(model->generation.temperature, 0.6);
    EXPECT_EQ(model->spec.eos_ids, std::vector<int32_t>{273});
    EXPECT_EQ(model->digest.size(), 7U + 64);
    const json::value golden = parse_json(read_file(entry.path() / "golden.json").value()).value();
    EXPECT_EQ(model->parameters, find_member(golden, "parameters")->as_int64()) << entry.path();
    ++opened;
  }
  EXPECT_EQ(opened, 7);
}

TEST_F(ModelFilesTest, a_sharded_directory_gives_every_tensor) {
  const auto model = open_model_files(golden_models() / "qwen2_untied");
  ASSERT_TRUE(model.has_value()) << model.error().message;
  EXPECT_EQ(model->container, "safetensors");
  EXPECT_EQ(model->weight_format, "f32");
  EXPECT_EQ(model->parameters, 98'880);
  EXPECT_EQ(model->weight_bytes, 98'880U * 4);
  EXPECT_EQ(model->spec.name, "qwen2_untied");
  EXPECT_EQ(model->find("layers.1.q.weight").shape, (Shape{64, 64}));
  EXPECT_EQ(model->find("layers.0.k.bias").shape, (Shape{32}));
  EXPECT_TRUE(model->find("lm_head.weight"));
  EXPECT_FALSE(model->find("layers.2.q.weight"));
  EXPECT_EQ(model->info("embed.weight")->name, "model.embed_tokens.weight");
}

TEST_F(ModelFilesTest, formats_are_told_apart) {
  EXPECT_EQ(open_model_files(golden_models() / "qwen2_bf16")->weight_format, "bf16");
  const auto tied = open_model_files(golden_models() / "qwen2_tied");
  EXPECT_TRUE(tied->spec.tied_embeddings);
  EXPECT_FALSE(tied->find("lm_head.weight"));
}

TEST_F(ModelFilesTest, end_tokens_of_all_places_are_joined) {
  copy_of("qwen2_tied");
  replace_in("generation_config.json", "273", "277");
  const auto model = open_model_files(folder_);
  ASSERT_TRUE(model.has_value()) << model.error().message;
  EXPECT_EQ(model->spec.eos_ids, (std::vector<int32_t>{273, 277}));
}

TEST_F(ModelFilesTest, a_configuration_that_does_not_fit_the_weights_is_refused) {
  copy_of("qwen2_tied");
  replace_in("config.json", "\"intermediate_size\": 96", "\"intermediate_size\": 128");
  EXPECT_EQ(message(), folder_.string() +
                           ": model.safetensors: tensor 'model.layers.0.mlp.gate_proj.weight' has shape [96, 64], the "
                           "configuration asks for [128, 64]");
}

TEST_F(ModelFilesTest, a_model_with_more_layers_than_files_is_refused) {
  copy_of("qwen3");
  replace_in("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
  // The list of layer types stays as it is: only its values matter.
  EXPECT_NE(message().find("tensor 'model.layers.2.input_layernorm.weight' of shape [64] is missing"),
            std::string::npos)
      << message();
}

TEST_F(ModelFilesTest, a_truncated_file_is_refused_with_tensor_and_range) {
  copy_of("llama");
  const auto file = folder_ / "model.safetensors";
  fs::resize_file(file, fs::file_size(file) - 1000);
  EXPECT_NE(message().find("model.safetensors: tensor '"), std::string::npos) << message();
  EXPECT_NE(message().find("the download is incomplete"), std::string::npos) << message();
}

TEST_F(ModelFilesTest, a_missing_shard_is_named) {
  copy_of("qwen2_untied");
  fs::remove(folder_ / "model-00002-of-00002.safetensors");
  EXPECT_NE(message().find("file 'model-00002-of-00002.safetensors' is named by the index but is not there"),
            std::string::npos)
      << message();
}

TEST_F(ModelFilesTest, a_tokenizer_of_another_model_is_refused) {
  copy_of("qwen2_tied");
  replace_in("tokenizer.json", "\"id\": 277", "\"id\": 300");
  EXPECT_NE(message().find("the tokenizer has ids up to 300, but the embedding only 288 rows"), std::string::npos)
      << message();
}

TEST_F(ModelFilesTest, missing_parts_are_named) {
  EXPECT_EQ(message(), folder_.string() + ": there is no such file or directory");
  copy_of("qwen2_tied");
  fs::remove(folder_ / "tokenizer.json");
  EXPECT_NE(message().find("tokenizer"), std::string::npos) << message();
  EXPECT_TRUE(open_model_files(folder_, {.tokenizer = OpenModelOptions::TokenizerUse::kOptional}).has_value());
  fs::remove(folder_ / "config.json");
  EXPECT_NE(message().find("config.json: cannot open"), std::string::npos) << message();
}

TEST_F(ModelFilesTest, the_digest_follows_the_files) {
  const std::string before = open_model_files(copy_of("qwen2_tied"))->digest;
  EXPECT_EQ(open_model_files(golden_models() / "qwen2_tied")->digest, before);
  replace_in("config.json", "\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": 2e-06");
  EXPECT_NE(open_model_files(folder_)->digest, before);
}

TEST_F(ModelFilesTest, a_template_file_wins_over_the_tokenizer_configuration) {
  copy_of("qwen2_tied");
  ASSERT_TRUE(write_file_atomic(folder_ / "chat_template.jinja", "{{ 1 }}").has_value());
  EXPECT_EQ(open_chat_template(folder_)->source, "{{ 1 }}");
  EXPECT_EQ(open_chat_template(folder_)->bos_token, "<|begin|>");
}

TEST_F(ModelFilesTest, a_list_of_templates_gives_the_default_one) {
  fs::create_directories(folder_);
  const std::string config = R"({"bos_token": {"content": "<s>"}, "eos_token": null,
    "chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})";
  ASSERT_TRUE(write_file_atomic(folder_ / "tokenizer_config.json", config).has_value());
  const auto found = open_chat_template(folder_);
  ASSERT_TRUE(found.has_value()) << found.error().message;
  EXPECT_EQ(found->source, "D");
  EXPECT_EQ(found->bos_token, "<s>");
  EXPECT_EQ(found->eos_token, "");
}

TEST_F(ModelFilesTest, a_published_gguf_vocabulary_gives_its_tokenizer) {
  const auto file = testing::testdata_root() / "tokenizers/ggml-vocab/llama.cpp/ggml-vocab-gpt-2.gguf";
  COVE_REQUIRE_TESTDATA(file);
  const auto tokenizer = open_tokenizer(file);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->encode("Hello world").value(), (std::vector<int32_t>{15496, 995}));
  const auto model = open_model_files(file);
  ASSERT_FALSE(model.has_value());
  EXPECT_NE(model.error().message.find("a family that Cove does not run"), std::string::npos) << model.error().message;
}

}  // namespace
}  // namespace cove::engine

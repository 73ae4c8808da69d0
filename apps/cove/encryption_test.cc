// Encrypted models from the outside: cove key, encrypt, decrypt, and every command that reads a model.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "command_testing.h"
#include "commands.h"
#include "engine/loading/model_files.h"
#include "engine/make_engine.h"
#include "model_key.h"
#include "open_engine.h"
#include "serve_config.h"
#include "serve_model_key.h"

namespace cove::app {
namespace {

namespace fs = std::filesystem;

class Encryption : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("cove_encryption_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    clear_environment();
    ASSERT_EQ(run_command(kKey, {"new", at("key")}).exit_code, kDone);
  }
  void TearDown() override {
    fs::remove_all(folder_);
    clear_environment();
  }
  static void clear_environment() {
    for (const char* name : {"COVE_MODEL_KEY", "COVE_MODEL_KEY_FILE", "COVE_MODEL_KEY_COMMAND"}) ::unsetenv(name);
  }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  static std::string golden(const std::string& name) {
    return (fs::path(COVE_SOURCE_DIR) / "tests" / "golden" / "models" / name).string();
  }
  // The golden model of that name, encrypted.
  std::string sealed(const std::string& name) const {
    const Ran ran = run_command(kEncrypt, {golden(name), at(name), "--key-file", at("key"), "--chunk-kb", "64"});
    EXPECT_EQ(ran.exit_code, kDone) << ran.err;
    return at(name);
  }
  std::string key_id(const std::string& name) const { return read_key_file(at(name))->id(); }
  fs::path folder_;
};

TEST_F(Encryption, keys_are_new_private_and_never_overwritten) {
  struct stat info{};
  ASSERT_EQ(::stat(at("key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  const std::string before = *read_file(at("key"));
  EXPECT_EQ(before.size(), 65U);
  const Ran again = run_command(kKey, {"new", at("key")});
  EXPECT_EQ(again.exit_code, kCouldNot);
  EXPECT_NE(again.err.find("exists already"), std::string::npos);
  EXPECT_EQ(*read_file(at("key")), before);
  const Ran printed = run_command(kKey, {"new"});
  EXPECT_EQ(printed.out.size(), 65U);
  EXPECT_NE(printed.out, before);
  EXPECT_EQ(run_command(kKey, {"id", at("key")}).out, key_id("key") + "\n");
  EXPECT_EQ(run_command(kKey, {"old"}).exit_code, kWrongUsage);
}

TEST_F(Encryption, a_round_trip_gives_the_same_folder) {
  const std::string model = sealed("qwen2_untied");
  const Ran ran = run_command(kDecrypt, {model, at("back"), "--key-file", at("key"), "--json"});
  ASSERT_EQ(ran.exit_code, kDone) << ran.err;
  const auto report = parse_json(ran.out);
  ASSERT_TRUE(report);
  EXPECT_EQ(find_member(*report, "key_id")->as_string(), key_id("key"));
  int files = 0;
  for (const auto& entry : fs::directory_iterator(golden("qwen2_untied"))) {
    EXPECT_EQ(*read_file(entry.path()), *read_file(folder_ / "back" / entry.path().filename()));
    ++files;
  }
  EXPECT_EQ(find_member(*report, "files")->as_int64(), files);
}

TEST_F(Encryption, an_encrypted_model_opens_as_the_same_model) {
  for (const char* name : {"llama", "qwen2_untied", "qwen2_bf16"}) {
    const auto plain = engine::open_model_files(golden(name));
    const auto opened = engine::open_model_files(sealed(name), {.key = *read_key_file(at("key"))});
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_TRUE(opened->encrypted);
    EXPECT_FALSE(plain->encrypted);
    EXPECT_EQ(opened->digest, plain->digest);
    EXPECT_EQ(opened->chat_template, plain->chat_template);
    EXPECT_EQ(opened->weight_bytes, plain->weight_bytes);
    EXPECT_GE(opened->weights->held_bytes(), plain->weight_bytes);
    EXPECT_EQ(plain->weights->held_bytes(), 0U);
    for (const auto& [canonical, container] : plain->container_names) {
      const auto expected = plain->weights->data(*plain->info(canonical));
      EXPECT_TRUE(std::ranges::equal(opened->weights->data(*opened->info(canonical)), expected)) << canonical;
    }
  }
}

TEST_F(Encryption, every_command_reads_an_encrypted_model) {
  const std::string model = sealed("llama");
  const std::vector<std::string> key = {"--key-file", at("key")};
  const auto with_key = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), key.begin(), key.end());
    return arguments;
  };
  const Ran inspected = run_command(kModel, with_key({"inspect", model}));
  EXPECT_EQ(inspected.exit_code, kDone) << inspected.err;
  EXPECT_NE(inspected.out.find("encrypted     yes"), std::string::npos) << inspected.out;
  EXPECT_EQ(run_command(kModel, with_key({"verify", model})).exit_code, kDone);
  EXPECT_NE(run_command(kModel, with_key({"list", at("")})).out.find("llama"), std::string::npos);
  const Ran said = run_command(kChat, with_key({"hello", "--model", model, "--max-tokens", "3", "--seed", "1"}));
  const Ran expected = run_command(kChat, {"hello", "--model", golden("llama"), "--max-tokens", "3", "--seed", "1"});
  EXPECT_EQ(said.exit_code, kDone) << said.err;
  EXPECT_EQ(said.out, expected.out);
  const Ran measured =
      run_command(kBench, with_key({model, "--prefill", "4", "--decode", "2", "--batch", "1", "--json"}));
  EXPECT_EQ(measured.exit_code, kDone) << measured.err;
  EXPECT_NE(measured.out.find("ready_gb_s"), std::string::npos);
  EXPECT_TRUE(engine::open_tokenizer(model, *read_key_file(at("key"))));
  EXPECT_FALSE(engine::open_chat_template(model, *read_key_file(at("key")))->source.empty());
}

TEST_F(Encryption, an_encrypted_gguf_answers_as_the_plain_one_whatever_its_name) {
  const std::string plain = at("tiny.gguf");
  ASSERT_EQ(run_command(kModel, {"random", plain, "--type", "q8_0"}).exit_code, kDone);
  ASSERT_EQ(run_command(kEncrypt, {plain, at("tiny.sealed"), "--key-file", at("key")}).exit_code, kDone);
  const std::vector<std::string> question = {"hello", "--max-tokens", "8", "--seed", "1", "--model"};
  auto asked = question;
  asked.push_back(plain);
  const Ran expected = run_command(kChat, asked);
  ASSERT_EQ(expected.exit_code, kDone) << expected.err;
  asked.back() = at("tiny.sealed");
  asked.insert(asked.end(), {"--key-file", at("key")});
  const Ran said = run_command(kChat, asked);
  EXPECT_EQ(said.exit_code, kDone) << said.err;
  EXPECT_EQ(said.out, expected.out);
}

// No second copy: q8_0 is repacked by the backend, so the decrypted original must be gone.
TEST_F(Encryption, weights_that_the_backend_copied_are_wiped) {
  ASSERT_EQ(run_command(kModel, {"random", at("tiny.gguf"), "--type", "q8_0"}).exit_code, kDone);
  ASSERT_EQ(run_command(kEncrypt, {at("tiny.gguf"), at("sealed.gguf"), "--key-file", at("key")}).exit_code, kDone);
  auto opened = engine::open_model_files(at("sealed.gguf"), {.key = *read_key_file(at("key"))});
  ASSERT_TRUE(opened) << opened.error().message;
  const auto files = std::make_shared<const engine::ModelFiles>(std::move(*opened));
  engine::EngineOptions options;
  options.sequences_max = 1;
  options.context_max = 256;
  options.kv_tokens_max = 256;
  auto backend = open_backend({.device = "cpu", .threads = 1});
  const auto engine = engine::make_engine(engine::model_parts(files, ""), std::move(*backend), options);
  ASSERT_TRUE(engine) << engine.error().message;
  const auto is_zero = [&](const char* name) {
    const auto bytes = files->weights->data(*files->info(name));
    return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
  };
  EXPECT_TRUE(is_zero("layers.0.q.weight"));
  EXPECT_TRUE(is_zero("layers.0.down.weight"));
  EXPECT_FALSE(is_zero("embed.weight")) << "the embedding is read where it lies";
}

TEST_F(Encryption, without_the_key_or_with_another_nothing_opens) {
  const std::string model = sealed("llama");
  const Ran none = run_command(kModel, {"verify", model});
  EXPECT_EQ(none.exit_code, kCouldNot);
  EXPECT_NE(none.err.find("is encrypted with key " + key_id("key")), std::string::npos) << none.err;
  ASSERT_EQ(run_command(kKey, {"new", at("other")}).exit_code, kDone);
  const Ran other = run_command(kChat, {"hello", "--model", model, "--key-file", at("other")});
  EXPECT_EQ(other.exit_code, kCouldNot);
  EXPECT_NE(other.err.find(key_id("key")), std::string::npos) << other.err;
  EXPECT_NE(other.err.find(key_id("other")), std::string::npos) << other.err;
  const Ran missing = run_command(kChat, {"hello", "--model", model, "--key-file", at("nowhere")});
  EXPECT_NE(missing.err.find("nowhere cannot be read"), std::string::npos) << missing.err;
}

TEST_F(Encryption, the_key_comes_from_flag_variable_file_or_command) {
  const std::string model = sealed("llama");
  const std::string hex = *read_file(at("key"));
  const auto opens = [&] { return run_command(kModel, {"verify", model}).exit_code == kDone; };
  EXPECT_FALSE(opens());
  ::setenv("COVE_MODEL_KEY_FILE", at("key").c_str(), 1);
  EXPECT_TRUE(opens());
  ::setenv("COVE_MODEL_KEY_COMMAND", ("cat " + at("key")).c_str(), 1);
  EXPECT_FALSE(opens()) << "both: which one?";
  ::unsetenv("COVE_MODEL_KEY_FILE");
  EXPECT_TRUE(opens());
  ::setenv("COVE_MODEL_KEY_COMMAND", "false", 1);
  EXPECT_FALSE(opens());
  ::setenv("COVE_MODEL_KEY", hex.c_str(), 1);
  EXPECT_TRUE(opens()) << "stronger than the others";
  EXPECT_EQ(std::getenv("COVE_MODEL_KEY"), nullptr) << "and taken out of the environment";
  ::setenv("COVE_MODEL_KEY", "not a key", 1);
  const Ran bad = run_command(kModel, {"verify", model});
  EXPECT_EQ(bad.exit_code, kCouldNot);
  EXPECT_NE(bad.err.find("COVE_MODEL_KEY is no key"), std::string::npos) << bad.err;
}

TEST_F(Encryption, serve_refuses_a_wrong_key_before_it_listens) {
  const std::string model = sealed("llama");
  ASSERT_EQ(run_command(kKey, {"new", at("other")}).exit_code, kDone);
  std::ofstream(at("cove.yaml")) << "model: {path: '" << model << "', key_file: '" << at("other") << "'}\n";
  const Ran ran = run_command(kServe, {"--config", at("cove.yaml"), "--data", at("data"), "--port", "0"});
  EXPECT_EQ(ran.exit_code, kCouldNot);
  EXPECT_EQ(ran.err.find("listening"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("is encrypted with key " + key_id("key") + ", but the given key is " + key_id("other")),
            std::string::npos)
      << ran.err;
  EXPECT_FALSE(fs::exists(at("data"))) << "nothing was begun";
}

TEST_F(Encryption, serve_takes_the_key_from_its_configuration) {
  const std::string model = sealed("llama");
  const auto key_of = [&](const std::string& yaml) {
    std::ofstream(at("cove.yaml")) << yaml;
    return served_model_key(load_config({.config = at("cove.yaml"), .data = {}}, {})->values, model);
  };
  const auto from_file = key_of("model: {key_file: '" + at("key") + "'}");
  ASSERT_TRUE(from_file) << from_file.error().message;
  EXPECT_EQ((*from_file)->id(), key_id("key"));
  const auto from_command = key_of("model: {key_command: 'cat " + at("key") + "'}");
  ASSERT_TRUE(from_command) << from_command.error().message;
  EXPECT_FALSE(key_of("model: {}"));
  ::setenv("COVE_MODEL_KEY", read_file(at("key"))->c_str(), 1);
  ASSERT_TRUE(load_config({}, {})) << "the key itself is no unknown setting";
  EXPECT_TRUE(key_of("model: {}"));
}

TEST_F(Encryption, rotation_in_place) {
  const std::string model = sealed("llama");
  ASSERT_EQ(run_command(kKey, {"new", at("next")}).exit_code, kDone);
  const std::vector<std::string> rotate = {"--rewrap", "--key-file", at("key"), "--new-key-file", at("next"), model};
  const Ran ran = run_command(kEncrypt, rotate);
  EXPECT_EQ(ran.exit_code, kDone) << ran.err;
  EXPECT_NE(ran.out.find("with key " + key_id("next")), std::string::npos) << ran.out;
  EXPECT_EQ(run_command(kModel, {"verify", model, "--key-file", at("key")}).exit_code, kCouldNot);
  EXPECT_EQ(run_command(kModel, {"verify", model, "--key-file", at("next")}).exit_code, kDone);
  EXPECT_EQ(run_command(kEncrypt, rotate).exit_code, kDone) << "again does no harm";
}

TEST_F(Encryption, wrong_usage_is_told) {
  EXPECT_EQ(run_command(kEncrypt, {golden("llama"), "--key-file", at("key")}).exit_code, kWrongUsage);
  EXPECT_EQ(run_command(kEncrypt, {"--rewrap", at("x"), "--key-file", at("key")}).exit_code, kWrongUsage);
  EXPECT_EQ(run_command(kEncrypt, {golden("llama"), at("x"), "--key-file", at("key"), "--chunk-kb", "1"}).exit_code,
            kWrongUsage);
  const Ran no_key = run_command(kEncrypt, {golden("llama"), at("x")});
  EXPECT_EQ(no_key.exit_code, kCouldNot);
  EXPECT_NE(no_key.err.find("cove key new"), std::string::npos) << no_key.err;
  const Ran plain = run_command(kDecrypt, {golden("llama"), at("x"), "--key-file", at("key")});
  EXPECT_NE(plain.err.find("is not encrypted"), std::string::npos) << plain.err;
}

}  // namespace
}  // namespace cove::app

// cove model, from the outside: arguments in, output and exit code out.
#include <cmath>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>
#include <boost/json/array.hpp>

#include "base/json.h"
#include "commands.h"
#include "engine/loading/model_files.h"
#include "model_report.h"
#include "random_model.h"
#include "spec/expected_tensors.h"

namespace cove::app {
namespace {

namespace fs = std::filesystem;

struct Ran {
  int exit_code;
  std::string out;
};

Ran run_model(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "model");
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const int exit_code = kModel.run(static_cast<int>(arguments.size()), arguments.data());
  ::testing::internal::GetCapturedStderr();
  return {exit_code, ::testing::internal::GetCapturedStdout()};
}

class ModelCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("cove_cmd_model_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  fs::path folder_;
};

TEST_F(ModelCommand, random_models_of_every_type_verify) {
  for (const char* type : {"f32", "f16", "bf16", "q8_0", "q4_0"}) {
    const std::string file = at(std::string(type) + ".gguf");
    ASSERT_EQ(run_model({"random", file.c_str(), "--type", type}).exit_code, kDone) << type;
    const Ran verified = run_model({"verify", file.c_str(), "--json"});
    EXPECT_EQ(verified.exit_code, kDone) << verified.out;
    EXPECT_TRUE(parse_json(verified.out)->at("ok").as_bool());
    const auto model = engine::open_model_files(file);
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model->weight_format, type);
    EXPECT_EQ(model->tokenizer->vocab_size(), model->spec.vocab);
  }
}

TEST_F(ModelCommand, a_random_directory_has_the_weights_of_the_file) {
  ASSERT_EQ(run_model({"random", at("d").c_str(), "--type", "f32"}).exit_code, kDone);
  ASSERT_EQ(run_model({"random", at("f.gguf").c_str(), "--type", "f32"}).exit_code, kDone);
  const auto directory = engine::open_model_files(at("d"));
  const auto file = engine::open_model_files(at("f.gguf"));
  ASSERT_TRUE(directory && file);
  EXPECT_EQ(directory->parameters, file->parameters);
  for (const ExpectedTensor& tensor : expected_tensors(directory->spec)) {
    const TensorView a = directory->find(tensor.name);
    const TensorView b = file->find(tensor.name);
    EXPECT_TRUE(std::equal(a.as<float>(), a.as<float>() + a.shape.elements(), b.as<float>())) << tensor.name;
  }
  EXPECT_EQ(directory->tokenizer->encode("a<|end|>").value(), file->tokenizer->encode("a<|end|>").value());
}

TEST_F(ModelCommand, wrong_arguments_are_wrong_usage) {
  EXPECT_EQ(run_model({}).exit_code, kWrongUsage);
  EXPECT_EQ(run_model({"explode"}).exit_code, kWrongUsage);
  EXPECT_EQ(run_model({"inspect"}).exit_code, kWrongUsage);
  EXPECT_EQ(run_model({"random", at("x").c_str(), "--shape", "671b"}).exit_code, kWrongUsage);
  EXPECT_EQ(run_model({"random", at("x").c_str(), "--type", "q8_0"}).exit_code, kCouldNot);
  EXPECT_EQ(run_model({"--help"}).exit_code, kDone);
}

TEST_F(ModelCommand, verify_names_the_damaged_tensor) {
  ASSERT_EQ(run_model({"random", at("x.gguf").c_str(), "--type", "f32"}).exit_code, kDone);
  const auto offset =
      static_cast<std::streamoff>(engine::open_model_files(at("x.gguf"))->info("layers.1.down.weight")->offset + 400);
  std::fstream file(at("x.gguf"), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(offset).write("\xff\xff\xff\xff", 4);
  file.close();
  const Ran verified = run_model({"verify", at("x.gguf").c_str()});
  EXPECT_EQ(verified.exit_code, kCouldNot);
  EXPECT_NE(verified.out.find("tensor 'blk.1.ffn_down.weight': value 100 is infinite or NaN (byte " +
                              std::to_string(offset) + " of the file)"),
            std::string::npos)
      << verified.out;
}

TEST_F(ModelCommand, inspect_shows_also_what_cannot_run) {
  ASSERT_EQ(run_model({"random", at("d").c_str()}).exit_code, kDone);
  const Ran good = run_model({"inspect", at("d").c_str(), "--json"});
  EXPECT_EQ(good.exit_code, kDone);
  const json::value report = parse_json(good.out).value();
  EXPECT_EQ(report.at("spec").at("family"), "qwen2");
  EXPECT_EQ(report.at("tensors").as_array().size(), 27U);
  std::ofstream(folder_ / "d" / "config.json") << R"({"model_type": "mamba"})";
  const Ran bad = run_model({"inspect", at("d").c_str()});
  EXPECT_EQ(bad.exit_code, kCouldNot);
  EXPECT_NE(bad.out.find("a family that Cove does not run"), std::string::npos) << bad.out;
  EXPECT_NE(bad.out.find("model.layers.0.mlp.down_proj.weight"), std::string::npos);
}

TEST_F(ModelCommand, list_finds_both_containers) {
  ASSERT_EQ(run_model({"random", at("d").c_str()}).exit_code, kDone);
  fs::create_directories(folder_ / "more");
  ASSERT_EQ(run_model({"random", at("more/f.gguf").c_str()}).exit_code, kDone);
  const Ran listed = run_model({"list", folder_.c_str(), "--json"});
  EXPECT_EQ(listed.exit_code, kDone);
  EXPECT_EQ(parse_json(listed.out)->as_array().size(), 2U);
  EXPECT_EQ(run_model({"list", at("nowhere").c_str()}).exit_code, kCouldNot);
}

TEST(RandomShape, shapes_have_the_published_number_of_parameters) {
  EXPECT_EQ(total_parameters(*random_shape("1.5b")), 1'777'088'000);
  EXPECT_EQ(total_parameters(*random_shape("7b")), 7'615'616'512);
  EXPECT_EQ(total_parameters(*random_shape("8b")), 8'030'261'248);
  EXPECT_FALSE(random_shape("9b").has_value());
}

TEST(RandomRows, depend_on_the_seed_and_not_on_how_they_are_cut) {
  const ModelSpec spec = *random_shape("tiny");
  std::vector<float> whole(256 * 4);
  std::vector<float> part(256);
  std::vector<float> other(256 * 4);
  ASSERT_TRUE(random_rows(spec, 1, 0.02F)("layers.1.o.weight", 8, whole));
  ASSERT_TRUE(random_rows(spec, 1, 0.02F)("layers.1.o.weight", 10, part));
  ASSERT_TRUE(random_rows(spec, 2, 0.02F)("layers.1.o.weight", 8, other));
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 512));
  EXPECT_NE(whole, other);
  double squares = 0;
  for (const float value : whole) squares += static_cast<double>(value) * static_cast<double>(value);
  EXPECT_NEAR(std::sqrt(squares / 1024), 0.02, 0.002);
}

}  // namespace
}  // namespace cove::app

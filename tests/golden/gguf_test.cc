// The golden models once more as GGUF files (permuted q and k of llama, rope factors as a tensor): the same weights
// must give the same tokens as transformers gave for the directory.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <boost/json.hpp>

#include "backends/cpu/cpu_backend.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/loading/model_files.h"
#include "engine/loading/model_writer.h"
#include "engine/make_engine.h"
#include "engine/testing/engine_fixture.h"
#include "tensor/decode.h"

namespace cove {
namespace {

namespace fs = std::filesystem;

fs::path golden_root() { return fs::path(COVE_SOURCE_DIR) / "tests" / "golden" / "models"; }

// Rows of an opened model.
engine::RowSource rows_of(const engine::ModelFiles& files) {
  return [&files](std::string_view name, int64_t first_row, std::span<float> rows) -> Status {
    const TensorView whole = files.find(name);
    std::vector<float> values(static_cast<size_t>(whole.shape.elements()));
    TRY(decode_to_f32(whole, values));
    const int64_t width = whole.shape[whole.shape.rank - 1];
    std::copy_n(values.begin() + first_row * width, rows.size(), rows.begin());
    return {};
  };
}

class GoldenGguf : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    path_ = fs::temp_directory_path() / fmt::format("cove_golden_{}_{}.gguf", GetParam(), ::getpid());
  }
  void TearDown() override { fs::remove(path_); }
  fs::path path_;
};

TEST_P(GoldenGguf, generates_what_transformers_generates) {
  const auto directory = engine::open_model_files(golden_root() / GetParam());
  ASSERT_TRUE(directory) << directory.error().message;
  const engine::SmallVocabulary vocabulary = engine::make_small_vocabulary(directory->spec.vocab);
  const Status written =
      engine::write_model(directory->spec, path_, rows_of(*directory),
                          {.dtype = DType::kF32, .threads = 2, .vocabulary = &vocabulary, .on_progress = {}});
  ASSERT_TRUE(written) << written.error().message;
  auto opened = engine::open_model_files(path_);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->spec.layers.front().rope.interleaved, opened->spec.family == "llama");
  EXPECT_EQ(opened->parameters, directory->parameters);
  auto files = std::make_shared<engine::ModelFiles>(std::move(*opened));
  auto engine = engine::make_engine(engine::model_parts(files, ""), make_reference_backend(), {.kv_tokens_max = 4096});
  ASSERT_TRUE(engine) << engine.error().message;
  const auto golden = parse_json(read_file(golden_root() / GetParam() / "golden.json").value()).value();
  for (const json::value& prompt : golden.at("prompts").as_array()) {
    engine::Request request;
    request.prompt = json::value_to<std::vector<int32_t>>(prompt.at("ids"));
    const auto greedy = json::value_to<std::vector<int32_t>>(prompt.at("greedy"));
    request.tokens_max = static_cast<int32_t>(greedy.size());
    request.sampling.temperature = 0;
    request.ignore_eos = true;
    EXPECT_EQ(testing::ask(**engine, std::move(request)).tokens, greedy) << prompt.at("length").as_int64();
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenGguf,
                         ::testing::Values("qwen2_tied", "qwen2_untied", "qwen2_bf16", "llama", "llama3", "llama_bias",
                                           "qwen3"),
                         [](const auto& model) { return model.param; });

}  // namespace
}  // namespace cove

#pragma once
// The golden models and how to feed them to a backend; no tests. Included by the tests of this folder.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "engine/loading/model_files.h"
#include "model/decoder.h"

namespace cove::golden {

namespace fs = std::filesystem;
using Row = std::vector<float>;

inline fs::path golden_root() { return fs::path(COVE_SOURCE_DIR) / "tests" / "golden" / "models"; }

inline std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(golden_root(), error)) {
    if (fs::exists(entry.path() / "golden.json")) names.push_back(entry.path().filename());
  }
  std::ranges::sort(names);
  return names;
}

struct GoldenPrompt {
  std::vector<int32_t> ids;
  std::vector<int32_t> positions;
  std::vector<Row> logits;  // one per position
  std::vector<int32_t> greedy;
  Row logits_after_greedy;
};

inline std::vector<GoldenPrompt> read_prompts(const fs::path& directory) {
  const auto text = read_file(directory / "golden.json");
  EXPECT_TRUE(text);
  const auto golden = parse_json(*text);
  EXPECT_TRUE(golden) << golden.error().message;
  std::vector<GoldenPrompt> prompts;
  for (const json::value& item : golden->at("prompts").as_array()) {
    prompts.push_back({.ids = json::value_to<std::vector<int32_t>>(item.at("ids")),
                       .positions = json::value_to<std::vector<int32_t>>(item.at("positions")),
                       .logits = json::value_to<std::vector<Row>>(item.at("logits")),
                       .greedy = json::value_to<std::vector<int32_t>>(item.at("greedy")),
                       .logits_after_greedy = json::value_to<Row>(item.at("logits_after_greedy"))});
  }
  return prompts;
}

// |a - b| / |b| over the row.
inline double relative_error(const Row& actual, const Row& expected) {
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double d = static_cast<double>(actual[i]) - static_cast<double>(expected[i]);
    difference += d * d;
    norm += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
  }
  return std::sqrt(difference / norm);
}

// One sequence, fed piece by piece to a decoder.
class Sequence {
 public:
  Sequence(const engine::ModelFiles& files, Backend& backend, DType cache_dtype = DType::kF32)
      : Sequence(files.spec, [&files](std::string_view name) { return files.find(name); }, backend, cache_dtype) {}
  Sequence(const ModelSpec& spec, const model::TensorLookup& tensors, Backend& backend, DType cache_dtype)
      : backend_(&backend) {
    auto decoder = model::Decoder::load(spec, tensors, backend, {.batch_tokens_max = 256, .logit_rows_max = 8});
    EXPECT_TRUE(decoder) << decoder.error().message;
    decoder_ = std::move(*decoder);
    auto cache = backend.make_kv_cache(model::Decoder::kv_layout(spec, 16, cache_dtype), 32);
    EXPECT_TRUE(cache) << cache.error().message;
    cache_ = std::move(*cache);
    pages_.resize(32);
    std::iota(pages_.rbegin(), pages_.rend(), 0);
  }

  std::vector<Row> feed(std::span<const int32_t> tokens, std::span<const int32_t> rows) {
    std::vector<int32_t> positions(tokens.size());
    std::iota(positions.begin(), positions.end(), length_);
    std::vector<int32_t> slots;
    slots.reserve(positions.size());
    for (const int32_t p : positions) slots.push_back(pages_[static_cast<size_t>(p / 16)] * 16 + p % 16);
    length_ += static_cast<int32_t>(tokens.size());
    const SequenceSlice slice{.token_count = static_cast<int32_t>(tokens.size()), .kv_length = length_};
    const StepBatch step{.tokens = tokens,
                         .positions = positions,
                         .slots = slots,
                         .sequences = {&slice, 1},
                         .page_table = pages_,
                         .logit_rows = rows};
    backend_->begin_step(step);
    const TensorView logits = decoder_->forward(step, *cache_);
    EXPECT_TRUE(backend_->end_step());
    std::vector<Row> out(rows.size(), Row(static_cast<size_t>(logits.shape[1])));
    for (size_t i = 0; i < out.size(); ++i) {
      const int64_t width = logits.shape[1];
      const TensorView row{
          .data = logits.as<float>() + static_cast<int64_t>(i) * width, .dtype = DType::kF32, .shape = {width}};
      EXPECT_TRUE(backend_->read_back(row, std::as_writable_bytes(std::span(out[i]))));
    }
    return out;
  }
  Row feed_one(int32_t token) {
    const int32_t row = 0;
    return feed({&token, 1}, {&row, 1})[0];
  }

 private:
  Backend* backend_;
  std::unique_ptr<model::Decoder> decoder_;
  std::unique_ptr<KvCache> cache_;
  std::vector<int32_t> pages_;
  int32_t length_ = 0;
};

struct Golden {
  engine::ModelFiles files;
  std::vector<GoldenPrompt> prompts;
  double tolerance = 1e-4;
  bool exact_weights = true;  // f32 weights: the backends multiply what transformers multiplied
};

inline Golden open_golden(const std::string& name) {
  Golden golden;
  auto files = engine::open_model_files(golden_root() / name);
  EXPECT_TRUE(files) << files.error().message;
  golden.files = std::move(*files);
  golden.prompts = read_prompts(golden_root() / name);
  golden.exact_weights = golden.files.weight_format == "f32";
  if (!golden.exact_weights) golden.tolerance = 2e-2;  // a backend may round activations to bf16 too
  return golden;
}

}  // namespace cove::golden

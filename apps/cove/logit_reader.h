#pragma once
// A model that is fed a token sequence piece by piece and gives the logits of every position: what perplexity and
// divergence are computed from. The decoder alone, without engine or sampling. Used by eval_text.cc; one thread.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "compute/backend.h"
#include "engine/loading/model_files.h"
#include "model/decoder.h"

namespace cove::app {

// The cache's format where there is no engine to choose: as asked for (engine::is_kv_format), or with auto bf16, f32
// for weights in f32.
DType cache_dtype(const std::string& kv_format, const std::string& weight_format);

class LogitReader {
 public:
  static constexpr int64_t kRowsMax = 128;  // of one step; bounds the logits held: 128 rows of the vocabulary
  struct Sizes {
    int64_t positions_max = 0;        // of the sequence
    int64_t chunk_tokens = kRowsMax;  // of one step
    std::string kv_format = "auto";
  };

  // Loads the weights into `backend` and takes a cache for one sequence. Errors: those of model::Decoder::load and of
  // the cache (memory).
  static Result<std::unique_ptr<LogitReader>> create(std::shared_ptr<const engine::ModelFiles> files,
                                                     std::unique_ptr<Backend> backend, const Sizes& sizes);

  // Forgets the sequence.
  void begin() { length_ = 0; }
  // Appends tokens whose logits are not wanted, any number.
  Status skip(std::span<const int32_t> tokens);
  // Appends at most kRowsMax (and chunk_tokens) and gives their logits, [tokens.size(), vocab] f32 row-major: row i
  // says what follows tokens[i]. Valid until the next call. Errors: of the device.
  Result<std::span<const float>> feed(std::span<const int32_t> tokens);
  // Appends at most chunk_tokens in one step and gives the logits that follow some of them: `rows`, at most kRowsMax
  // indices of tokens, ascending. [rows.size(), vocab].
  Result<std::span<const float>> feed(std::span<const int32_t> tokens, std::span<const int32_t> rows);

  int64_t chunk_tokens() const { return sizes_.chunk_tokens; }
  int64_t vocab() const { return files_->spec.vocab; }
  const engine::ModelFiles& files() const { return *files_; }

 private:
  LogitReader(std::shared_ptr<const engine::ModelFiles> files, std::unique_ptr<Backend> backend)
      : files_(std::move(files)), backend_(std::move(backend)) {}
  // One step over at most chunk_tokens; a null view without `rows`.
  Result<TensorView> step(std::span<const int32_t> tokens, std::span<const int32_t> rows);

  std::shared_ptr<const engine::ModelFiles> files_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<model::Decoder> decoder_;
  std::unique_ptr<KvCache> cache_;
  Sizes sizes_;
  int64_t length_ = 0;
  std::vector<int32_t> positions_, pages_, all_rows_;
  std::vector<float> logits_;
};

}  // namespace cove::app

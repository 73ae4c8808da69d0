#pragma once
// Writes a whole model of any supported family: a Hugging Face directory (config.json, model.safetensors) or one .gguf
// file, by the path's extension. Streams: memory stays at some tens of megabytes. Called by `cove model random` and by
// tests that need another container of the same weights.

#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "engine/loading/vocabulary_writer.h"
#include "spec/model_spec.h"
#include "tensor/dtype.h"

namespace cove::engine {

// The values of some rows of a tensor, as Hugging Face orders them: rows.size() is a multiple of the row's length;
// vectors are one row. Called from several threads at once. Errors stop the writing.
using RowSource = std::function<Status(std::string_view canonical_name, int64_t first_row, std::span<float> rows)>;

struct WriteModelOptions {
  DType dtype =
      DType::kBF16;  // of matrices; norms and biases are f32 in GGUF, and of this type (f32 for quantised) elsewhere
  int threads = 1;
  const SmallVocabulary* vocabulary = nullptr;                                 // null: the model gets no tokenizer
  std::function<void(uint64_t bytes_done, uint64_t bytes_total)> on_progress;  // may be empty
};

// An existing file (or model.safetensors and config.json of a directory) is replaced when complete. Errors:
// kUnsupported for quantised safetensors and for yarn in GGUF, kIo.
Status write_model(const ModelSpec& spec, const std::filesystem::path& path, const RowSource& rows,
                   const WriteModelOptions& options);

}  // namespace cove::engine

#pragma once
// A model as it lies on disk, opened and checked: a Hugging Face directory or one .gguf file. Called by make_engine,
// the commands and the tests. Nothing is copied: weights are views of mapped files, so opening takes no memory for
// them; an encrypted model is decrypted once, into memory that is then read like a mapping.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "spec/generation_defaults.h"
#include "spec/model_spec.h"
#include "tensor/io/seal_key.h"
#include "tensor/io/weight_source.h"
#include "tensor/tensor_view.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::engine {

// Immutable after opening; may be read from any thread. Must outlive every TensorView it gave.
class ModelFiles {
 public:
  ModelFiles() = default;
  ModelFiles(ModelFiles&&) = default;
  ModelFiles& operator=(ModelFiles&&) = default;

  // The host tensor of a canonical name (spec/model_spec.h), not to be written to; a null view when the model has none,
  // such as lm_head.weight of tied embeddings. Shapes have been checked against `spec`.
  TensorView find(std::string_view canonical_name) const;
  // Where that tensor lies, for messages; nullptr when there is none.
  const TensorInfo* info(std::string_view canonical_name) const;
  // A backend has its own copy of this tensor: its memory goes back (WeightSource::release).
  void release(std::string_view canonical_name) const;

  std::filesystem::path path;
  std::string container;  // "safetensors" or "gguf"
  bool encrypted = false;
  ModelSpec spec;  // eos_ids: of config, generation config and tokenizer together
  std::unique_ptr<WeightSource> weights;
  std::map<std::string, std::string, std::less<>> container_names;  // by canonical name
  std::unique_ptr<text::Tokenizer> tokenizer;  // null when the model has none that Cove reads (OpenModelOptions)
  std::string tokenizer_problem;               // why not; empty otherwise
  std::string chat_template;                   // Jinja source; empty when the model has none
  std::string bos_token;                       // texts, as templates want them; may be empty
  std::string eos_token;
  GenerationDefaults generation;
  std::string digest;  // "sha256:..." over names, sizes and headers of the files: tells models apart, not bit flips
  std::string weight_format;  // of most of the layers' bytes: "bf16", "q4_0"
  int64_t parameters = 0;     // the embedding counted once when tied
  uint64_t weight_bytes = 0;  // of the tensors the spec names
};

struct OpenModelOptions {
  enum class TokenizerUse : uint8_t { kRequired, kOptional, kNone };
  TokenizerUse tokenizer = TokenizerUse::kRequired;
  std::optional<SealKey> key = std::nullopt;  // of an encrypted model
};

// Checks everything that can be checked without reading the weights: containers, configuration, every tensor's presence
// and shape, tokenizer. Errors name file and tensor, what was expected and what was found.
Result<ModelFiles> open_model_files(const std::filesystem::path& path, const OpenModelOptions& options = {});

// Only the tokenizer of a model, or of a directory (or file) that has no more than tokenizer.json.
Result<std::unique_ptr<text::Tokenizer>> open_tokenizer(const std::filesystem::path& path,
                                                        const std::optional<SealKey>& key = std::nullopt);

// Only the chat template's source and the texts of the special tokens, of a model or a bare tokenizer directory.
struct ChatTemplateSource {
  std::string source;  // empty when there is none
  std::string bos_token;
  std::string eos_token;
};
Result<ChatTemplateSource> open_chat_template(const std::filesystem::path& path,
                                              const std::optional<SealKey>& key = std::nullopt);

}  // namespace cove::engine

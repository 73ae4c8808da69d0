#pragma once
// Writes token shards of the training mix, several at a time; shard i depends on the seed and i alone.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "loop/token_shards.h"
#include "tasks/generator.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::trainer {

struct ProducerOptions {
  std::filesystem::path dir;
  int64_t first = 0;
  int64_t count = 1;
  int64_t threads = 1;
  int64_t samples_per_shard = 8192;
  double corpus_share = 0.03;  // of the documents
  uint64_t seed = 1;
  TaskMix mix = default_mix();
};

// The documents of one shard: tasks, and passages of `corpus` (may be empty) to be predicted as a whole.
Result<std::vector<Document>> shard_documents(const ProducerOptions& options, int64_t shard,
                                              const std::vector<std::string>& corpus, const text::Tokenizer& tokenizer);

// Returns the tokens written. Errors: the first that any thread met.
Result<int64_t> produce_shards(const ProducerOptions& options, const std::vector<std::string>& corpus,
                               const text::Tokenizer& tokenizer);

}  // namespace cove::trainer

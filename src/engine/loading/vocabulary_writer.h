#pragma once
// A byte-level tokenizer for made-up models, in both containers' forms: the 256 bytes, filler tokens "<t300>" up to the
// embedding's size (so that whatever a random model says is visible), and two control tokens at its end.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/io/gguf_writer.h"

namespace cove::engine {

struct SmallVocabulary {
  std::vector<std::string> tokens;  // in the printable form of byte-level BPE
  int32_t bos_id = 0;
  int32_t eos_id = 0;
  std::string chat_template;
};

// size is at least 258.
SmallVocabulary make_small_vocabulary(int64_t size);

void add_vocabulary(GgufPairs& pairs, const SmallVocabulary& vocabulary);
// tokenizer.json and tokenizer_config.json.
Status write_tokenizer_files(const std::filesystem::path& directory, const SmallVocabulary& vocabulary);

}  // namespace cove::engine

#pragma once
// Token shards: what `cove-train data` writes and `cove-train fit` reads, in order, maybe while they are still being
// written.
//
// shard-000000.bin: "COVESHD1", u32 documents, u32 tokens, u32 length of each document, u16 ids of all documents, u8
// mask of all (1 = this token is to be predicted). Little-endian. A shard appears under its name only when it is
// complete.

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/result.h"

namespace cove::trainer {

struct Document {
  std::vector<uint16_t> ids;  // begins with BOS, ends with EOS
  std::vector<uint8_t> mask;  // same length
};

std::filesystem::path shard_path(const std::filesystem::path& dir, int64_t index);

// Errors: kInvalidArgument for a document of mismatched lengths, kIo.
Status write_shard(const std::filesystem::path& dir, int64_t index, std::span<const Document> documents);

struct Shard {
  std::vector<uint32_t> lengths;
  std::vector<uint16_t> ids;
  std::vector<uint8_t> mask;
};
Result<Shard> read_shard(const std::filesystem::path& path);

// One step's tokens: whole documents packed end to end; the last one is cut to fill the batch exactly.
struct TokenBatch {
  std::vector<int32_t> ids;        // [T]
  std::vector<int32_t> positions;  // [T] restarting at 0 in each document
  std::vector<int32_t> starts;     // [documents + 1] first token of each document, then T
  std::vector<int64_t> rows;       // token rows whose next token is to be predicted
  std::vector<int64_t> targets;    // that next token, one per row
  int32_t longest = 0;             // tokens of the longest document
};

// Where a training run stands in its data; part of a checkpoint.
struct DataPosition {
  int64_t shard = 0;
  int64_t document = 0;  // within the shard
};

class BatchSource {
 public:
  // wait_s: how long to wait for a shard that does not exist yet. document_max: longer documents are cut.
  struct Options {
    std::filesystem::path dir;
    int64_t batch_tokens = 0;
    int64_t document_max = 2048;
    int64_t wait_s = 60;
    bool wrap = false;  // begin again with shard 0 when the data ends
  };
  explicit BatchSource(Options options, DataPosition begin = {}) : options_(std::move(options)), position_(begin) {}

  // Errors: kNotFound when the data ends (and wrap is off), kDataCorrupt.
  Result<TokenBatch> next();
  DataPosition position() const { return position_; }

 private:
  Status open_shard();

  Options options_;
  DataPosition position_;
  int64_t loaded_ = -1;
  Shard shard_;
  std::vector<size_t> offsets_;  // of each document in shard_.ids
};

}  // namespace cove::trainer

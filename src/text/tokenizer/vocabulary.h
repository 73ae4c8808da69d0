#pragma once
// Ids and the bytes they stand for, both ways: one pool of bytes, one flat hash table. Immutable once sealed.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cove::text {

// Real vocabularies have up to a quarter of a million entries; what a hostile file names must not cost more memory than
// this many.
inline constexpr int64_t kTokenIdEnd = int64_t{1} << 21;

class Vocabulary {
 public:
  // `indexed` tokens are found by find(); the others (added tokens) only have bytes. Errors: an id out of range or
  // given twice.
  Status add(int64_t id, std::string_view bytes, bool indexed);
  // Gives an id other bytes, adding it when it is new: added tokens show their text, whatever the model's list says.
  Status replace(int64_t id, std::string_view bytes);
  // Builds the index; add() must not be called afterwards. When two ids have the same bytes, find() gives the lower
  // one.
  void seal();

  std::string_view bytes(int32_t id) const {
    if (id < 0 || static_cast<size_t>(id) >= tokens_.size()) return {};
    const Token& token = tokens_[static_cast<size_t>(id)];
    return std::string_view(pool_).substr(token.offset, token.length);
  }
  bool has(int64_t id) const {
    return id >= 0 && static_cast<size_t>(id) < tokens_.size() && tokens_[static_cast<size_t>(id)].present;
  }
  std::optional<int32_t> find(std::string_view bytes) const;
  // One more than the largest id.
  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }

 private:
  struct Token {
    uint64_t offset : 62 = 0;
    uint64_t present : 1 = 0;
    uint64_t indexed : 1 = 0;
    uint32_t length = 0;
    uint32_t hash = 0;
  };

  Status set(int64_t id, std::string_view bytes, bool indexed);

  std::string pool_;
  std::vector<Token> tokens_;
  std::vector<int32_t> slots_;  // open addressing; -1 is free
};

}  // namespace cove::text

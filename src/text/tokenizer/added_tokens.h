#pragma once
// Added tokens (special or not): strings that become one id wherever they stand in a text, before anything is split
// into words.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer/function_ref.h"

namespace cove::text {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool special = false;      // a control token: left out of what readers see
  bool normalized = false;   // looked for in the normalized text instead of the raw one
  bool single_word = false;  // not inside a longer word
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
};

// Finds added tokens: the leftmost first, of several at one place the longest. Immutable; safe from any thread.
class AddedTokenMatcher {
 public:
  // Errors: a token longer than content_bytes_max.
  static Result<AddedTokenMatcher> create(const std::vector<AddedToken>& tokens);
  static constexpr size_t kContentBytesMax = 4096;

  bool empty() const { return tokens_.empty(); }

  // Cuts `text` at the tokens: calls `found` with an id, or with text between tokens (never empty), in order. Stops at
  // the first error and returns it.
  using TextSink = FunctionRef<Status(std::string_view)>;
  using TokenSink = FunctionRef<void(int32_t)>;
  Status cut(std::string_view text, TextSink text_between, TokenSink token) const;

 private:
  struct Node {
    int32_t child = -1;    // first child
    int32_t sibling = -1;  // next child of the same parent
    int32_t token = -1;    // index into tokens_ when a token ends here
    unsigned char byte = 0;
  };
  struct Match {
    size_t begin = 0;
    size_t end = 0;
    const AddedToken* token = nullptr;
  };

  void insert(size_t index);
  int32_t child_of(int32_t node, unsigned char byte) const;
  std::optional<Match> find(std::string_view text, size_t from) const;
  size_t next_start(std::string_view text, size_t from) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  int32_t roots_[256];        // by first byte
  int only_first_byte_ = -1;  // when all tokens start with the same byte ('<' mostly)
};

}  // namespace cove::text

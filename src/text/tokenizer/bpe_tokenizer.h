#pragma once
// The Tokenizer for byte-level BPE: added tokens, normalization, pre-tokenizer, merges. The loaders (load_*.cc) fill
// Parts; each knows one published form.

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/bpe_model.h"
#include "text/tokenizer/pre_tokenizer.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::text {

class BpeTokenizer final : public Tokenizer {
 public:
  enum class Normalization { kNone, kNfc };

  struct Parts {
    BpeModel model;
    PreTokenizer pre_tokenizer;
    Normalization normalization = Normalization::kNone;
    std::vector<AddedToken> added = {};
    std::vector<int32_t> prefix = {};  // what add_special puts before
    std::vector<int32_t> suffix = {};  // and after
    std::optional<int32_t> bos_id = {};
    std::optional<int32_t> eos_id = {};
  };

  static Result<std::unique_ptr<Tokenizer>> create(Parts parts);

  Result<std::vector<int32_t>> encode(std::string_view text, const EncodeOptions& options) const override;
  std::string_view token_bytes(int32_t id) const override { return parts_.model.vocabulary().bytes(id); }
  bool is_control(int32_t id) const override {
    return id >= 0 && static_cast<size_t>(id) < control_.size() && control_[static_cast<size_t>(id)];
  }
  std::optional<int32_t> find_token(std::string_view text) const override;
  int32_t vocab_size() const override { return parts_.model.vocabulary().size(); }
  std::optional<int32_t> bos_id() const override { return parts_.bos_id; }
  std::optional<int32_t> eos_id() const override { return parts_.eos_id; }

 private:
  explicit BpeTokenizer(Parts parts) : parts_(std::move(parts)) {}
  Status install_added_tokens();
  Status set_bytes(const AddedToken& token);
  Status encode_with_added(std::string_view text, std::vector<int32_t>& ids) const;
  Status encode_plain(std::string_view text, std::vector<int32_t>& ids) const;
  std::string_view normalize(std::string_view text, std::string& buffer) const;

  Parts parts_;
  AddedTokenMatcher raw_matcher_;         // tokens looked for before normalization
  AddedTokenMatcher normalized_matcher_;  // and after it
  std::unordered_map<std::string, int32_t> added_ids_;
  std::vector<bool> control_;  // by id
};

}  // namespace cove::text

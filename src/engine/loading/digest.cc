#include "engine/loading/digest.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "base/check.h"

namespace cove::engine {
namespace {

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    COVE_CHECK(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void add(std::span<const std::byte> bytes) {
    COVE_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text.data(), text.size()))); }
  std::string finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned length = 0;
    COVE_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), &length) == 1);
    std::string text = "sha256:";
    for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

bool belongs_to_model(std::string_view name) {
  static constexpr std::string_view kNames[] = {"config.json", "generation_config.json", "tokenizer.json",
                                                "tokenizer_config.json", "chat_template.jinja"};
  return name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json") ||
         std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

// What tells two files of one size apart without reading the weights: the length and the JSON before the data.
Result<uint64_t> safetensors_head_bytes(const FileSource& files, const std::string& name, uint64_t file_bytes) {
  uint64_t length = 0;
  TRY_ASSIGN(const std::string head, files.read_head(name, sizeof(length)));
  if (head.size() == sizeof(length)) std::memcpy(&length, head.data(), sizeof(length));
  return head.size() + std::min<uint64_t>(length, file_bytes - head.size());
}

Status add_file(Sha256& sha, const FileSource& files, const std::string& name, uint64_t head_bytes) {
  TRY_ASSIGN(const uint64_t bytes, files.size(name));
  head_bytes = std::min(head_bytes, bytes);
  TRY_ASSIGN(const std::string head, files.read_head(name, head_bytes));
  sha.add(fmt::format("{}\n{}\n{}\n", name, bytes, head_bytes));
  sha.add(head);
  return {};
}

}  // namespace

Result<std::string> model_digest(const ModelSource& source, uint64_t head_bytes_of_gguf) {
  Sha256 sha;
  const FileSource& files = *source.files;
  if (!source.gguf.empty()) {
    TRY(add_file(sha, files, source.gguf, head_bytes_of_gguf));
    return sha.finish();
  }
  for (const std::string& name : files.names()) {
    if (!belongs_to_model(name)) continue;
    TRY_ASSIGN(uint64_t head_bytes, files.size(name));
    if (name.ends_with(".safetensors")) {
      TRY_ASSIGN(head_bytes, safetensors_head_bytes(files, name, head_bytes));
    }
    TRY(add_file(sha, files, name, head_bytes));
  }
  return sha.finish();
}

}  // namespace cove::engine

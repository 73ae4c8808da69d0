#include "engine/loading/digest.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "base/check.h"
#include "base/file.h"
#include "tensor/io/gguf.h"

namespace cove::engine {
namespace {

namespace fs = std::filesystem;

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

bool belongs_to_model(const fs::path& file) {
  static constexpr std::string_view kNames[] = {"config.json", "generation_config.json", "tokenizer.json",
                                                "tokenizer_config.json", "chat_template.jinja"};
  const std::string name = file.filename().string();
  return name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json") ||
         std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

// What tells two files of one size apart without reading the weights.
Result<size_t> head_bytes(const fs::path& path, std::span<const std::byte> file) {
  if (path.extension() == ".safetensors") {
    uint64_t length = 0;
    if (file.size() >= sizeof(length)) std::memcpy(&length, file.data(), sizeof(length));
    return static_cast<size_t>(std::min<uint64_t>(length, file.size() - std::min(sizeof(length), file.size()))) +
           std::min(sizeof(length), file.size());
  }
  if (path.extension() != ".gguf") return file.size();
  TRY_ASSIGN(const GgufHeader header, parse_gguf(file, path.filename().string()));
  return std::min<size_t>(header.data_offset, file.size());
}

Status add_file(Sha256& sha, const fs::path& path) {
  TRY_ASSIGN(const MappedFile file, MappedFile::open(path));
  TRY_ASSIGN(const size_t head, head_bytes(path, file.bytes()));
  sha.add(fmt::format("{}\n{}\n{}\n", path.filename().string(), file.bytes().size(), head));
  sha.add(file.bytes().first(head));
  return {};
}

}  // namespace

Result<std::string> model_digest(const fs::path& path) {
  Sha256 sha;
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    TRY(add_file(sha, path));
    return sha.finish();
  }
  std::vector<fs::path> files;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    if (belongs_to_model(entry->path())) files.push_back(entry->path());
  }
  if (error) return make_error(ErrorCode::kIo, fmt::format("{}: cannot list: {}", path.string(), error.message()));
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) TRY(add_file(sha, file));
  return sha.finish();
}

}  // namespace cove::engine

#include "weights_digest.h"

#include <algorithm>
#include <memory>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include "base/check.h"

#include "base/file.h"
#include "base/log.h"
#include "engine/loading/model_source.h"
#include "services/audit/keys.h"

namespace cove::app {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPlain = "sha256:";
constexpr std::string_view kSealed = "sealed-sha256:";
constexpr size_t kCacheBytesMax = 64 << 10;
constexpr size_t kPieceBytes = size_t{16} << 20;

std::vector<fs::path> weight_files(const fs::path& model) {
  std::error_code error;
  if (!fs::is_directory(model, error)) return {model};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(model, error)) {
    if (entry.path().extension() == ".safetensors" && entry.is_regular_file(error)) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

// What changes when a file is exchanged.
std::string state_of(const std::vector<fs::path>& files) {
  std::string state;
  for (const fs::path& file : files) {
    struct stat info{};
    if (::stat(file.c_str(), &info) != 0) return {};
    std::error_code error;
    state += fmt::format("{} {} {}.{:09} {}\n", fs::absolute(file, error).string(), info.st_size, info.st_mtim.tv_sec,
                         info.st_mtim.tv_nsec, info.st_ino);
  }
  return state;
}

Result<audit::Hash> hash_of(const MappedFile& file, const std::stop_token& stop) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> sha(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  COVE_CHECK(sha != nullptr && EVP_DigestInit_ex(sha.get(), EVP_sha256(), nullptr) == 1);
  for (auto rest = file.bytes(); !rest.empty();) {
    if (stop.stop_requested()) return make_error(ErrorCode::kCancelled, "stopped");
    const auto piece = rest.first(std::min(rest.size(), kPieceBytes));
    COVE_CHECK(EVP_DigestUpdate(sha.get(), piece.data(), piece.size()) == 1);
    file.release(piece);
    rest = rest.subspan(piece.size());
  }
  audit::Hash hash{};
  COVE_CHECK(EVP_DigestFinal_ex(sha.get(), hash.data(), nullptr) == 1);
  return hash;
}

Result<std::string> digest_of(const std::vector<fs::path>& files, std::string_view kind, const std::stop_token& stop) {
  std::string all;
  for (const fs::path& file : files) {
    TRY_ASSIGN(const MappedFile mapped, MappedFile::open(file));
    TRY_ASSIGN(const audit::Hash hash, hash_of(mapped, stop));
    all += fmt::format("{}\n{}\n{}\n", file.filename().string(), mapped.bytes().size(), audit::to_hex(hash));
  }
  return std::string(kind) + audit::to_hex(audit::sha256(all));
}

}  // namespace

uint64_t weights_bytes(const fs::path& model) {
  uint64_t bytes = 0;
  std::error_code error;
  for (const fs::path& file : weight_files(model)) {
    const auto size = fs::file_size(file, error);
    if (!error) bytes += size;
  }
  return bytes;
}

Result<std::string> weights_digest(const fs::path& model, const fs::path& cache, const std::stop_token& stop) {
  const std::vector<fs::path> files = weight_files(model);
  if (files.empty()) return make_error(ErrorCode::kNotFound, fmt::format("{}: no weights", model.string()));
  const std::string state = state_of(files);
  // The digest, and behind it what it was made from.
  const auto kept = read_file(cache, kCacheBytesMax);
  const size_t line = kept ? kept->find('\n') : std::string::npos;
  if (line != std::string::npos && !state.empty() && kept->substr(line + 1) == state) return kept->substr(0, line);
  TRY_ASSIGN(std::string digest, digest_of(files, engine::needs_key(model) ? kSealed : kPlain, stop));
  if (const Status written = write_file_atomic(cache, digest + "\n" + state); !written)
    log::warn("weights_digest.not_kept", {{"path", cache.string()}, {"error", written.error().message}});
  return digest;
}

bool may_be_same_weights(const std::string& a, const std::string& b) {
  return a == b || !a.starts_with(kPlain) || !b.starts_with(kPlain);
}

}  // namespace cove::app

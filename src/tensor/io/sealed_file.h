#pragma once
// Sealed files: a file encrypted with AES-256-GCM in chunks, so that it can be decrypted in parallel straight into its
// place in memory and so that a flipped bit, a cut, a swapped or reordered chunk, or a chunk of another file is
// refused. docs/formats/sealed.md is the byte-level description. Called by engine/loading and by `cove encrypt`,
// `decrypt` and `key`.
//
// A random data key per file encrypts the chunks; a key-encryption key wraps it in the header, so that changing that
// key rewrites only the header's key slot.

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

namespace cove {

// 32 secret bytes; wiped when destroyed.
class SealKey {
 public:
  static SealKey generate();
  // 64 hex digits, white space around them allowed: what `cove key new` writes. Errors: kInvalidArgument.
  static Result<SealKey> from_hex(std::string_view text);
  SealKey(const SealKey&) = default;
  SealKey& operator=(const SealKey&) = default;
  ~SealKey();

  std::string to_hex() const;
  // The first 8 bytes of SHA-256 over the key, as hex: names the key in headers and messages without telling it.
  std::string id() const;
  std::span<const unsigned char, 32> bytes() const { return bytes_; }

 private:
  SealKey() = default;
  std::array<unsigned char, 32> bytes_{};
};

struct SealOptions {
  std::string name;        // of the file inside its model; checked when it is opened
  std::string collection;  // 32 hex digits, the same for all files of one model: parts of two versions do not mix
  uint32_t chunk_bytes = 1U << 20;
};
std::string new_collection_id();

// Encrypts `source` into `target`, written beside it and renamed. Errors: kIo, kInvalidArgument.
Status seal_file(const std::filesystem::path& source, const std::filesystem::path& target, const SealKey& key,
                 const SealOptions& options);

// A sealed file's header, checked, and its mapped ciphertext. Opening needs no key.
class SealedFile {
 public:
  // Errors: kNotFound, kDataCorrupt when it is not a sealed file or its size does not fit its header.
  static Result<SealedFile> open(const std::filesystem::path& path);

  const std::string& name() const { return name_; }
  const std::string& collection() const { return collection_; }
  const std::string& key_id() const { return key_id_; }
  uint64_t plain_bytes() const { return plain_bytes_; }

  // Decrypts everything into `out` (exactly plain_bytes), on `threads` threads (0 = all cores). Errors:
  // kPermissionDenied for another key, kDataCorrupt naming the first chunk that fails; `out` is then wiped.
  Status decrypt(const SealKey& key, std::span<std::byte> out, unsigned threads = 0) const;

 private:
  friend Status rewrap_key(const std::filesystem::path& path, const SealKey& from, const SealKey& to);
  Result<std::array<unsigned char, 32>> unwrap(const SealKey& key) const;
  uint64_t chunk_count() const;

  std::string path_;
  MappedFile file_;
  std::string name_;
  std::string collection_;
  std::string key_id_;
  uint64_t plain_bytes_ = 0;
  uint32_t chunk_bytes_ = 0;
  size_t slot_offset_ = 0;  // of the key slot
  size_t data_offset_ = 0;  // of chunk 0
  std::array<unsigned char, 32> header_digest_{};
};

// Replaces the key slot so that `to` opens the file; the chunks stay as they are. The old slot is overwritten in place
// and synced.
Status rewrap_key(const std::filesystem::path& path, const SealKey& from, const SealKey& to);

// True when the file begins with the sealed magic.
bool is_sealed_file(const std::filesystem::path& path);

}  // namespace cove

#pragma once
// Sealed files: a file encrypted with AES-256-GCM in chunks, so that it can be decrypted in parallel straight into its
// place in memory and so that a flipped bit, a cut, a swapped or reordered chunk, or a chunk of another file is
// refused. docs/formats/sealed.md is the byte-level description. Whole models: sealed_model.h.
//
// A random data key per file encrypts the chunks; a key-encryption key wraps it in the header, so that changing that
// key rewrites only the header's key slots.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "tensor/io/seal_key.h"
#include "tensor/io/sealed_header.h"

namespace cove {

// Told after each chunk, from any of the working threads; an error stops the work and is handed on.
using SealProgress = std::function<Status(uint64_t bytes_done)>;

struct SealOptions {
  std::string name;        // of the file inside its model; checked when it is opened
  std::string collection;  // 32 hex digits, the same for all files of one model: parts of two versions do not mix
  uint32_t chunk_bytes = 1U << 20;
  SealProgress on_progress;  // may be empty
};
std::string new_collection_id();

struct SealedInfo {
  std::string header;  // hex of the header's digest: names this very file
  uint64_t plain_bytes = 0;
};
// Encrypts `source` into `target`, written beside it and renamed. Errors: kIo, kInvalidArgument, what on_progress
// gives.
Result<SealedInfo> seal_file(const std::filesystem::path& source, const std::filesystem::path& target,
                             const SealKey& key, const SealOptions& options);

// A sealed file's header, checked, and the open file. Opening needs no key. May be used from several threads.
class SealedFile {
 public:
  // Errors: kNotFound, kIo, kDataCorrupt when it is not a sealed file or its size does not fit its header.
  static Result<SealedFile> open(const std::filesystem::path& path);

  const std::string& path() const { return path_; }
  const std::string& name() const { return header_.name; }
  const std::string& collection() const { return header_.collection; }
  uint64_t plain_bytes() const { return header_.plain_bytes; }
  std::string key_ids() const;  // of the slots in use, for messages
  std::string header_digest() const { return hex_text(header_.digest); }

  // Whether `key` opens the file, without reading its chunks. Errors: kPermissionDenied naming both keys, kDataCorrupt,
  // kFailedPrecondition when a key change was interrupted.
  Status check_key(const SealKey& key) const;
  // Decrypts everything into `out` (exactly plain_bytes), on `threads` threads (0 = by the machine). Errors: those of
  // check_key, kIo, kDataCorrupt naming the first chunk that fails; `out` is then wiped.
  Status decrypt(const SealKey& key, std::span<std::byte> out, unsigned threads = 0) const;
  // At most the first `bytes` bytes.
  Result<std::string> decrypt_head(const SealKey& key, uint64_t bytes) const;
  // Into a file, written beside `target` and renamed once every chunk was good.
  Status decrypt_to(const SealKey& key, const std::filesystem::path& target, const SealProgress& on_progress) const;

 private:
  friend Status rewrap_key(const std::filesystem::path& path, const SealKey& from, const SealKey& to);
  SealedFile() = default;
  Result<SealKey> data_key(const SealKey& key) const;
  uint64_t chunk_begin(uint64_t index) const { return index * header_.chunk_bytes; }
  size_t chunk_size(uint64_t index) const;
  // `out`: exactly the chunk's plain bytes.
  Status decrypt_chunk(const SealKey& data_key, uint64_t index, std::span<unsigned char> out) const;

  std::string path_;
  std::shared_ptr<const int> fd_;  // shared so that the class can be moved and copied; closed with the last one
  SealedHeader header_;
};

// Makes `to` open the file instead of `from`; the chunks stay as they are. The new slot is on disk before the old one
// is erased, so an interrupted change is finished by calling again. A file that `to` opens already is left alone.
// Errors: kPermissionDenied when neither key is the file's, kIo, kDataCorrupt.
Status rewrap_key(const std::filesystem::path& path, const SealKey& from, const SealKey& to);

// True when the file begins with the sealed magic.
bool is_sealed_file(const std::filesystem::path& path);

}  // namespace cove

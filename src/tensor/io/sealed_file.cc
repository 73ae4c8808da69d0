#include "tensor/io/sealed_file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/secret_memory.h"
#include "tensor/io/aes_gcm.h"

namespace cove {
namespace {

namespace fs = std::filesystem;

Error system_error(const fs::path& path, std::string_view action) {
  const int number = errno;
  return {number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
          fmt::format("{}: cannot {}: {}", path.string(), action, std::strerror(number))};
}

using Fd = std::shared_ptr<const int>;

Result<Fd> open_file(const fs::path& path, int flags, mode_t mode = 0) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return system_error(path, (flags & O_ACCMODE) == O_RDONLY ? "open" : "open for writing");
  return Fd(new int(fd), [](const int* open) {
    ::close(*open);
    delete open;
  });
}

Result<uint64_t> regular_size(int fd, const fs::path& path) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return system_error(path, "stat");
  if (!S_ISREG(info.st_mode)) return invalid_argument(fmt::format("{}: is not a regular file", path.string()));
  return static_cast<uint64_t>(info.st_size);
}

// Reads exactly these bytes; false when the file ends before or cannot be read (errno is then set, else 0).
bool read_exactly(int fd, std::span<unsigned char> out, uint64_t offset) {
  for (size_t done = 0; done < out.size();) {
    errno = 0;
    const ssize_t got = ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<size_t>(got);
  }
  return true;
}

bool write_exactly(int fd, std::span<const unsigned char> bytes, uint64_t offset) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t put = ::pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return false;
    done += static_cast<size_t>(put);
  }
  return true;
}

GcmNonce chunk_nonce(uint64_t index) {
  GcmNonce nonce{};
  for (size_t i = 0; i < 8; ++i) nonce[11 - i] = static_cast<unsigned char>(index >> (8 * i));
  return nonce;
}

enum class Place : unsigned char { kInside = 0, kLast = 1 };

// What a chunk's tag covers besides its bytes: which file (header digest), which place, and whether it is the last.
std::array<unsigned char, 41> chunk_associated(const Bytes32& header_digest, uint64_t index, Place place) {
  std::array<unsigned char, 41> out{};
  std::copy(header_digest.begin(), header_digest.end(), out.begin());
  for (size_t i = 0; i < 8; ++i) out[32 + i] = static_cast<unsigned char>(index >> (8 * i));
  out[40] = static_cast<unsigned char>(place);
  return out;
}

using Buffer = std::vector<unsigned char>;
using ChunkWork = std::function<Status(uint64_t index, Buffer& scratch)>;

// More threads than cores where there are few, so that some wait for the disk while others compute.
unsigned threads_for(uint64_t chunks, unsigned wanted) {
  const unsigned threads = wanted != 0 ? wanted : std::max(4U, std::thread::hardware_concurrency());
  return static_cast<unsigned>(std::min<uint64_t>(threads, chunks));
}

// Work on chunks 0..count-1 in about that order. The error of the first chunk that has one; nothing new is begun after
// an error.
Status for_each_chunk(uint64_t count, unsigned threads, const ChunkWork& work) {
  std::atomic<uint64_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  uint64_t failed = count;
  Status result;
  const auto loop = [&] {
    Buffer scratch;
    for (uint64_t i = next++; i < count && !stop; i = next++) {
      Status done = work(i, scratch);
      if (done) continue;
      stop = true;
      const std::lock_guard lock(mutex);
      if (i < failed) {
        failed = i;
        result = std::move(done);
      }
    }
    wipe(std::as_writable_bytes(std::span(scratch)));
  };
  std::vector<std::jthread> helpers;
  for (unsigned i = 1; i < threads_for(count, threads); ++i) helpers.emplace_back(loop);
  loop();
  helpers.clear();  // joins
  return result;
}

// A file written in any order beside its final path; removed unless it was finished.
class Target {
 public:
  static Result<std::unique_ptr<Target>> create(const fs::path& path) {
    std::error_code ignored;  // opening says what went wrong
    if (path.has_parent_path()) fs::create_directories(path.parent_path(), ignored);
    auto target = std::unique_ptr<Target>(new Target(path, fmt::format("{}.tmp{}", path.string(), ::getpid())));
    TRY_ASSIGN(target->fd_, open_file(target->temporary_, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    return target;
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  ~Target() {
    if (fd_ != nullptr) ::unlink(temporary_.c_str());
  }
  Status write(std::span<const unsigned char> bytes, uint64_t offset) const {
    if (write_exactly(*fd_, bytes, offset)) return {};
    return system_error(temporary_, "write");
  }
  Status finish() {
    if (::fsync(*fd_) != 0) return system_error(temporary_, "sync");
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) return system_error(path_, "replace");
    fd_.reset();
    return {};
  }

 private:
  Target(fs::path path, fs::path temporary) : path_(std::move(path)), temporary_(std::move(temporary)) {}
  fs::path path_, temporary_;
  Fd fd_;
};

// Counts what is done and tells it.
class Progress {
 public:
  explicit Progress(const SealProgress& tell) : tell_(tell) {}
  Status add(uint64_t bytes) {
    const uint64_t done = done_ += bytes;
    return tell_ ? tell_(done) : Status();
  }

 private:
  const SealProgress& tell_;
  std::atomic<uint64_t> done_{0};
};

struct SealJob {
  const fs::path& source;
  int fd;
  const Target& target;
  const SealKey& data_key;
  const SealedHeader& header;
};

Status seal_chunk(const SealJob& job, uint64_t index, Buffer& scratch) {
  const SealedHeader& header = job.header;
  const uint64_t begin = index * header.chunk_bytes;
  const size_t size = static_cast<size_t>(std::min<uint64_t>(header.chunk_bytes, header.plain_bytes - begin));
  scratch.resize(size + kGcmTagBytes);
  const std::span plain(scratch.data(), size);
  if (!read_exactly(job.fd, plain, begin)) {
    if (errno != 0) return system_error(job.source, "read");
    return make_error(ErrorCode::kIo, fmt::format("{}: became shorter while it was read", job.source.string()));
  }
  const auto associated =
      chunk_associated(header.digest, index, index + 1 == header.chunk_count() ? Place::kLast : Place::kInside);
  COVE_CHECK(
      gcm_encrypt(job.data_key.bytes(), chunk_nonce(index), associated, plain, scratch.data(), scratch.data() + size));
  return job.target.write(scratch, header.data_offset + index * (uint64_t{header.chunk_bytes} + kGcmTagBytes));
}

std::span<const unsigned char> as_bytes_of(std::string_view text) {
  return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}

}  // namespace

std::string new_collection_id() {
  std::array<unsigned char, 16> id{};
  fill_random(id);
  return hex_text(id);
}

Result<SealedInfo> seal_file(const fs::path& source, const fs::path& target, const SealKey& key,
                             const SealOptions& options) {
  TRY(check_chunk_bytes(options.chunk_bytes));
  TRY_ASSIGN(const Fd in, open_file(source, O_RDONLY));
  TRY_ASSIGN(const uint64_t bytes, regular_size(*in, source));
  const std::string head = make_sealed_header({.name = options.name,
                                               .collection = options.collection,
                                               .plain_bytes = bytes,
                                               .chunk_bytes = options.chunk_bytes});
  SealedHeader header;
  header.plain_bytes = bytes;
  header.chunk_bytes = options.chunk_bytes;
  header.data_offset = head.size() + kKeySlots * kSlotBytes;
  header.digest = sha256_of(as_bytes_of(head));
  const SealKey data_key = SealKey::generate();
  TRY_ASSIGN(const auto out, Target::create(target));
  TRY(out->write(as_bytes_of(head), 0));
  TRY(out->write(wrap_data_key(key, data_key, header.digest), head.size()));
  TRY(out->write(KeySlot{}, head.size() + kSlotBytes));
  Progress progress(options.on_progress);
  const SealJob job{.source = source, .fd = *in, .target = *out, .data_key = data_key, .header = header};
  const Status sealed = for_each_chunk(header.chunk_count(), 0, [&](uint64_t index, Buffer& scratch) -> Status {
    TRY(seal_chunk(job, index, scratch));
    return progress.add(scratch.size() - kGcmTagBytes);
  });
  if (!sealed) return sealed.error();
  TRY_ASSIGN(const uint64_t bytes_now, regular_size(*in, source));
  if (bytes_now != bytes)
    return make_error(ErrorCode::kIo, fmt::format("{}: changed while it was read", source.string()));
  TRY(out->finish());
  return SealedInfo{.header = hex_text(header.digest), .plain_bytes = bytes};
}

Result<SealedFile> SealedFile::open(const fs::path& path) {
  SealedFile sealed;
  sealed.path_ = path.string();
  TRY_ASSIGN(sealed.fd_, open_file(path, O_RDONLY));
  TRY_ASSIGN(const uint64_t bytes, regular_size(*sealed.fd_, path));
  std::vector<unsigned char> head(static_cast<size_t>(std::min<uint64_t>(bytes, kSealedHeadMax)));
  if (!read_exactly(*sealed.fd_, head, 0)) return system_error(path, "read");
  TRY_ASSIGN(sealed.header_, parse_sealed_header(std::as_bytes(std::span(head)), bytes, sealed.path_));
  return sealed;
}

std::string SealedFile::key_ids() const {
  std::string ids;
  for (const KeySlot& slot : header_.slots) {
    if (slot_in_use(slot)) ids += (ids.empty() ? "" : " and ") + slot_key_id(slot);
  }
  return ids.empty() ? "none" : ids;
}

Result<SealKey> SealedFile::data_key(const SealKey& key) const {
  const auto used = std::count_if(header_.slots.begin(), header_.slots.end(), slot_in_use);
  if (used == 0) return data_corrupt(fmt::format("{}: its key slots are empty; it is damaged", path_));
  if (used > 1) {
    return make_error(
        ErrorCode::kFailedPrecondition,
        fmt::format("{}: has two keys ({}): changing its key was interrupted, or it is damaged; run 'cove "
                    "encrypt --rewrap' with the same keys again",
                    path_, key_ids()));
  }
  const KeySlot& slot = *std::find_if(header_.slots.begin(), header_.slots.end(), slot_in_use);
  if (slot_key_id(slot) != key.id()) {
    return make_error(ErrorCode::kPermissionDenied, fmt::format("{}: is encrypted with key {}, but the given key is {}",
                                                                path_, slot_key_id(slot), key.id()));
  }
  std::optional<SealKey> data_key = unwrap_data_key(slot, key, header_.digest);
  if (!data_key) return data_corrupt(fmt::format("{}: its header or key slot was changed or damaged", path_));
  return *data_key;
}

Status SealedFile::check_key(const SealKey& key) const {
  TRY_ASSIGN([[maybe_unused]] const SealKey opened, data_key(key));
  return {};
}

size_t SealedFile::chunk_size(uint64_t index) const {
  return static_cast<size_t>(std::min<uint64_t>(header_.chunk_bytes, header_.plain_bytes - chunk_begin(index)));
}

// The ciphertext is read straight to where the plaintext shall be and decrypted in place.
Status SealedFile::decrypt_chunk(const SealKey& data_key, uint64_t index, std::span<unsigned char> out) const {
  const uint64_t stride = uint64_t{header_.chunk_bytes} + kGcmTagBytes;
  const uint64_t offset = header_.data_offset + index * stride;
  std::array<unsigned char, kGcmTagBytes> tag{};
  if (!read_exactly(*fd_, out, offset) || !read_exactly(*fd_, tag, offset + out.size())) {
    if (errno != 0) return system_error(path_, "read");
    return data_corrupt(fmt::format("{}: became shorter while it was read", path_));
  }
  const uint64_t chunks = header_.chunk_count();
  const auto associated = chunk_associated(header_.digest, index, index + 1 == chunks ? Place::kLast : Place::kInside);
  if (gcm_decrypt(data_key.bytes(), chunk_nonce(index), associated, out, tag.data(), out.data())) return {};
  return data_corrupt(fmt::format("{}: chunk {} of {} (bytes {}..{}) was changed, moved or damaged", path_, index,
                                  chunks, chunk_begin(index), chunk_begin(index) + out.size()));
}

Status SealedFile::decrypt(const SealKey& key, std::span<std::byte> out, unsigned threads) const {
  COVE_CHECK(out.size() == header_.plain_bytes);
  TRY_ASSIGN(const SealKey opened, data_key(key));
  (void)::posix_fadvise(*fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
  auto* to = reinterpret_cast<unsigned char*>(out.data());
  Status done = for_each_chunk(header_.chunk_count(), threads, [&](uint64_t index, Buffer&) {
    return decrypt_chunk(opened, index, {to + chunk_begin(index), chunk_size(index)});
  });
  if (!done) wipe(out);
  return done;
}

Result<std::string> SealedFile::decrypt_head(const SealKey& key, uint64_t bytes) const {
  TRY_ASSIGN(const SealKey opened, data_key(key));
  const uint64_t wanted = std::min(bytes, header_.plain_bytes);
  const uint64_t chunks = wanted == 0 ? 1 : (wanted - 1) / header_.chunk_bytes + 1;
  std::string out(static_cast<size_t>(std::min(chunk_begin(chunks), header_.plain_bytes)), '\0');
  auto* to = reinterpret_cast<unsigned char*>(out.data());
  const Status done = for_each_chunk(chunks, 0, [&](uint64_t index, Buffer&) {
    return decrypt_chunk(opened, index, {to + chunk_begin(index), chunk_size(index)});
  });
  if (!done) return done.error();
  out.resize(static_cast<size_t>(wanted));
  return out;
}

Status SealedFile::decrypt_to(const SealKey& key, const fs::path& target, const SealProgress& on_progress) const {
  TRY_ASSIGN(const SealKey opened, data_key(key));
  TRY_ASSIGN(const auto out, Target::create(target));
  Progress progress(on_progress);
  const Status done = for_each_chunk(header_.chunk_count(), 0, [&](uint64_t index, Buffer& scratch) -> Status {
    scratch.resize(chunk_size(index));
    TRY(decrypt_chunk(opened, index, scratch));
    TRY(out->write(scratch, chunk_begin(index)));
    return progress.add(scratch.size());
  });
  return done ? out->finish() : done;
}

namespace {

Status write_slot(int fd, const SealedHeader& header, size_t index, const KeySlot& slot, const fs::path& path) {
  if (write_exactly(fd, slot, header.slot_offset + index * kSlotBytes) && ::fsync(fd) == 0) return {};
  return system_error(path, "write the key slot");
}

}  // namespace

Status rewrap_key(const fs::path& path, const SealKey& from, const SealKey& to) {
  TRY_ASSIGN(const SealedFile sealed, SealedFile::open(path));
  const SealedHeader& header = sealed.header_;
  TRY_ASSIGN(const Fd fd, open_file(path, O_WRONLY));
  for (size_t i = 0; i < kKeySlots; ++i) {  // the new key is there already: at most the old slot is left to erase
    if (!unwrap_data_key(header.slots[i], to, header.digest)) continue;
    const size_t other = 1 - i;
    return slot_in_use(header.slots[other]) ? write_slot(*fd, header, other, KeySlot{}, path) : Status();
  }
  for (size_t i = 0; i < kKeySlots; ++i) {
    const std::optional<SealKey> data_key = unwrap_data_key(header.slots[i], from, header.digest);
    if (!data_key) continue;
    TRY(write_slot(*fd, header, 1 - i, wrap_data_key(to, *data_key, header.digest), path));
    return write_slot(*fd, header, i, KeySlot{}, path);
  }
  const bool is_known = sealed.key_ids().find(from.id()) != std::string::npos;
  if (is_known) return data_corrupt(fmt::format("{}: its header or key slot was changed or damaged", path.string()));
  return make_error(ErrorCode::kPermissionDenied, fmt::format("{}: is encrypted with key {}, but the given key is {}",
                                                              path.string(), sealed.key_ids(), from.id()));
}

bool is_sealed_file(const fs::path& path) {
  const auto head = read_file_head(path, kSealedMagic.size());
  return head && *head == kSealedMagic;
}

}  // namespace cove

#include "tensor/io/sealed_file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <unistd.h>
#include <boost/json.hpp>

#include "base/check.h"
#include "base/json.h"
#include "tensor/io/aes_gcm.h"

namespace cove {
namespace {

constexpr std::string_view kMagic = "COVESEAL";
constexpr uint32_t kVersion = 1;
constexpr size_t kFixedBytes = 16;  // magic, version, header length
constexpr size_t kHeaderBytesMax = 64 * 1024;
constexpr size_t kSlotBytes = 8 + 12 + 32 + 16;  // key id, nonce, wrapped data key, tag
constexpr uint32_t kChunkBytesMin = 4096;
constexpr uint32_t kChunkBytesMax = 1U << 28;

using Bytes32 = std::array<unsigned char, 32>;

void fill_random(std::span<unsigned char> out) {
  COVE_CHECK(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1);
}

std::string hex(std::span<const unsigned char> bytes) {
  std::string out;
  for (const unsigned char b : bytes) out += fmt::format("{:02x}", b);
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Bytes32 sha256(std::span<const unsigned char> bytes) {
  Bytes32 digest;
  SHA256(bytes.data(), bytes.size(), digest.data());
  return digest;
}

std::span<const unsigned char> as_chars(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()};
}

void put_u32(std::string& out, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift);
}
uint32_t get_u32(std::span<const unsigned char> bytes, size_t at) {
  return static_cast<uint32_t>(bytes[at]) | static_cast<uint32_t>(bytes[at + 1]) << 8 |
         static_cast<uint32_t>(bytes[at + 2]) << 16 | static_cast<uint32_t>(bytes[at + 3]) << 24;
}

GcmNonce chunk_nonce(uint64_t index) {
  GcmNonce nonce{};
  for (size_t i = 0; i < 8; ++i) nonce[11 - i] = static_cast<unsigned char>(index >> (8 * i));
  return nonce;
}

// What a chunk's tag covers besides its bytes: which file (header digest), which place, and whether it is the last.
std::array<unsigned char, 41> chunk_associated(const Bytes32& header_digest, uint64_t index, bool is_last) {
  std::array<unsigned char, 41> out{};
  std::copy(header_digest.begin(), header_digest.end(), out.begin());
  for (size_t i = 0; i < 8; ++i) out[32 + i] = static_cast<unsigned char>(index >> (8 * i));
  out[40] = is_last ? 1 : 0;
  return out;
}

uint64_t chunks_of(uint64_t plain_bytes, uint32_t chunk_bytes) {
  return plain_bytes == 0 ? 1 : (plain_bytes - 1) / chunk_bytes + 1;
}

std::string make_header(const SealOptions& options, uint64_t plain_bytes) {
  std::array<unsigned char, 16> file_id{};
  fill_random(file_id);
  const json::object fields{{"cipher", "AES-256-GCM"},          {"chunk_bytes", options.chunk_bytes},
                            {"plain_bytes", plain_bytes},       {"name", options.name},
                            {"collection", options.collection}, {"file", hex(file_id)}};
  const std::string text = json::serialize(fields);
  std::string header(kMagic);
  put_u32(header, kVersion);
  put_u32(header, static_cast<uint32_t>(text.size()));
  return header + text;
}

std::string make_slot(const SealKey& key, std::span<const unsigned char, 32> data_key, const Bytes32& header_digest) {
  const Bytes32 key_digest = sha256(key.bytes());
  GcmNonce nonce{};
  fill_random(nonce);
  std::array<unsigned char, 32> wrapped{};
  std::array<unsigned char, kGcmTagBytes> tag{};
  COVE_CHECK(gcm_encrypt(key.bytes(), nonce, header_digest, data_key, wrapped.data(), tag.data()));
  std::string slot(reinterpret_cast<const char*>(key_digest.data()), 8);
  slot.append(reinterpret_cast<const char*>(nonce.data()), nonce.size());
  slot.append(reinterpret_cast<const char*>(wrapped.data()), wrapped.size());
  slot.append(reinterpret_cast<const char*>(tag.data()), tag.size());
  return slot;
}

Error not_sealed(const std::string& path, std::string_view why) {
  return data_corrupt(fmt::format("{}: is not a sealed file: {}", path, why));
}

Result<uint64_t> positive_member(const json::value& header, std::string_view key, const std::string& path) {
  const json::value* value = find_member(header, key);
  if (value == nullptr || !(value->is_int64() || value->is_uint64()))
    return not_sealed(path, fmt::format("'{}' is missing", key));
  if (value->is_int64() && value->get_int64() < 0) return not_sealed(path, fmt::format("'{}' is negative", key));
  return value->is_int64() ? static_cast<uint64_t>(value->get_int64()) : value->get_uint64();
}

Result<std::string> text_member(const json::value& header, std::string_view key, const std::string& path) {
  const json::value* value = find_member(header, key);
  if (value == nullptr || !value->is_string()) return not_sealed(path, fmt::format("'{}' is missing", key));
  return std::string(value->get_string());
}

Status write_chunks(std::ofstream& out, std::span<const unsigned char> plain,
                    std::span<const unsigned char, 32> data_key, const Bytes32& header_digest, uint32_t chunk_bytes) {
  std::vector<unsigned char> cipher(size_t{chunk_bytes} + kGcmTagBytes);
  const uint64_t chunks = chunks_of(plain.size(), chunk_bytes);
  for (uint64_t i = 0; i < chunks; ++i) {
    const size_t begin = static_cast<size_t>(i * chunk_bytes);
    const size_t size = std::min<size_t>(chunk_bytes, plain.size() - begin);
    const auto associated = chunk_associated(header_digest, i, i + 1 == chunks);
    COVE_CHECK(gcm_encrypt(data_key, chunk_nonce(i), associated, plain.subspan(begin, size), cipher.data(),
                           cipher.data() + size));
    out.write(reinterpret_cast<const char*>(cipher.data()), static_cast<std::streamsize>(size + kGcmTagBytes));
  }
  return {};
}

}  // namespace

SealKey SealKey::generate() {
  SealKey key;
  fill_random(key.bytes_);
  return key;
}

Result<SealKey> SealKey::from_hex(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  if (text.size() != 64) {
    return invalid_argument(
        fmt::format("a key is 64 hex digits, not {} characters; 'cove key new FILE' makes one", text.size()));
  }
  SealKey key;
  for (size_t i = 0; i < 32; ++i) {
    const int high = hex_digit(text[2 * i]);
    const int low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return invalid_argument("a key is 64 hex digits; another character was found");
    key.bytes_[i] = static_cast<unsigned char>(high << 4 | low);
  }
  return key;
}

SealKey::~SealKey() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }
std::string SealKey::to_hex() const { return hex(bytes_); }
std::string SealKey::id() const {
  const Bytes32 digest = sha256(bytes_);
  return hex(std::span(digest).first(8));
}

std::string new_collection_id() {
  std::array<unsigned char, 16> id{};
  fill_random(id);
  return hex(id);
}

Status seal_file(const std::filesystem::path& source, const std::filesystem::path& target, const SealKey& key,
                 const SealOptions& options) {
  if (options.chunk_bytes < kChunkBytesMin || options.chunk_bytes > kChunkBytesMax) {
    return invalid_argument(
        fmt::format("chunks of {} bytes: allowed are {} to {}", options.chunk_bytes, kChunkBytesMin, kChunkBytesMax));
  }
  TRY_ASSIGN(const MappedFile plain, MappedFile::open(source));
  const std::string header = make_header(options, plain.bytes().size());
  const Bytes32 digest = sha256({reinterpret_cast<const unsigned char*>(header.data()), header.size()});
  std::array<unsigned char, 32> data_key{};
  fill_random(data_key);
  const std::filesystem::path temporary = target.string() + ".tmp";
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  out << header << make_slot(key, data_key, digest);
  const Status written = write_chunks(out, as_chars(plain.bytes()), data_key, digest, options.chunk_bytes);
  OPENSSL_cleanse(data_key.data(), data_key.size());
  out.close();
  if (!written) return written;
  if (!out)
    return make_error(ErrorCode::kIo, fmt::format("{}: cannot write: {}", temporary.string(), std::strerror(errno)));
  std::error_code error;
  std::filesystem::rename(temporary, target, error);
  if (error) return make_error(ErrorCode::kIo, fmt::format("{}: {}", target.string(), error.message()));
  return {};
}

Result<SealedFile> SealedFile::open(const std::filesystem::path& path) {
  SealedFile sealed;
  sealed.path_ = path.string();
  TRY_ASSIGN(sealed.file_, MappedFile::open(path));
  const auto bytes = as_chars(sealed.file_.bytes());
  if (bytes.size() < kFixedBytes || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
    return not_sealed(sealed.path_, "it does not begin with COVESEAL");
  }
  if (get_u32(bytes, 8) != kVersion)
    return not_sealed(sealed.path_, fmt::format("version {} is unknown", get_u32(bytes, 8)));
  const size_t header_bytes = get_u32(bytes, 12);
  if (header_bytes > kHeaderBytesMax || bytes.size() - kFixedBytes < header_bytes + kSlotBytes) {
    return not_sealed(sealed.path_, "its header is cut off");
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kFixedBytes, header_bytes);
  const Result<json::value> header = parse_json(text);
  if (!header) return not_sealed(sealed.path_, header.error().message);
  TRY_ASSIGN(const std::string cipher, text_member(*header, "cipher", sealed.path_));
  if (cipher != "AES-256-GCM") return not_sealed(sealed.path_, fmt::format("cipher '{}' is unknown", cipher));
  TRY_ASSIGN(const uint64_t chunk_bytes, positive_member(*header, "chunk_bytes", sealed.path_));
  if (chunk_bytes < kChunkBytesMin || chunk_bytes > kChunkBytesMax)
    return not_sealed(sealed.path_, "absurd chunk size");
  sealed.chunk_bytes_ = static_cast<uint32_t>(chunk_bytes);
  TRY_ASSIGN(sealed.plain_bytes_, positive_member(*header, "plain_bytes", sealed.path_));
  TRY_ASSIGN(sealed.name_, text_member(*header, "name", sealed.path_));
  TRY_ASSIGN(sealed.collection_, text_member(*header, "collection", sealed.path_));
  sealed.slot_offset_ = kFixedBytes + header_bytes;
  sealed.data_offset_ = sealed.slot_offset_ + kSlotBytes;
  sealed.key_id_ = hex(bytes.subspan(sealed.slot_offset_, 8));
  sealed.header_digest_ = sha256(bytes.first(sealed.slot_offset_));
  const uint64_t available = bytes.size() - sealed.data_offset_;
  const bool sane = sealed.plain_bytes_ <= available;  // then nothing below can overflow
  if (!sane || sealed.plain_bytes_ + sealed.chunk_count() * kGcmTagBytes != available) {
    return data_corrupt(fmt::format("{}: {} encrypted bytes do not fit a file of {} bytes; it is cut off or damaged",
                                    sealed.path_, available, sealed.plain_bytes_));
  }
  return sealed;
}

uint64_t SealedFile::chunk_count() const { return chunks_of(plain_bytes_, chunk_bytes_); }

Result<std::array<unsigned char, 32>> SealedFile::unwrap(const SealKey& key) const {
  if (key.id() != key_id_) {
    return make_error(ErrorCode::kPermissionDenied,
                      fmt::format("{}: is sealed with key {}, the given key is {}", path_, key_id_, key.id()));
  }
  const auto slot = as_chars(file_.bytes()).subspan(slot_offset_, kSlotBytes);
  GcmNonce nonce{};
  std::copy_n(slot.begin() + 8, nonce.size(), nonce.begin());
  std::array<unsigned char, 32> data_key{};
  if (!gcm_decrypt(key.bytes(), nonce, header_digest_, slot.subspan(20, 32), slot.data() + 52, data_key.data())) {
    return data_corrupt(fmt::format("{}: the header or its key slot was changed", path_));
  }
  return data_key;
}

Status SealedFile::decrypt(const SealKey& key, std::span<std::byte> out, unsigned threads) const {
  COVE_CHECK(out.size() == plain_bytes_);
  TRY_ASSIGN(auto data_key, unwrap(key));
  const uint64_t chunks = chunk_count();
  const auto cipher = as_chars(file_.bytes()).subspan(data_offset_);
  std::atomic<uint64_t> next{0};
  std::atomic<uint64_t> bad{std::numeric_limits<uint64_t>::max()};
  const auto work = [&] {
    for (uint64_t i = next.fetch_add(1); i < chunks; i = next.fetch_add(1)) {
      const uint64_t begin = i * chunk_bytes_;
      const size_t size = static_cast<size_t>(std::min<uint64_t>(chunk_bytes_, plain_bytes_ - begin));
      const auto chunk =
          cipher.subspan(static_cast<size_t>(i * (uint64_t{chunk_bytes_} + kGcmTagBytes)), size + kGcmTagBytes);
      auto* target = reinterpret_cast<unsigned char*>(out.data()) + begin;
      const auto associated = chunk_associated(header_digest_, i, i + 1 == chunks);
      if (gcm_decrypt(data_key, chunk_nonce(i), associated, chunk.first(size), chunk.data() + size, target)) continue;
      uint64_t seen = bad.load();
      while (i < seen && !bad.compare_exchange_weak(seen, i)) {}
      return;
    }
  };
  const unsigned wanted = threads != 0 ? threads : std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::thread> helpers;
  for (uint64_t i = 1; i < std::min<uint64_t>(wanted, chunks); ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  OPENSSL_cleanse(data_key.data(), data_key.size());
  const uint64_t first_bad = bad.load();
  if (first_bad == std::numeric_limits<uint64_t>::max()) return {};
  OPENSSL_cleanse(out.data(), out.size());
  return data_corrupt(fmt::format("{}: chunk {} of {} (bytes {}..{}) was changed, moved or damaged", path_, first_bad,
                                  chunks, first_bad * chunk_bytes_,
                                  std::min<uint64_t>((first_bad + 1) * chunk_bytes_, plain_bytes_)));
}

Status rewrap_key(const std::filesystem::path& path, const SealKey& from, const SealKey& to) {
  TRY_ASSIGN(const SealedFile sealed, SealedFile::open(path));
  TRY_ASSIGN(auto data_key, sealed.unwrap(from));
  const std::string slot = make_slot(to, data_key, sealed.header_digest_);
  OPENSSL_cleanse(data_key.data(), data_key.size());
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return make_error(ErrorCode::kIo,
                      fmt::format("{}: cannot open for writing: {}", path.string(), std::strerror(errno)));
  const ssize_t put = ::pwrite(fd, slot.data(), slot.size(), static_cast<off_t>(sealed.slot_offset_));
  const bool synced = put == static_cast<ssize_t>(slot.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (!synced)
    return make_error(ErrorCode::kIo,
                      fmt::format("{}: writing the key slot failed: {}", path.string(), std::strerror(errno)));
  return {};
}

bool is_sealed_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  char magic[8] = {};
  in.read(magic, sizeof(magic));
  return in && std::string_view(magic, sizeof(magic)) == kMagic;
}

}  // namespace cove

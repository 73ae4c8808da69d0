#include "tensor/io/sealed_header.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "base/check.h"
#include "base/json.h"
#include "base/secret_memory.h"
#include "tensor/io/printable.h"

namespace cove {
namespace {

constexpr uint32_t kVersion = 1;
constexpr size_t kFixedBytes = 16;  // magic, version, length of the JSON
constexpr uint32_t kChunkBytesMin = 4096;
constexpr uint32_t kChunkBytesMax = 1U << 28;

void put_u32(std::string& out, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift);
}
uint32_t get_u32(std::span<const unsigned char> bytes, size_t at) {
  return static_cast<uint32_t>(bytes[at]) | static_cast<uint32_t>(bytes[at + 1]) << 8 |
         static_cast<uint32_t>(bytes[at + 2]) << 16 | static_cast<uint32_t>(bytes[at + 3]) << 24;
}

Error not_sealed(const std::string& path, std::string_view why) {
  return data_corrupt(fmt::format("{}: is not a sealed file: {}", path, why));
}

Result<uint64_t> count_member(const json::value& header, std::string_view key, const std::string& path) {
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

Status read_json(std::string_view text, const std::string& path, SealedHeader& header) {
  const Result<json::value> fields = parse_json(text);
  if (!fields) return not_sealed(path, fields.error().message);
  TRY_ASSIGN(const std::string cipher, text_member(*fields, "cipher", path));
  if (cipher != "AES-256-GCM") return not_sealed(path, fmt::format("cipher {} is unknown", printable_name(cipher)));
  TRY_ASSIGN(const uint64_t chunk_bytes, count_member(*fields, "chunk_bytes", path));
  const Status chunks = check_chunk_bytes(chunk_bytes);
  if (!chunks) return not_sealed(path, chunks.error().message);
  header.chunk_bytes = static_cast<uint32_t>(chunk_bytes);
  TRY_ASSIGN(header.plain_bytes, count_member(*fields, "plain_bytes", path));
  TRY_ASSIGN(header.name, text_member(*fields, "name", path));
  TRY_ASSIGN(header.collection, text_member(*fields, "collection", path));
  return {};
}

Status check_size(const SealedHeader& header, uint64_t file_bytes, const std::string& path) {
  const uint64_t available = file_bytes - header.data_offset;
  const bool sane = header.plain_bytes <= available;  // then nothing below can overflow
  if (sane && header.plain_bytes + header.chunk_count() * kGcmTagBytes == available) return {};
  return data_corrupt(fmt::format("{}: {} encrypted bytes do not fit a file of {} bytes; it is cut off or damaged",
                                  path, available, header.plain_bytes));
}

}  // namespace

Status check_chunk_bytes(uint64_t chunk_bytes) {
  if (chunk_bytes >= kChunkBytesMin && chunk_bytes <= kChunkBytesMax) return {};
  return invalid_argument(
      fmt::format("chunks of {} bytes: allowed are {} to {}", chunk_bytes, kChunkBytesMin, kChunkBytesMax));
}

Result<SealedHeader> parse_sealed_header(std::span<const std::byte> head, uint64_t file_bytes,
                                         const std::string& path) {
  const std::span bytes(reinterpret_cast<const unsigned char*>(head.data()), head.size());
  if (bytes.size() < kFixedBytes || std::memcmp(bytes.data(), kSealedMagic.data(), kSealedMagic.size()) != 0) {
    return not_sealed(path, "it does not begin with COVESEAL");
  }
  if (get_u32(bytes, 8) != kVersion) return not_sealed(path, fmt::format("version {} is unknown", get_u32(bytes, 8)));
  const size_t json_bytes = get_u32(bytes, 12);
  if (json_bytes > kHeaderJsonMax || bytes.size() - kFixedBytes < json_bytes + kKeySlots * kSlotBytes) {
    return not_sealed(path, "its header is cut off");
  }
  SealedHeader header;
  TRY(read_json({reinterpret_cast<const char*>(bytes.data()) + kFixedBytes, json_bytes}, path, header));
  header.slot_offset = kFixedBytes + json_bytes;
  header.data_offset = header.slot_offset + kKeySlots * kSlotBytes;
  header.digest = sha256_of(bytes.first(header.slot_offset));
  for (size_t i = 0; i < kKeySlots; ++i) {
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(header.slot_offset + i * kSlotBytes), kSlotBytes,
                header.slots[i].begin());
  }
  TRY(check_size(header, file_bytes, path));
  return header;
}

std::string make_sealed_header(const NewHeader& header) {
  std::array<unsigned char, 16> file_id{};
  fill_random(file_id);
  const json::object fields{{"cipher", "AES-256-GCM"},           {"chunk_bytes", header.chunk_bytes},
                            {"plain_bytes", header.plain_bytes}, {"name", header.name},
                            {"collection", header.collection},   {"file", hex_text(file_id)}};
  const std::string text = json::serialize(fields);
  COVE_CHECK(text.size() <= kHeaderJsonMax);
  std::string out(kSealedMagic);
  put_u32(out, kVersion);
  put_u32(out, static_cast<uint32_t>(text.size()));
  return out + text;
}

bool slot_in_use(const KeySlot& slot) {
  return std::any_of(slot.begin(), slot.end(), [](unsigned char b) { return b != 0; });
}

std::string slot_key_id(const KeySlot& slot) { return hex_text(std::span(slot).first(8)); }

KeySlot wrap_data_key(const SealKey& key, const SealKey& data_key, const Bytes32& header_digest) {
  KeySlot slot{};
  const Bytes32 key_digest = sha256_of(key.bytes());
  std::copy_n(key_digest.begin(), 8, slot.begin());
  GcmNonce nonce{};
  fill_random(nonce);
  std::copy(nonce.begin(), nonce.end(), slot.begin() + 8);
  COVE_CHECK(gcm_encrypt(key.bytes(), nonce, header_digest, data_key.bytes(), slot.data() + 20, slot.data() + 52));
  return slot;
}

std::optional<SealKey> unwrap_data_key(const KeySlot& slot, const SealKey& key, const Bytes32& header_digest) {
  if (slot_key_id(slot) != key.id()) return std::nullopt;
  GcmNonce nonce{};
  std::copy_n(slot.begin() + 8, nonce.size(), nonce.begin());
  Bytes32 plain{};
  const bool good =
      gcm_decrypt(key.bytes(), nonce, header_digest, std::span(slot).subspan(20, 32), slot.data() + 52, plain.data());
  std::optional<SealKey> data_key;
  if (good) data_key = SealKey::from_bytes(plain);
  wipe(std::as_writable_bytes(std::span(plain)));
  return data_key;
}

}  // namespace cove

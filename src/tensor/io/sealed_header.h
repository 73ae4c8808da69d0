#pragma once
// The head of a sealed file, byte for byte as docs/formats/sealed.md has it: magic, version, a JSON header, two key
// slots. Internal to tensor/io; the fuzzer calls the parser.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "tensor/io/aes_gcm.h"
#include "tensor/io/seal_key.h"
#include "tensor/io/sealed_bytes.h"

namespace cove {

inline constexpr std::string_view kSealedMagic = "COVESEAL";
inline constexpr size_t kKeySlots = 2;
inline constexpr size_t kSlotBytes = 8 + 12 + 32 + kGcmTagBytes;  // key id, nonce, wrapped data key, tag
inline constexpr size_t kHeaderJsonMax = 64 * 1024;
inline constexpr size_t kSealedHeadMax = 16 + kHeaderJsonMax + kKeySlots * kSlotBytes;

// A data key wrapped by one key-encryption key; all zero when unused. A file at rest has one in use; two are there
// only between the two writes of a key change.
using KeySlot = std::array<unsigned char, kSlotBytes>;

struct SealedHeader {
  std::string name;
  std::string collection;
  uint64_t plain_bytes = 0;
  uint32_t chunk_bytes = 0;
  size_t slot_offset = 0;  // of slot 0
  size_t data_offset = 0;  // of chunk 0
  Bytes32 digest{};        // SHA-256 of everything before the slots: which file this is
  std::array<KeySlot, kKeySlots> slots{};

  uint64_t chunk_count() const { return plain_bytes == 0 ? 1 : (plain_bytes - 1) / chunk_bytes + 1; }
};

// `head` is at least the smaller of the file and kSealedHeadMax bytes. Errors: kDataCorrupt when it is no sealed file
// or when file_bytes is not what its header says.
Result<SealedHeader> parse_sealed_header(std::span<const std::byte> head, uint64_t file_bytes, const std::string& path);

// Everything before the slots, with a fresh random file id.
struct NewHeader {
  std::string_view name;
  std::string_view collection;
  uint64_t plain_bytes = 0;
  uint32_t chunk_bytes = 0;
};
std::string make_sealed_header(const NewHeader& header);
Status check_chunk_bytes(uint64_t chunk_bytes);

bool slot_in_use(const KeySlot& slot);
std::string slot_key_id(const KeySlot& slot);
KeySlot wrap_data_key(const SealKey& key, const SealKey& data_key, const Bytes32& header_digest);
// nullopt when `key` is not the slot's or anything was changed.
std::optional<SealKey> unwrap_data_key(const KeySlot& slot, const SealKey& key, const Bytes32& header_digest);

}  // namespace cove

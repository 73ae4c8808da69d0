#pragma once
// GGUF versions 2 and 3, little-endian (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): metadata, tensor
// list and mapped data, strictly checked before anything is used. Called by engine/loading, spec/families and the
// tools.
//
// File: header, metadata pairs, tensor infos, padding, data. Tensors lie in the data in the order of their infos, each
// padded to the alignment.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file_source.h"
#include "base/result.h"
#include "tensor/io/weight_source.h"

namespace cove {

enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// A metadata value where it stands in the file; nothing is copied until asked for.
struct GgufValue {
  GgufType type = GgufType::kU8;     // kArray: see element
  GgufType element = GgufType::kU8;  // of an array; never kArray
  uint64_t count = 0;                // elements of an array
  std::span<const std::byte> bytes;  // the value; a string's or array's without its length
};

struct GgufHeader {
  uint32_t version = 0;
  uint64_t alignment = 32;
  uint64_t data_offset = 0;                                      // of the first tensor, from the beginning of the file
  std::vector<std::pair<std::string_view, GgufValue>> metadata;  // in the file's order
  std::vector<TensorInfo> tensors;                               // offsets from the beginning of the file
  uint64_t data_end = 0;  // of the last tensor with its padding, from the beginning of the file
};

// Reads everything before the data; `file` is at least that much and must outlive the header. Whether the data is there
// is not looked at. Errors: kDataCorrupt naming key or tensor, kUnsupported (version 1, big-endian files).
Result<GgufHeader> parse_gguf(std::span<const std::byte> file, const std::string& file_name);

// Every tensor must lie inside a file of so many bytes. Errors: kDataCorrupt naming the first that does not.
Status check_gguf_data(const GgufHeader& header, uint64_t file_bytes, const std::string& file_name);

// Metadata by key. The getters give nullopt when the key is missing or of another kind.
class GgufMetadata {
 public:
  GgufMetadata() = default;
  explicit GgufMetadata(const GgufHeader& header);

  const GgufValue* find(std::string_view key) const;
  std::optional<std::string_view> string(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key) const;  // any integer type whose value fits
  std::optional<double> number(std::string_view key) const;    // any numeric type
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::vector<std::string>> strings(std::string_view key) const;
  std::optional<std::vector<int64_t>> integers(std::string_view key) const;
  std::optional<std::vector<float>> floats(std::string_view key) const;

 private:
  std::unordered_map<std::string_view, GgufValue> values_;
};

// A GGUF file in memory, checked. Tensors of types that Cove cannot decode are listed as kOpaque.
class GgufFile {
 public:
  static Result<std::unique_ptr<GgufFile>> open(const std::filesystem::path& path);
  // The same of a file that is in memory already; `name` is for messages and TensorInfo.
  static Result<std::unique_ptr<GgufFile>> open(FileBytes content, const std::string& name);

  const GgufHeader& header() const { return header_; }
  const GgufMetadata& metadata() const { return metadata_; }
  const WeightSource& weights() const { return *weights_; }
  uint64_t file_bytes() const { return file_bytes_; }

 private:
  GgufFile() = default;
  uint64_t file_bytes_ = 0;
  GgufHeader header_;
  GgufMetadata metadata_;
  std::unique_ptr<WeightSource> weights_;
};

}  // namespace cove

#pragma once
// Writes a GGUF version 3 file tensor by tensor, so that weights larger than memory can be streamed. Called by tools
// and tests.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/io/output_file.h"
#include "tensor/io/safetensors_writer.h"

namespace cove {

// Metadata pairs in the order they are added.
class GgufPairs {
 public:
  void add(std::string_view key, std::string_view value);
  void add_u32(std::string_view key, uint32_t value);
  void add_f32(std::string_view key, float value);
  void add_bool(std::string_view key, bool value);
  void add_strings(std::string_view key, std::span<const std::string> values);
  void add_i32s(std::string_view key, std::span<const int32_t> values);

 private:
  friend class GgufWriter;
  void begin(std::string_view key, uint32_t type);
  uint64_t count_ = 0;
  std::string bytes_;
};

class GgufWriter {
 public:
  static constexpr uint64_t kAlignment = 32;

  // Writes everything before the data. Shapes are row-major ([out, in]), reversed in the file. Errors: kUnsupported for
  // types GGUF does not have, kInvalidArgument for rows that do not fill blocks.
  static Result<GgufWriter> create(const std::filesystem::path& path, const GgufPairs& pairs,
                                   std::span<const PlannedTensor> tensors);
  // The next bytes of the current tensor; end_tensor() pads and goes on to the next. All in the order of `tensors`.
  Status append(std::span<const std::byte> bytes) { return file_.write(bytes); }
  Status end_tensor();
  // Errors: kInvalidArgument when not every tensor was ended.
  Status finish();

 private:
  GgufWriter(OutputFile file, std::vector<uint64_t> ends) : file_(std::move(file)), ends_(std::move(ends)) {}
  Status pad();
  OutputFile file_;
  std::vector<uint64_t> ends_;  // of each tensor, from the beginning of the file, unpadded
  size_t ended_ = 0;
};

}  // namespace cove

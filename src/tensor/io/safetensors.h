#pragma once
// safetensors (https://github.com/huggingface/safetensors): reading one file or a sharded directory, strictly checked
// before anything is used, and writing. Called by engine/loading, the tools and the trainer's export.
//
// File: u64 little-endian header length, JSON header, data. The tensors' ranges, sorted, must tile the data exactly.

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_source.h"
#include "base/result.h"
#include "tensor/io/weight_source.h"

namespace cove {

// What one file's header says; TensorInfo::offset counts from the beginning of the file.
struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // in order of their offsets
  std::map<std::string, std::string> metadata;
};

// `file` is the whole file's bytes, `file_name` goes into TensorInfo and messages. Errors: kDataCorrupt naming tensor
// and offset. Element types that Cove does not compute with are listed as kOpaque.
Result<SafetensorsHeader> parse_safetensors(std::span<const std::byte> file, const std::string& file_name);

// `path` is a .safetensors file, an index (.safetensors.index.json) or a directory with either: its
// model.safetensors.index.json decides, else all of its *.safetensors files are taken. Files are mapped.
Result<std::unique_ptr<WeightSource>> open_safetensors(const std::filesystem::path& path);

// The same for a model's files, encrypted or not.
Result<std::unique_ptr<WeightSource>> open_safetensors(const FileSource& files);

struct TensorToWrite {
  std::string name;
  DType dtype = DType::kF32;  // no quantised formats
  Shape shape;
  std::span<const std::byte> bytes;  // exactly the tensor's; borrowed until the call returns
};

// Writes beside `path` and renames. Tensors of wider elements come first, so that all are aligned; otherwise in the
// given order. Metadata such as {"format", "pt"}, which transformers asks for.
Status write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                         const std::map<std::string, std::string>& metadata = {});

}  // namespace cove

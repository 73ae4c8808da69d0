#include "tensor/io/safetensors_writer.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/json.h"
#include "tensor/io/printable.h"

namespace cove {
namespace {

Result<std::string_view> type_name(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "F32";
    case DType::kF16: return "F16";
    case DType::kBF16: return "BF16";
    case DType::kI8: return "I8";
    case DType::kU8: return "U8";
    case DType::kI32: return "I32";
    case DType::kI64: return "I64";
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kE4M3:
    case DType::kOpaque: break;
  }
  return make_error(ErrorCode::kUnsupported,
                    fmt::format("safetensors cannot hold {}; write a .gguf file", dtype_info(dtype).name));
}

struct HeaderPlan {
  std::string text;  // padded
  uint64_t data_bytes = 0;
};

json::array shape_json(const Shape& shape) {
  json::array dims;
  for (int i = 0; i < shape.rank; ++i) dims.push_back(shape[i]);
  return dims;
}

Result<HeaderPlan> plan_header(const std::vector<PlannedTensor>& tensors,
                               const std::map<std::string, std::string>& metadata) {
  json::object root;
  if (!metadata.empty()) {
    json::object strings;
    for (const auto& [key, value] : metadata) strings[key] = value;
    root["__metadata__"] = std::move(strings);
  }
  uint64_t offset = 0;
  for (const PlannedTensor& tensor : tensors) {
    if (root.contains(tensor.name)) {
      return invalid_argument(fmt::format("tensor {} would be written twice", printable_name(tensor.name)));
    }
    TRY_ASSIGN(const std::string_view type, type_name(tensor.dtype));
    const uint64_t end = offset + static_cast<uint64_t>(dtype_bytes(tensor.dtype, tensor.shape.elements()));
    root[tensor.name] =
        json::object{{"dtype", type}, {"shape", shape_json(tensor.shape)}, {"data_offsets", json::array{offset, end}}};
    offset = end;
  }
  HeaderPlan plan{.text = json::serialize(root), .data_bytes = offset};
  plan.text.append((8 - plan.text.size() % 8) % 8, ' ');  // so that the data begin aligned
  return plan;
}

}  // namespace

Result<SafetensorsWriter> SafetensorsWriter::create(const std::filesystem::path& path,
                                                    const std::vector<PlannedTensor>& tensors,
                                                    const std::map<std::string, std::string>& metadata) {
  TRY_ASSIGN(const HeaderPlan plan, plan_header(tensors, metadata));
  TRY_ASSIGN(OutputFile file, OutputFile::create(path));
  const uint64_t length = plan.text.size();
  TRY(file.write(std::as_bytes(std::span(&length, 1))));
  TRY(file.write(plan.text));
  const uint64_t total = file.bytes_written() + plan.data_bytes;
  return SafetensorsWriter(std::move(file), total);
}

Status SafetensorsWriter::finish() {
  if (file_.bytes_written() != total_bytes_) {
    return invalid_argument(
        fmt::format("{} bytes were written of a safetensors file that has {}", file_.bytes_written(), total_bytes_));
  }
  return file_.finish();
}

Status write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                         const std::map<std::string, std::string>& metadata) {
  std::vector<const TensorToWrite*> order;
  for (const TensorToWrite& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const TensorToWrite* a, const TensorToWrite* b) {
    return dtype_info(a->dtype).block_bytes > dtype_info(b->dtype).block_bytes;
  });
  std::vector<PlannedTensor> plan;
  for (const TensorToWrite* tensor : order) {
    if (dtype_bytes(tensor->dtype, tensor->shape.elements()) != static_cast<int64_t>(tensor->bytes.size())) {
      return invalid_argument(fmt::format("tensor {} of shape {} comes with {} bytes", printable_name(tensor->name),
                                          to_string(tensor->shape), tensor->bytes.size()));
    }
    plan.push_back({tensor->name, tensor->dtype, tensor->shape});
  }
  TRY_ASSIGN(SafetensorsWriter writer, SafetensorsWriter::create(path, plan, metadata));
  for (const TensorToWrite* tensor : order) TRY(writer.append(tensor->bytes));
  return writer.finish();
}

}  // namespace cove

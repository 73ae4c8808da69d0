#include "tensor/io/gguf_writer.h"

#include <array>

#include <fmt/format.h>

#include "base/check.h"
#include "tensor/io/gguf.h"
#include "tensor/io/gguf_types.h"
#include "tensor/io/printable.h"

namespace cove {
namespace {

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void put_string(std::string& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  out.append(text);
}

uint64_t padded(uint64_t bytes) {
  return (bytes + GgufWriter::kAlignment - 1) / GgufWriter::kAlignment * GgufWriter::kAlignment;
}

Status put_tensor(std::string& out, const PlannedTensor& tensor, uint64_t offset) {
  const GgufTensorType* type = find_gguf_tensor_type(tensor.dtype);
  const std::string name = printable_name(tensor.name);
  if (type == nullptr) {
    return make_error(ErrorCode::kUnsupported, fmt::format("tensor {}: GGUF cannot hold {} as Cove writes it", name,
                                                           dtype_info(tensor.dtype).name));
  }
  const int rank = tensor.shape.rank;
  if (rank > 0 && tensor.shape[rank - 1] % dtype_info(tensor.dtype).block_elements != 0) {
    return invalid_argument(fmt::format("tensor {}: rows of {} values do not fill blocks of {}", name,
                                        tensor.shape[rank - 1], dtype_info(tensor.dtype).block_elements));
  }
  put_string(out, tensor.name);
  put<uint32_t>(out, static_cast<uint32_t>(rank));
  for (int i = rank - 1; i >= 0; --i) put<uint64_t>(out, static_cast<uint64_t>(tensor.shape[i]));
  put<uint32_t>(out, type->id);
  put<uint64_t>(out, offset);
  return {};
}

}  // namespace

void GgufPairs::begin(std::string_view key, uint32_t type) {
  ++count_;
  put_string(bytes_, key);
  put<uint32_t>(bytes_, type);
}

void GgufPairs::add(std::string_view key, std::string_view value) {
  begin(key, static_cast<uint32_t>(GgufType::kString));
  put_string(bytes_, value);
}

void GgufPairs::add_u32(std::string_view key, uint32_t value) {
  begin(key, static_cast<uint32_t>(GgufType::kU32));
  put(bytes_, value);
}

void GgufPairs::add_f32(std::string_view key, float value) {
  begin(key, static_cast<uint32_t>(GgufType::kF32));
  put(bytes_, value);
}

void GgufPairs::add_bool(std::string_view key, bool value) {
  begin(key, static_cast<uint32_t>(GgufType::kBool));
  put<uint8_t>(bytes_, value ? 1 : 0);
}

void GgufPairs::add_strings(std::string_view key, std::span<const std::string> values) {
  begin(key, static_cast<uint32_t>(GgufType::kArray));
  put(bytes_, static_cast<uint32_t>(GgufType::kString));
  put<uint64_t>(bytes_, values.size());
  for (const std::string& value : values) put_string(bytes_, value);
}

void GgufPairs::add_i32s(std::string_view key, std::span<const int32_t> values) {
  begin(key, static_cast<uint32_t>(GgufType::kArray));
  put(bytes_, static_cast<uint32_t>(GgufType::kI32));
  put<uint64_t>(bytes_, values.size());
  for (const int32_t value : values) put(bytes_, value);
}

Result<GgufWriter> GgufWriter::create(const std::filesystem::path& path, const GgufPairs& pairs,
                                      std::span<const PlannedTensor> tensors) {
  std::string head = "GGUF";
  put<uint32_t>(head, 3);
  put<uint64_t>(head, tensors.size());
  put<uint64_t>(head, pairs.count_);
  head += pairs.bytes_;
  uint64_t offset = 0;
  std::vector<uint64_t> ends;
  for (const PlannedTensor& tensor : tensors) {
    TRY(put_tensor(head, tensor, offset));
    const auto bytes = static_cast<uint64_t>(dtype_bytes(tensor.dtype, tensor.shape.elements()));
    ends.push_back(offset + bytes);
    offset = padded(offset + bytes);
  }
  head.resize(padded(head.size()), '\0');
  for (uint64_t& end : ends) end += head.size();
  TRY_ASSIGN(OutputFile file, OutputFile::create(path));
  TRY(file.write(head));
  return GgufWriter(std::move(file), std::move(ends));
}

Status GgufWriter::pad() {
  const std::array<std::byte, kAlignment> zeros{};
  return file_.write(std::span(zeros).first(padded(file_.bytes_written()) - file_.bytes_written()));
}

Status GgufWriter::end_tensor() {
  COVE_CHECK(ended_ < ends_.size());
  if (file_.bytes_written() != ends_[ended_]) {
    return invalid_argument(fmt::format("tensor {} of the GGUF file ends at byte {}, must end at {}", ended_,
                                        file_.bytes_written(), ends_[ended_]));
  }
  ++ended_;
  return pad();
}

Status GgufWriter::finish() {
  if (ended_ != ends_.size()) {
    return invalid_argument(fmt::format("{} of {} tensors of the GGUF file were written", ended_, ends_.size()));
  }
  return file_.finish();
}

}  // namespace cove

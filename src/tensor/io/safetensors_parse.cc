#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "tensor/io/checked_math.h"
#include "tensor/io/printable.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/safetensors_header.h"

namespace cove {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kHeaderBytesMax = 100'000'000;  // the reference implementation's limit

struct SafetensorsType {
  std::string_view name;
  uint64_t bits;
  DType dtype;
};

constexpr SafetensorsType kTypes[] = {
    {"F32", 32, DType::kF32},
    {"F16", 16, DType::kF16},
    {"BF16", 16, DType::kBF16},
    {"I8", 8, DType::kI8},
    {"U8", 8, DType::kU8},
    {"I32", 32, DType::kI32},
    {"I64", 64, DType::kI64},
    {"BOOL", 8, DType::kOpaque},
    {"I16", 16, DType::kOpaque},
    {"U16", 16, DType::kOpaque},
    {"U32", 32, DType::kOpaque},
    {"U64", 64, DType::kOpaque},
    {"F64", 64, DType::kOpaque},
    {"C64", 64, DType::kOpaque},
    {"F8_E5M2", 8, DType::kOpaque},
    {"F8_E4M3", 8, DType::kOpaque},
    {"F8_E8M0", 8, DType::kOpaque},
    {"F8_E5M2FNUZ", 8, DType::kOpaque},
    {"F8_E4M3FNUZ", 8, DType::kOpaque},
    {"F4", 4, DType::kOpaque},
    {"F6_E2M3", 6, DType::kOpaque},
    {"F6_E3M2", 6, DType::kOpaque},
};

const SafetensorsType* find_type(std::string_view name) {
  const auto* found = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& t) { return t.name == name; });
  return found == std::end(kTypes) ? nullptr : found;
}

// Bytes of the tensor by its shape and type.
Result<uint64_t> declared_bytes(const RawTensorEntry& entry, const SafetensorsType& type) {
  const std::string name = printable_name(entry.name);
  const std::optional<uint64_t> elements = checked_product(entry.shape);
  const std::optional<uint64_t> bits = elements ? checked_mul(*elements, type.bits) : std::nullopt;
  if (!bits)
    return data_corrupt(fmt::format("tensor {}: its shape [{}] is absurd", name, fmt::join(entry.shape, ", ")));
  if (*bits % 8 != 0) return data_corrupt(fmt::format("tensor {}: {} bits are not whole bytes", name, *bits));
  return *bits / 8;
}

// More dimensions than Shape holds are folded into one; such tensors are listed only.
void set_shape(TensorInfo& info, std::span<const uint64_t> dims) {
  if (dims.size() > Shape::kRankMax) {
    info.shape = {static_cast<int64_t>(*checked_product(dims))};
    info.type_name += fmt::format(" of {} dimensions", dims.size());
    info.dtype = DType::kOpaque;
    return;
  }
  for (const uint64_t dim : dims) info.shape.dims[static_cast<size_t>(info.shape.rank++)] = static_cast<int64_t>(dim);
}

Result<TensorInfo> check_entry(const RawTensorEntry& entry, uint64_t data_begin, const std::string& file_name) {
  const std::string name = printable_name(entry.name);
  const SafetensorsType* type = find_type(entry.dtype);
  if (type == nullptr) {
    return data_corrupt(fmt::format("tensor {} has the unknown type {}", name, printable_name(entry.dtype)));
  }
  if (entry.data_offsets.size() != 2) {
    return data_corrupt(fmt::format("tensor {} has {} data_offsets, must be 2", name, entry.data_offsets.size()));
  }
  const uint64_t begin = entry.data_offsets[0];
  const uint64_t end = entry.data_offsets[1];
  const std::optional<uint64_t> offset = checked_add(data_begin, begin);
  if (end < begin || !offset) {
    return data_corrupt(fmt::format("tensor {} claims the impossible bytes {}..{} of the data", name, begin, end));
  }
  TRY_ASSIGN(const uint64_t bytes, declared_bytes(entry, *type));
  if (bytes != end - begin) {
    return data_corrupt(
        fmt::format("tensor {} of type {} and shape [{}] takes {} bytes, but its data_offsets {}..{} hold {}", name,
                    entry.dtype, fmt::join(entry.shape, ", "), bytes, begin, end, end - begin));
  }
  TensorInfo info{.name = entry.name,
                  .dtype = type->dtype,
                  .shape = {},
                  .file = file_name,
                  .offset = *offset,
                  .bytes = bytes,
                  .type_name = entry.dtype};
  set_shape(info, entry.shape);
  return info;
}

// The sorted ranges must cover the data from its first to its last byte, each byte once.
Status check_ranges(std::span<const TensorInfo> sorted, uint64_t data_begin, uint64_t file_bytes) {
  uint64_t expected = data_begin;
  for (const TensorInfo& tensor : sorted) {
    const uint64_t end = tensor.offset + tensor.bytes;
    const std::string name = printable_name(tensor.name);
    if (tensor.offset != expected) {
      return data_corrupt(fmt::format("tensor {} begins at byte {}, but the {} ends at {}: {}", name, tensor.offset,
                                      expected == data_begin ? "header" : "tensor before it", expected,
                                      tensor.offset < expected ? "they overlap" : "there is a hole"));
    }
    if (end < tensor.offset || end > file_bytes) {
      return data_corrupt(
          fmt::format("tensor {} needs bytes {}..{} but the file ends at {}; the download is incomplete", name,
                      tensor.offset, end, file_bytes));
    }
    expected = end;
  }
  if (expected == file_bytes) return {};
  return data_corrupt(fmt::format("the last tensor ends at byte {} but the file at {}: {} bytes belong to nothing",
                                  expected, file_bytes, file_bytes - expected));
}

Result<std::string_view> header_text(std::span<const std::byte> file) {
  if (file.size() < kLengthBytes) {
    return data_corrupt(fmt::format("{} bytes cannot be a safetensors file; the download is incomplete", file.size()));
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  static_assert(std::endian::native == std::endian::little);
  if (length > kHeaderBytesMax) {
    return data_corrupt(fmt::format("claims a header of {} bytes, more than the limit of {}: not a safetensors file",
                                    length, kHeaderBytesMax));
  }
  if (length > file.size() - kLengthBytes) {
    return data_corrupt(fmt::format("the header needs bytes 8..{} but the file ends at {}; the download is incomplete",
                                    kLengthBytes + length, file.size()));
  }
  return std::string_view(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
}

Result<SafetensorsHeader> parse_checked(std::span<const std::byte> file, const std::string& file_name) {
  TRY_ASSIGN(const std::string_view text, header_text(file));
  TRY_ASSIGN(RawSafetensorsHeader raw, parse_safetensors_json(text));
  const uint64_t data_begin = kLengthBytes + text.size();
  SafetensorsHeader header;
  header.metadata = std::move(raw.metadata);
  for (const RawTensorEntry& entry : raw.entries) {
    TRY_ASSIGN(TensorInfo info, check_entry(entry, data_begin, file_name));
    header.tensors.push_back(std::move(info));
  }
  std::sort(header.tensors.begin(), header.tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  TRY(check_ranges(header.tensors, data_begin, file.size()));
  return header;
}

}  // namespace

Result<SafetensorsHeader> parse_safetensors(std::span<const std::byte> file, const std::string& file_name) {
  auto header = parse_checked(file, file_name);
  if (!header) return with_context(std::move(header).error(), file_name);
  return header;
}

}  // namespace cove

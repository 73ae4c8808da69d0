#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>

#include <fmt/format.h>

#include "tensor/io/checked_math.h"
#include "tensor/io/gguf.h"
#include "tensor/io/gguf_types.h"
#include "tensor/io/printable.h"

namespace cove {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kKeyBytesMax = 65535;
constexpr uint64_t kTensorNameBytesMax = 63;  // as in ggml
constexpr uint64_t kAlignmentMax = uint64_t{1} << 20;

size_t scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool: return 1;
    case GgufType::kU16:
    case GgufType::kI16: return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32: return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64: return 8;
    case GgufType::kString:
    case GgufType::kArray: break;
  }
  return 0;
}

// Reads forward; every read says what it was after when the file ends too early.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> file) : file_(file) {}
  uint64_t offset() const { return offset_; }
  uint64_t left() const { return file_.size() - offset_; }

  Result<std::span<const std::byte>> take(uint64_t count, std::string_view what) {
    if (count > left()) {
      return data_corrupt(
          fmt::format("{} needs {} bytes at byte {} but the file ends at {}; the download is incomplete", what, count,
                      offset_, file_.size()));
    }
    const std::span<const std::byte> bytes = file_.subspan(offset_, count);
    offset_ += count;
    return bytes;
  }

  template <class T>
  Result<T> number(std::string_view what) {
    TRY_ASSIGN(const std::span<const std::byte> bytes, take(sizeof(T), what));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }

  Result<std::string_view> string(uint64_t bytes_max, std::string_view what) {
    TRY_ASSIGN(const uint64_t length, number<uint64_t>(what));
    if (length > bytes_max) {
      return data_corrupt(
          fmt::format("{} at byte {} is {} bytes long, more than the limit of {}", what, offset_, length, bytes_max));
    }
    TRY_ASSIGN(const std::span<const std::byte> bytes, take(length, what));
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

 private:
  std::span<const std::byte> file_;
  uint64_t offset_ = 0;
};

class Parser {
 public:
  Parser(std::span<const std::byte> file, const std::string& file_name) : cursor_(file), file_name_(file_name) {}
  Result<GgufHeader> parse();

 private:
  Status read_version();
  Status read_pair(uint64_t index);
  Result<GgufType> read_type(std::string_view what);
  Result<GgufValue> read_value(GgufType type, std::string_view what);
  Result<GgufValue> read_array(std::string_view what);
  Status read_alignment();
  Status read_tensor(uint64_t index);
  Result<std::vector<uint64_t>> read_dims(const std::string& name);
  Status place_tensor(TensorInfo& tensor, uint64_t offset, uint64_t bytes);

  Cursor cursor_;
  const std::string& file_name_;
  GgufHeader header_;
  std::unordered_set<std::string_view> keys_;
  std::unordered_set<std::string_view> names_;
  uint64_t data_end_ = 0;  // of the tensors so far, padded, from the beginning of the data
};

Status Parser::read_version() {
  TRY_ASSIGN(const uint32_t magic, cursor_.number<uint32_t>("the magic number"));
  if (magic != kMagic) return data_corrupt("does not begin with 'GGUF': not a GGUF file");
  TRY_ASSIGN(header_.version, cursor_.number<uint32_t>("the version"));
  const uint32_t swapped = __builtin_bswap32(header_.version);
  if (header_.version > 0xffff && swapped <= 3) {
    return make_error(ErrorCode::kUnsupported, "is a big-endian GGUF file; convert it to little-endian");
  }
  if (header_.version == 1) {
    return make_error(ErrorCode::kUnsupported,
                      "is GGUF version 1, which is no longer written; convert the model again");
  }
  if (header_.version != 2 && header_.version != 3) {
    return data_corrupt(fmt::format("claims GGUF version {}; 2 and 3 are known", header_.version));
  }
  return {};
}

Result<GgufType> Parser::read_type(std::string_view what) {
  TRY_ASSIGN(const uint32_t type, cursor_.number<uint32_t>(what));
  if (type > static_cast<uint32_t>(GgufType::kF64)) {
    return data_corrupt(fmt::format("{} has the unknown type {}", what, type));
  }
  return static_cast<GgufType>(type);
}

Result<GgufValue> Parser::read_array(std::string_view what) {
  GgufValue value{.type = GgufType::kArray, .element = {}, .count = 0, .bytes = {}};
  TRY_ASSIGN(value.element, read_type(what));
  TRY_ASSIGN(value.count, cursor_.number<uint64_t>(what));
  if (value.element == GgufType::kArray) {
    return make_error(ErrorCode::kUnsupported, fmt::format("{} is an array of arrays", what));
  }
  if (value.element != GgufType::kString) {
    const std::optional<uint64_t> bytes = checked_mul(value.count, scalar_bytes(value.element));
    if (!bytes) return data_corrupt(fmt::format("{} claims {} elements", what, value.count));
    TRY_ASSIGN(value.bytes, cursor_.take(*bytes, what));
    return value;
  }
  Cursor ahead = cursor_;
  for (uint64_t i = 0; i < value.count; ++i) TRY(ahead.string(UINT64_MAX, what));
  TRY_ASSIGN(value.bytes, cursor_.take(ahead.offset() - cursor_.offset(), what));
  return value;
}

Result<GgufValue> Parser::read_value(GgufType type, std::string_view what) {
  if (type == GgufType::kArray) return read_array(what);
  GgufValue value{.type = type, .element = type, .count = 1, .bytes = {}};
  if (type == GgufType::kString) {
    TRY_ASSIGN(const std::string_view text, cursor_.string(UINT64_MAX, what));
    value.bytes = std::as_bytes(std::span(text.data(), text.size()));
    return value;
  }
  TRY_ASSIGN(value.bytes, cursor_.take(scalar_bytes(type), what));
  return value;
}

Status Parser::read_pair(uint64_t index) {
  TRY_ASSIGN(const std::string_view key,
             cursor_.string(kKeyBytesMax, fmt::format("the key of metadata pair {}", index)));
  if (key.empty()) return data_corrupt(fmt::format("metadata pair {} has an empty key", index));
  const std::string what = fmt::format("metadata {}", printable_name(key));
  if (!keys_.insert(key).second) return data_corrupt(what + " appears twice");
  TRY_ASSIGN(const GgufType type, read_type(what));
  TRY_ASSIGN(const GgufValue value, read_value(type, what));
  header_.metadata.emplace_back(key, value);
  return {};
}

Status Parser::read_alignment() {
  const GgufMetadata metadata(header_);
  const GgufValue* value = metadata.find("general.alignment");
  if (value == nullptr) return {};
  if (value->type != GgufType::kU32) return data_corrupt("metadata 'general.alignment' is not a u32");
  const auto alignment = static_cast<uint64_t>(*metadata.integer("general.alignment"));
  if (!std::has_single_bit(alignment) || alignment > kAlignmentMax) {
    return data_corrupt(
        fmt::format("metadata 'general.alignment' is {}, must be a power of two up to {}", alignment, kAlignmentMax));
  }
  header_.alignment = alignment;
  return {};
}

// In the file's order: the fastest-varying dimension first.
Result<std::vector<uint64_t>> Parser::read_dims(const std::string& name) {
  TRY_ASSIGN(const uint32_t count, cursor_.number<uint32_t>(name));
  if (count > Shape::kRankMax) {
    return data_corrupt(fmt::format("{} claims {} dimensions, at most {} are possible", name, count, Shape::kRankMax));
  }
  std::vector<uint64_t> dims(count);
  for (uint64_t& dim : dims) {
    TRY_ASSIGN(dim, cursor_.number<uint64_t>(name));
  }
  if (!checked_product(dims)) {
    return data_corrupt(fmt::format("{}: its dimensions {} are absurd", name, fmt::join(dims, " x ")));
  }
  return dims;
}

// Offsets must follow one another without holes, each aligned.
Status Parser::place_tensor(TensorInfo& tensor, uint64_t offset, uint64_t bytes) {
  const std::string name = printable_name(tensor.name);
  if (offset != data_end_) {
    return data_corrupt(fmt::format("tensor {} lies at byte {} of the data, but the one before it ends at {}", name,
                                    offset, data_end_));
  }
  const std::optional<uint64_t> end = checked_add(offset, bytes);
  const std::optional<uint64_t> padded = end ? checked_add(*end, header_.alignment - 1) : std::nullopt;
  if (!padded || *padded > INT64_MAX) {
    return data_corrupt(fmt::format("tensor {} of {} bytes makes the data absurdly large", name, bytes));
  }
  data_end_ = *padded / header_.alignment * header_.alignment;
  tensor.offset = offset;
  tensor.bytes = bytes;
  header_.tensors.push_back(std::move(tensor));
  return {};
}

Status Parser::read_tensor(uint64_t index) {
  TRY_ASSIGN(const std::string_view raw_name,
             cursor_.string(kTensorNameBytesMax, fmt::format("the name of tensor {}", index)));
  const std::string name = fmt::format("tensor {}", printable_name(raw_name));
  if (!names_.insert(raw_name).second) return data_corrupt(name + " appears twice");
  TRY_ASSIGN(const std::vector<uint64_t> dims, read_dims(name));
  TRY_ASSIGN(const uint32_t type_id, cursor_.number<uint32_t>(name));
  const GgufTensorType* type = find_gguf_tensor_type(type_id);
  if (type == nullptr) return data_corrupt(fmt::format("{} has the unknown type {}", name, type_id));
  TRY_ASSIGN(const uint64_t offset, cursor_.number<uint64_t>(name));
  const uint64_t row = dims.empty() ? 1 : dims.front();
  if (row % type->block_elements != 0) {
    return data_corrupt(fmt::format("{}: rows of {} values cannot be cut into the blocks of {} that {} needs", name,
                                    row, type->block_elements, type->name));
  }
  const std::optional<uint64_t> bytes = checked_mul(*checked_product(dims) / type->block_elements, type->block_bytes);
  if (!bytes) return data_corrupt(fmt::format("{}: its dimensions {} are absurd", name, fmt::join(dims, " x ")));
  TensorInfo tensor{.name = std::string(raw_name),
                    .dtype = type->dtype,
                    .shape = {},
                    .file = file_name_,
                    .offset = 0,
                    .bytes = 0,
                    .type_name = std::string(type->name)};
  tensor.shape.rank = static_cast<int>(dims.size());
  std::transform(dims.rbegin(), dims.rend(), tensor.shape.dims.begin(),
                 [](uint64_t d) { return static_cast<int64_t>(d); });
  return place_tensor(tensor, offset, *bytes);
}

Result<GgufHeader> Parser::parse() {
  TRY(read_version());
  TRY_ASSIGN(const uint64_t tensor_count, cursor_.number<uint64_t>("the number of tensors"));
  TRY_ASSIGN(const uint64_t pair_count, cursor_.number<uint64_t>("the number of metadata pairs"));
  // Each takes some bytes, so that absurd numbers end at the end of the file; these are refused at once.
  if (tensor_count > cursor_.left() || pair_count > cursor_.left()) {
    return data_corrupt(fmt::format("claims {} tensors and {} metadata pairs, more than its {} bytes can hold",
                                    tensor_count, pair_count, cursor_.offset() + cursor_.left()));
  }
  for (uint64_t i = 0; i < pair_count; ++i) TRY(read_pair(i));
  TRY(read_alignment());
  for (uint64_t i = 0; i < tensor_count; ++i) TRY(read_tensor(i));
  const uint64_t end = cursor_.offset();
  const bool has_data = !header_.tensors.empty();
  header_.data_offset = has_data ? (end + header_.alignment - 1) / header_.alignment * header_.alignment : end;
  header_.data_end = header_.data_offset + data_end_;
  for (TensorInfo& tensor : header_.tensors) tensor.offset += header_.data_offset;
  return std::move(header_);
}

}  // namespace

Result<GgufHeader> parse_gguf(std::span<const std::byte> file, const std::string& file_name) {
  auto header = Parser(file, file_name).parse();
  if (!header) return with_context(std::move(header).error(), file_name);
  return header;
}

Status check_gguf_data(const GgufHeader& header, uint64_t file_bytes, const std::string& file_name) {
  for (const TensorInfo& tensor : header.tensors) {
    if (tensor.offset + tensor.bytes <= file_bytes) continue;
    return data_corrupt(
        fmt::format("{}: tensor {} needs bytes {}..{} but the file ends at {}; the download is incomplete", file_name,
                    printable_name(tensor.name), tensor.offset, tensor.offset + tensor.bytes, file_bytes));
  }
  if (header.data_end > file_bytes) {
    return data_corrupt(
        fmt::format("{}: the padding of the last tensor ends at byte {} but the file at {}; the download is incomplete",
                    file_name, header.data_end, file_bytes));
  }
  return {};
}

}  // namespace cove

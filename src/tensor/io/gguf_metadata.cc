#include <cmath>
#include <cstring>

#include "tensor/io/gguf.h"

namespace cove {
namespace {

template <class T>
T load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

std::optional<int64_t> load_integer(GgufType type, const std::byte* bytes) {
  switch (type) {
    case GgufType::kU8: return load<uint8_t>(bytes);
    case GgufType::kI8: return load<int8_t>(bytes);
    case GgufType::kU16: return load<uint16_t>(bytes);
    case GgufType::kI16: return load<int16_t>(bytes);
    case GgufType::kU32: return load<uint32_t>(bytes);
    case GgufType::kI32: return load<int32_t>(bytes);
    case GgufType::kI64: return load<int64_t>(bytes);
    case GgufType::kU64: {
      const auto value = load<uint64_t>(bytes);
      if (value > INT64_MAX) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default: return std::nullopt;
  }
}

std::optional<double> load_number(GgufType type, const std::byte* bytes) {
  if (type == GgufType::kF32) return static_cast<double>(load<float>(bytes));
  if (type == GgufType::kF64) return load<double>(bytes);
  const std::optional<int64_t> integer = load_integer(type, bytes);
  if (!integer) return std::nullopt;
  return static_cast<double>(*integer);
}

const GgufValue* array_of(const GgufValue* value) {
  return value != nullptr && value->type == GgufType::kArray ? value : nullptr;
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

GgufMetadata::GgufMetadata(const GgufHeader& header) {
  for (const auto& [key, value] : header.metadata) values_.emplace(key, value);
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

std::optional<std::string_view> GgufMetadata::string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr || value->type != GgufType::kString) return std::nullopt;
  return text_of(value->bytes);
}

std::optional<int64_t> GgufMetadata::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr || value->type == GgufType::kArray) return std::nullopt;
  return load_integer(value->type, value->bytes.data());
}

std::optional<double> GgufMetadata::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr || value->type == GgufType::kArray) return std::nullopt;
  return load_number(value->type, value->bytes.data());
}

std::optional<bool> GgufMetadata::boolean(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr || value->type != GgufType::kBool) return std::nullopt;
  return load<uint8_t>(value->bytes.data()) != 0;
}

std::optional<std::vector<std::string>> GgufMetadata::strings(std::string_view key) const {
  const GgufValue* value = array_of(find(key));
  if (value == nullptr || value->element != GgufType::kString) return std::nullopt;
  std::vector<std::string> texts;
  std::span<const std::byte> rest = value->bytes;  // lengths were checked when the file was parsed
  while (!rest.empty()) {
    const auto length = load<uint64_t>(rest.data());
    texts.emplace_back(text_of(rest.subspan(sizeof(uint64_t), length)));
    rest = rest.subspan(sizeof(uint64_t) + length);
  }
  return texts;
}

std::optional<std::vector<int64_t>> GgufMetadata::integers(std::string_view key) const {
  const GgufValue* value = array_of(find(key));
  if (value == nullptr || value->element == GgufType::kString) return std::nullopt;
  std::vector<int64_t> numbers;
  const size_t stride = value->count == 0 ? 1 : value->bytes.size() / value->count;
  for (uint64_t i = 0; i < value->count; ++i) {
    const std::optional<int64_t> number = load_integer(value->element, value->bytes.data() + i * stride);
    if (!number) return std::nullopt;
    numbers.push_back(*number);
  }
  return numbers;
}

std::optional<std::vector<float>> GgufMetadata::floats(std::string_view key) const {
  const GgufValue* value = array_of(find(key));
  if (value == nullptr || value->element == GgufType::kString) return std::nullopt;
  std::vector<float> numbers;
  const size_t stride = value->count == 0 ? 1 : value->bytes.size() / value->count;
  for (uint64_t i = 0; i < value->count; ++i) {
    const std::optional<double> number = load_number(value->element, value->bytes.data() + i * stride);
    if (!number) return std::nullopt;
    numbers.push_back(static_cast<float>(*number));
  }
  return numbers;
}

}  // namespace cove

#include "text/tokenizer/vocabulary.h"

#include <bit>
#include <functional>

#include <fmt/format.h>

namespace cove::text {
namespace {

uint32_t hash_of(std::string_view bytes) { return static_cast<uint32_t>(std::hash<std::string_view>()(bytes)); }

}  // namespace

Status Vocabulary::set(int64_t id, std::string_view bytes, bool indexed) {
  if (id < 0 || id >= kTokenIdEnd)
    return data_corrupt(fmt::format("token id {} is outside 0..{}", id, kTokenIdEnd - 1));
  if (bytes.size() > UINT32_MAX) return data_corrupt(fmt::format("token {} has {} bytes", id, bytes.size()));
  const auto index = static_cast<size_t>(id);
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  Token& token = tokens_[index];
  token.offset = pool_.size();
  token.length = static_cast<uint32_t>(bytes.size());
  token.present = 1;
  token.indexed = indexed ? 1 : 0;
  token.hash = hash_of(bytes);
  pool_ += bytes;
  return {};
}

Status Vocabulary::add(int64_t id, std::string_view bytes, bool indexed) {
  if (has(id)) return data_corrupt(fmt::format("token id {} is given twice", id));
  return set(id, bytes, indexed);
}

Status Vocabulary::replace(int64_t id, std::string_view bytes_now) {
  if (bytes(static_cast<int32_t>(id)) == bytes_now && has(id)) return {};
  return set(id, bytes_now, false);
}

void Vocabulary::seal() {
  const size_t count = std::bit_ceil(tokens_.size() * 2 + 2);
  slots_.assign(count, -1);
  for (size_t id = 0; id < tokens_.size(); ++id) {
    const Token& token = tokens_[id];
    if (token.indexed == 0 || find(bytes(static_cast<int32_t>(id)))) continue;
    size_t at = token.hash & (count - 1);
    while (slots_[at] >= 0) at = (at + 1) & (count - 1);
    slots_[at] = static_cast<int32_t>(id);
  }
}

std::optional<int32_t> Vocabulary::find(std::string_view wanted) const {
  if (slots_.empty()) return std::nullopt;
  const uint32_t hash = hash_of(wanted);
  for (size_t at = hash & (slots_.size() - 1); slots_[at] >= 0; at = (at + 1) & (slots_.size() - 1)) {
    if (tokens_[static_cast<size_t>(slots_[at])].hash == hash && bytes(slots_[at]) == wanted) return slots_[at];
  }
  return std::nullopt;
}

}  // namespace cove::text

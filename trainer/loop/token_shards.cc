#include "loop/token_shards.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>

namespace cove::trainer {
namespace {

constexpr char kMagic[8] = {'C', 'O', 'V', 'E', 'S', 'H', 'D', '1'};

template <class T>
void append(std::string& out, const T* values, size_t count) {
  out.append(reinterpret_cast<const char*>(values), count * sizeof(T));
}

template <class T>
bool read_array(std::ifstream& in, std::vector<T>& out, size_t count) {
  out.resize(count);
  in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(count * sizeof(T)));
  return static_cast<bool>(in);
}

Error broken(const std::filesystem::path& path, const char* what) {
  return data_corrupt(path.string() + ": " + what + "; delete it and run 'cove-train data' again");
}

}  // namespace

std::filesystem::path shard_path(const std::filesystem::path& dir, int64_t index) {
  char name[32];
  std::snprintf(name, sizeof(name), "shard-%06lld.bin", static_cast<long long>(index));
  return dir / name;
}

Status write_shard(const std::filesystem::path& dir, int64_t index, std::span<const Document> documents) {
  std::string lengths;
  std::string ids;
  std::string mask;
  uint32_t tokens = 0;
  for (const Document& document : documents) {
    if (document.ids.size() != document.mask.size())
      return invalid_argument("a document's ids and mask differ in length");
    const auto length = static_cast<uint32_t>(document.ids.size());
    tokens += length;
    append(lengths, &length, 1);
    append(ids, document.ids.data(), document.ids.size());
    append(mask, document.mask.data(), document.mask.size());
  }
  const auto count = static_cast<uint32_t>(documents.size());
  std::string head(kMagic, sizeof(kMagic));
  append(head, &count, 1);
  append(head, &tokens, 1);
  const std::filesystem::path path = shard_path(dir, index);
  const std::filesystem::path temporary = path.string() + ".tmp";
  {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out << head << lengths << ids << mask;
    out.flush();
    if (!out) return make_error(ErrorCode::kIo, temporary.string() + ": cannot write");
  }
  std::error_code error;
  std::filesystem::rename(temporary, path, error);
  if (error) return make_error(ErrorCode::kIo, path.string() + ": " + error.message());
  return {};
}

Result<Shard> read_shard(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return make_error(ErrorCode::kNotFound, path.string() + ": cannot open");
  char magic[8];
  std::vector<uint32_t> counts;
  in.read(magic, sizeof(magic));
  if (!in || std::memcmp(magic, kMagic, sizeof(magic)) != 0) return broken(path, "is not a token shard");
  if (!read_array(in, counts, 2)) return broken(path, "is cut off");
  const uint64_t expected = sizeof(magic) + 8 + uint64_t{counts[0]} * 4 + uint64_t{counts[1]} * 3;
  std::error_code error;
  if (std::filesystem::file_size(path, error) != expected || error) return broken(path, "has the wrong size");
  Shard shard;
  if (!read_array(in, shard.lengths, counts[0]) || !read_array(in, shard.ids, counts[1]) ||
      !read_array(in, shard.mask, counts[1])) {
    return broken(path, "is cut off");
  }
  uint64_t sum = 0;
  for (const uint32_t length : shard.lengths) sum += length;
  if (sum != counts[1]) return broken(path, "has document lengths that do not add up");
  return shard;
}

Status BatchSource::open_shard() {
  if (loaded_ == position_.shard) return {};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(options_.wait_s);
  std::filesystem::path path = shard_path(options_.dir, position_.shard);
  while (!std::filesystem::exists(path)) {
    if (options_.wrap && position_.shard > 0) {
      position_ = {};
      path = shard_path(options_.dir, 0);
      continue;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return make_error(ErrorCode::kNotFound, path.string() + ": the data ends here");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  TRY_ASSIGN(shard_, read_shard(path));
  loaded_ = position_.shard;
  offsets_.assign(1, 0);
  for (const uint32_t length : shard_.lengths) offsets_.push_back(offsets_.back() + length);
  return {};
}

Result<TokenBatch> BatchSource::next() {
  TokenBatch batch;
  const auto wanted = static_cast<size_t>(options_.batch_tokens);
  batch.ids.reserve(wanted);
  batch.positions.reserve(wanted);
  while (batch.ids.size() < wanted) {
    TRY(open_shard());
    if (position_.document >= static_cast<int64_t>(shard_.lengths.size())) {
      ++position_.shard;
      position_.document = 0;
      continue;
    }
    const auto d = static_cast<size_t>(position_.document++);
    const size_t room = wanted - batch.ids.size();
    const size_t length = std::min({offsets_[d + 1] - offsets_[d], room, static_cast<size_t>(options_.document_max)});
    const size_t begin = batch.ids.size();
    if (length == 0) continue;
    batch.starts.push_back(static_cast<int32_t>(begin));
    batch.longest = std::max(batch.longest, static_cast<int32_t>(length));
    for (size_t i = 0; i < length; ++i) {
      batch.ids.push_back(shard_.ids[offsets_[d] + i]);
      batch.positions.push_back(static_cast<int32_t>(i));
      if (i > 0 && shard_.mask[offsets_[d] + i] != 0) {
        batch.rows.push_back(static_cast<int64_t>(begin + i - 1));
        batch.targets.push_back(batch.ids.back());
      }
    }
  }
  batch.starts.push_back(static_cast<int32_t>(wanted));
  return batch;
}

}  // namespace cove::trainer

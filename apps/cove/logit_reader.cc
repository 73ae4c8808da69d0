#include "logit_reader.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace cove::app {
namespace {

constexpr int64_t kPageTokens = 16;

}  // namespace

DType cache_dtype(const std::string& kv_format, const std::string& weight_format) {
  if (kv_format != "auto") return dtype_from_name(kv_format).value();
  return weight_format == "f32" ? DType::kF32 : DType::kBF16;
}

Result<std::unique_ptr<LogitReader>> LogitReader::create(std::shared_ptr<const engine::ModelFiles> files,
                                                         std::unique_ptr<Backend> backend, const Sizes& sizes) {
  COVE_CHECK(sizes.positions_max > 0 && sizes.chunk_tokens > 0);
  std::unique_ptr<LogitReader> reader(new LogitReader(std::move(files), std::move(backend)));
  const engine::ModelFiles& opened = *reader->files_;
  TRY_ASSIGN(reader->decoder_,
             model::Decoder::load(
                 opened.spec, [&opened](std::string_view name) { return opened.find(name); }, *reader->backend_,
                 {.batch_tokens_max = sizes.chunk_tokens, .logit_rows_max = std::min(kRowsMax, sizes.chunk_tokens)},
                 [&opened](std::string_view name) { opened.release(name); }));
  const int64_t pages = (sizes.positions_max + kPageTokens - 1) / kPageTokens;
  const DType format = cache_dtype(sizes.kv_format, opened.weight_format);
  TRY_ASSIGN(reader->cache_,
             reader->backend_->make_kv_cache(model::Decoder::kv_layout(opened.spec, kPageTokens, format), pages));
  reader->sizes_ = sizes;
  reader->pages_.resize(static_cast<size_t>(pages));
  std::iota(reader->pages_.begin(), reader->pages_.end(), 0);
  reader->all_rows_.resize(static_cast<size_t>(kRowsMax));
  std::iota(reader->all_rows_.begin(), reader->all_rows_.end(), 0);
  return reader;
}

Result<TensorView> LogitReader::step(std::span<const int32_t> tokens, std::span<const int32_t> rows) {
  const auto count = static_cast<int64_t>(tokens.size());
  COVE_CHECK(count > 0 && count <= sizes_.chunk_tokens && length_ + count <= sizes_.positions_max);
  positions_.resize(tokens.size());
  std::iota(positions_.begin(), positions_.end(), static_cast<int32_t>(length_));
  length_ += count;
  const SequenceSlice slice{.token_count = static_cast<int32_t>(count), .kv_length = static_cast<int32_t>(length_)};
  // Pages are numbered in order, so a position is its own slot.
  const StepBatch batch{.tokens = tokens,
                        .positions = positions_,
                        .slots = positions_,
                        .sequences = {&slice, 1},
                        .page_table = pages_,
                        .logit_rows = rows};
  backend_->begin_step(batch);
  const TensorView logits = decoder_->forward(batch, *cache_);
  TRY(backend_->end_step());
  return logits;
}

Status LogitReader::skip(std::span<const int32_t> tokens) {
  while (!tokens.empty()) {
    const size_t count = std::min(tokens.size(), static_cast<size_t>(sizes_.chunk_tokens));
    const auto done = step(tokens.first(count), {});
    if (!done) return done.error();
    tokens = tokens.subspan(count);
  }
  return {};
}

Result<std::span<const float>> LogitReader::feed(std::span<const int32_t> tokens) {
  return feed(tokens, std::span(all_rows_).first(tokens.size()));
}

Result<std::span<const float>> LogitReader::feed(std::span<const int32_t> tokens, std::span<const int32_t> rows) {
  TRY_ASSIGN(const TensorView logits, step(tokens, rows));
  logits_.resize(rows.size() * static_cast<size_t>(vocab()));
  if (rows.empty()) return std::span<const float>();
  TRY(backend_->read_back(logits, std::as_writable_bytes(std::span(logits_))));
  return std::span<const float>(logits_);
}

}  // namespace cove::app

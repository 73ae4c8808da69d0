#include "engine/loading/verify.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "tensor/formats/codec.h"

namespace cove::engine {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{16} << 20;

// A part of one tensor, whole blocks.
struct Piece {
  const TensorInfo* tensor;
  uint64_t begin;  // within the tensor
  uint64_t bytes;
};

std::vector<Piece> cut(std::span<const TensorInfo> tensors) {
  std::vector<Piece> pieces;
  for (const TensorInfo& tensor : tensors) {
    const DTypeInfo& info = dtype_info(tensor.dtype);
    if (!info.is_float_like) continue;
    const auto block = static_cast<uint64_t>(info.block_bytes);
    const uint64_t step = kPieceBytes / block * block;
    for (uint64_t begin = 0; begin < tensor.bytes; begin += step) {
      pieces.push_back({&tensor, begin, std::min(step, tensor.bytes - begin)});
    }
  }
  return pieces;
}

std::optional<WeightFault> check_piece(const WeightSource& source, const Piece& piece) {
  const TensorInfo& tensor = *piece.tensor;
  const size_t found = find_not_finite(tensor.dtype, source.data(tensor).subspan(piece.begin, piece.bytes));
  if (found == kAllFinite) return std::nullopt;
  const DTypeInfo& info = dtype_info(tensor.dtype);
  const uint64_t at = piece.begin + found * static_cast<uint64_t>(info.block_bytes);
  const uint64_t unit = at / static_cast<uint64_t>(info.block_bytes);
  return WeightFault{tensor.file, tensor.name, tensor.offset + at,
                     info.block_elements > 1 ? fmt::format("the scale of block {} is infinite or NaN", unit)
                                             : fmt::format("value {} is infinite or NaN", unit)};
}

// Shared by the threads of one run.
class Verification {
 public:
  Verification(const WeightSource& source, const VerifyOptions& options)
      : source_(source), options_(options), pieces_(cut(source.tensors())) {}

  void work() {
    for (size_t i = next_++; i < pieces_.size(); i = next_++) {
      std::optional<WeightFault> fault = check_piece(source_, pieces_[i]);
      const uint64_t done = bytes_done_ += pieces_[i].bytes;
      if (options_.on_progress) options_.on_progress(done);
      if (!fault) continue;
      const std::lock_guard lock(mutex_);
      faults_.push_back(std::move(*fault));
    }
  }

  // One fault of each tensor, in the order of the files.
  std::vector<WeightFault> take_faults() {
    std::sort(faults_.begin(), faults_.end(), [](const WeightFault& a, const WeightFault& b) {
      return std::tie(a.file, a.offset) < std::tie(b.file, b.offset);
    });
    const auto same = [](const WeightFault& a, const WeightFault& b) { return a.tensor == b.tensor; };
    faults_.erase(std::unique(faults_.begin(), faults_.end(), same), faults_.end());
    return std::move(faults_);
  }

 private:
  const WeightSource& source_;
  const VerifyOptions& options_;
  const std::vector<Piece> pieces_;
  std::atomic<size_t> next_ = 0;
  std::atomic<uint64_t> bytes_done_ = 0;
  std::mutex mutex_;
  std::vector<WeightFault> faults_;
};

}  // namespace

VerifyReport verify_weights(const WeightSource& source, const VerifyOptions& options) {
  Verification verification(source, options);
  std::vector<std::jthread> threads;
  for (int i = 1; i < options.threads; ++i) threads.emplace_back([&] { verification.work(); });
  verification.work();
  threads.clear();  // joins
  VerifyReport report;
  for (const TensorInfo& tensor : source.tensors()) {
    ++report.tensors;
    report.bytes += tensor.bytes;
    if (!dtype_info(tensor.dtype).is_float_like) report.unchecked.push_back(tensor.name);
  }
  report.faults = verification.take_faults();
  return report;
}

}  // namespace cove::engine

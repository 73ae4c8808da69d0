#include "backends/cuda/backend/drawn_tokens.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace cove::cuda {
namespace {

constexpr size_t kScratchBytes = size_t{20} << 20;  // 327 rows at once of a vocabulary of 152 064
constexpr size_t kRowsMin = 4096;
constexpr int kFirstPlace = 2;  // of Device::mark; the first two belong to loading

SampleRow to_row(const SampleParams& params) {
  return {.seed = params.seed,
          .position = params.position,
          .temperature = params.temperature,
          .top_p = params.top_p,
          .min_p = params.min_p,
          .top_k = params.top_k,
          .greedy = params.temperature < kGreedyTemperature ? 1 : 0,
          .skip = draws_unaided(params) ? 0 : 1};
}

}  // namespace

bool DrawnTokens::Step::needs_host() const {
  return std::ranges::any_of(rows, [](const SampleRow& row) { return row.skip != 0; });
}

Status DrawnTokens::take_workspace() {
  TRY_ASSIGN(scratch_, CudaBuffer::make(*device_, kScratchBytes));
  return {};
}

Status DrawnTokens::begin(size_t rows) {
  COVE_CHECK(under_way_ < 2);
  COVE_CHECK_MSG(under_way_ == 0 || !before().needs_host(), "a step under way whose rows the host draws is waited for");
  steps_[current_].args = {};
  steps_[current_].rows.clear();
  return rows == 0 ? Status() : reserve(rows);
}

// More rows than before: the first step, or a test; how many there will be at most is not known earlier.
Status DrawnTokens::reserve(size_t rows) {
  const size_t bytes = std::max(rows, kRowsMin) * sizeof(int32_t);
  if (drawn_ == nullptr || drawn_->bytes() < rows * sizeof(int32_t)) {
    TRY_ASSIGN(std::unique_ptr<CudaBuffer> grown, CudaBuffer::make(*device_, bytes));
    if (drawn_ != nullptr) device_->copy_inside(grown->data(), drawn_->data(), drawn_->bytes());
    TRY(device_->synchronize());
    drawn_ = std::move(grown);
  }
  std::unique_ptr<PinnedBuffer>& host = steps_[current_].host;
  if (host != nullptr && host->bytes() >= rows * sizeof(int32_t)) return {};
  TRY_ASSIGN(host, PinnedBuffer::make(*device_, bytes));
  return {};
}

void DrawnTokens::check_fed(std::span<const int32_t> tokens) const {
  const std::vector<SampleRow>& rows = before().rows;
  for (const int32_t token : tokens) {
    if (!is_drawn_before(token)) continue;
    const auto row = static_cast<size_t>(row_of_drawn(token));
    COVE_CHECK_MSG(row < rows.size() && rows[row].skip == 0,
                   "a token that the step before does not draw on the device");
  }
}

Result<SampleLaunch> DrawnTokens::add(const SampleArgs& args, StepArrays& arrays) {
  const auto rows = static_cast<int64_t>(args.params.size());
  COVE_CHECK(args.logits.dtype == DType::kF32 && args.logits.shape[0] == rows &&
             args.results.size() == args.params.size());
  TRY(reserve(args.params.size()));
  Step& step = steps_[current_];
  step.args = args;
  for (const SampleParams& params : args.params) step.rows.push_back(to_row(params));
  const int64_t vocab = args.logits.shape[1];
  const auto weighs = [&](const SampleRow& row) { return needs_every_weight(row, vocab); };
  const auto cuts = [&](const SampleRow& row) { return cuts_by_mass(row, vocab); };
  return SampleLaunch{.logits = args.logits.as<const float>(),
                      .rows = rows,
                      .vocab = vocab,
                      .params = arrays.add(std::span<const SampleRow>(step.rows)),
                      .weighs = std::ranges::any_of(step.rows, weighs),
                      .cuts = std::ranges::any_of(step.rows, cuts),
                      .tokens = static_cast<int32_t*>(drawn_->data()),
                      .scratch = scratch_->data(),
                      .scratch_bytes = scratch_->bytes()};
}

void DrawnTokens::submit() {
  const Step& step = steps_[current_];
  if (!step.rows.empty()) device_->download(step.host->data(), drawn_->data(), step.rows.size() * sizeof(int32_t));
  device_->mark(kFirstPlace + static_cast<int>(current_));
  current_ = 1 - current_;
  ++under_way_;
}

Status DrawnTokens::wait(const ReadBack& read_back) {
  COVE_CHECK(under_way_ > 0);
  const size_t oldest = under_way_ == 1 ? 1 - current_ : current_;
  --under_way_;
  TRY(device_->wait_for(kFirstPlace + static_cast<int>(oldest)));
  return collect(steps_[oldest], read_back);
}

Status DrawnTokens::collect(const Step& step, const ReadBack& read_back) {
  for (size_t i = 0; i < step.rows.size(); ++i) {
    SampleResult& result = step.args.results[i];
    if (step.rows[i].skip == 0) {
      result = {};
      std::memcpy(&result.token, step.host->data() + i * sizeof(int32_t), sizeof(int32_t));
      continue;
    }
    const int64_t vocab = step.args.logits.shape[1];
    logits_.resize(static_cast<size_t>(vocab));
    float* row = step.args.logits.as<float>() + static_cast<int64_t>(i) * vocab;
    TRY(read_back({.data = row, .dtype = DType::kF32, .shape = {vocab}}, std::as_writable_bytes(std::span(logits_))));
    result = sample_row(logits_, step.args.params[i], host_scratch_);
  }
  return {};
}

}  // namespace cove::cuda

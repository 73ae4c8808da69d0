#include "eval_text.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/check.h"

namespace cove::app {
namespace {

// What is read at once: `ids` follow each other, those from `first` on are predicted.
struct Window {
  std::vector<int32_t> ids;
  size_t first = 0;
};

// Windows that predict each token once. See TextOptions.
class Windows {
 public:
  Windows(std::span<const int32_t> ids, const TextOptions& options)
      : ids_(ids), options_(options), room_(static_cast<size_t>(options.window - (options.bos ? 1 : 0))) {}

  // False at the text's end.
  bool next(Window& out) {
    if (end_ == ids_.size()) return false;
    const size_t begin_predicting = end_;
    end_ = std::min(ids_.size(), end_ == 0 ? room_ : end_ + static_cast<size_t>(options_.stride));
    const size_t begin = end_ - std::min(end_, room_);
    out.ids.clear();
    if (options_.bos) out.ids.push_back(*options_.bos);
    out.first = out.ids.size() + begin_predicting - begin;
    if (out.first == 0) out.first = 1;  // nothing stands in front of the text's first token
    out.ids.insert(out.ids.end(), ids_.begin() + static_cast<std::ptrdiff_t>(begin),
                   ids_.begin() + static_cast<std::ptrdiff_t>(end_));
    return true;
  }

 private:
  std::span<const int32_t> ids_;
  const TextOptions& options_;
  size_t room_;     // text tokens of one window
  size_t end_ = 0;  // tokens before this have been predicted
};

size_t likeliest(std::span<const float> row) {
  return static_cast<size_t>(std::ranges::max_element(row) - row.begin());
}

class Tally {
 public:
  Tally(LogitReader& model, LogitReader* against) : model_(&model), against_(against) {}

  Status add(const Window& window) {
    const std::span<const int32_t> ids = window.ids;
    // The token at i is predicted by the row of the token before it.
    const size_t begin = window.first - 1;
    TRY(start(*model_, ids.first(begin)));
    if (against_ != nullptr) TRY(start(*against_, ids.first(begin)));
    for (size_t at = begin; at + 1 < ids.size();) {
      const size_t count = std::min(ids.size() - 1 - at, static_cast<size_t>(LogitReader::kRowsMax));
      TRY(add_rows(ids.subspan(at, count), ids.subspan(at + 1, count)));
      at += count;
    }
    ++score_.windows;
    return {};
  }

  int64_t tokens() const { return score_.tokens; }

  TextScore finish() {
    if (against_ == nullptr || divergences_.empty()) return score_;
    std::ranges::sort(divergences_);
    const size_t count = divergences_.size();
    double sum = 0;
    for (const double d : divergences_) sum += d;
    score_.divergence = Divergence{.mean = sum / static_cast<double>(count),
                                   .median = divergences_[count / 2],
                                   .p99 = divergences_[std::min(count - 1, count * 99 / 100)],
                                   .max = divergences_.back(),
                                   .top1_share = static_cast<double>(same_top_) / static_cast<double>(count)};
    return score_;
  }

 private:
  static Status start(LogitReader& reader, std::span<const int32_t> context) {
    reader.begin();
    return reader.skip(context);
  }

  Status add_rows(std::span<const int32_t> tokens, std::span<const int32_t> targets) {
    TRY_ASSIGN(const std::span<const float> logits, model_->feed(tokens));
    std::span<const float> reference;
    if (against_ != nullptr) {
      TRY_ASSIGN(reference, against_->feed(tokens));
    }
    const auto width = static_cast<size_t>(model_->vocab());
    for (size_t i = 0; i < targets.size(); ++i) {
      const auto target = static_cast<size_t>(targets[i]);
      const std::span<const float> row = logits.subspan(i * width, width);
      TRY_ASSIGN(const double nats, surprise(*model_, row, target));
      score_.nats += nats;
      ++score_.tokens;
      if (against_ != nullptr) TRY(compare(reference.subspan(i * width, width), row, target));
    }
    return {};
  }

  Status compare(std::span<const float> reference, std::span<const float> row, size_t target) {
    TRY_ASSIGN(const double nats, surprise(*against_, reference, target));
    score_.against_nats = score_.against_nats.value_or(0) + nats;
    divergences_.push_back(kl_divergence(reference, row));
    same_top_ += likeliest(reference) == likeliest(row) ? 1 : 0;
    return {};
  }

  // -ln p(target)
  Result<double> surprise(const LogitReader& reader, std::span<const float> row, size_t target) const {
    const double nats = log_sum_exp(row) - static_cast<double>(row[target]);
    if (std::isfinite(nats)) return nats;
    return data_corrupt(fmt::format("{}: the logits of predicted token {} are not finite; the weights are damaged",
                                    reader.files().path.string(), score_.tokens));
  }

  LogitReader* model_;
  LogitReader* against_;
  TextScore score_;
  std::vector<double> divergences_;
  int64_t same_top_ = 0;
};

}  // namespace

double log_sum_exp(std::span<const float> row) {
  const double largest = static_cast<double>(*std::ranges::max_element(row));
  double sum = 0;
  for (const float x : row) sum += std::exp(static_cast<double>(x) - largest);
  return largest + std::log(sum);
}

double kl_divergence(std::span<const float> reference, std::span<const float> model) {
  COVE_CHECK(reference.size() == model.size());
  const double reference_sum = log_sum_exp(reference);
  const double model_sum = log_sum_exp(model);
  double divergence = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double log_p = static_cast<double>(reference[i]) - reference_sum;
    divergence += std::exp(log_p) * (log_p - (static_cast<double>(model[i]) - model_sum));
  }
  return std::max(divergence, 0.0);  // rounding may leave -1e-17
}

double TextScore::perplexity() const { return std::exp(nats / static_cast<double>(tokens)); }
double TextScore::against_perplexity() const {
  return std::exp(against_nats.value_or(0) / static_cast<double>(tokens));
}

Result<TextScore> score_text(LogitReader& model, LogitReader* against, std::span<const int32_t> ids,
                             const TextOptions& options, const std::function<void(int64_t)>& progress) {
  COVE_CHECK(options.window >= 2 && options.stride >= 1 && options.stride < options.window);
  COVE_CHECK(against == nullptr || against->vocab() == model.vocab());
  if (ids.size() < (options.bos ? 1U : 2U))
    return invalid_argument("the text is too short: there is no token to predict");
  Tally tally(model, against);
  Windows windows(ids, options);
  for (Window window; windows.next(window);) {
    TRY(tally.add(window));
    progress(tally.tokens());
  }
  return tally.finish();
}

}  // namespace cove::app

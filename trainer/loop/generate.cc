#include "loop/generate.h"

#include <algorithm>
#include <numeric>

namespace cove::trainer {
namespace {

struct PaddedPrompts {
  torch::Tensor ids;     // [B, longest]
  torch::Tensor counts;  // [B]
  int64_t longest = 0;
};

PaddedPrompts pad(const std::vector<std::vector<int32_t>>& prompts, const std::vector<size_t>& chosen,
                  torch::Device device) {
  PaddedPrompts out;
  for (const size_t i : chosen) out.longest = std::max(out.longest, static_cast<int64_t>(prompts[i].size()));
  torch::Tensor ids = torch::zeros({static_cast<int64_t>(chosen.size()), out.longest}, torch::kLong);
  torch::Tensor counts = torch::zeros({static_cast<int64_t>(chosen.size())}, torch::kLong);
  for (size_t row = 0; row < chosen.size(); ++row) {
    const std::vector<int32_t>& prompt = prompts[chosen[row]];
    int64_t* target = ids.data_ptr<int64_t>() + static_cast<int64_t>(row) * out.longest;
    std::copy(prompt.begin(), prompt.end(), target);
    counts.data_ptr<int64_t>()[row] = static_cast<int64_t>(prompt.size());
  }
  out.ids = ids.to(device);
  out.counts = counts.to(device);
  return out;
}

// Drawn tokens stay on the device; every 16 steps the host looks whether all sequences have ended.
std::vector<std::vector<int32_t>> generate_batch(const Student& student, const PaddedPrompts& prompts,
                                                 const GenerateOptions& options) {
  const int64_t room = std::min(options.tokens_max, student.config().context - prompts.longest);
  Student::Cache cache = student.make_cache(prompts.ids.size(0), prompts.longest + room);
  const torch::Tensor one = torch::ones_like(prompts.counts);
  torch::Tensor next = student.step(cache, prompts.ids, prompts.counts).argmax(-1);
  torch::Tensor ended = torch::zeros_like(next, torch::kBool);
  std::vector<torch::Tensor> drawn;
  for (int64_t i = 0; i < room; ++i) {
    drawn.push_back(next);
    ended = ended | (next == options.end_token);
    if (i % 16 == 15 && ended.all().item<bool>()) break;
    if (i + 1 < room) next = student.step(cache, next.unsqueeze(1), one).argmax(-1);
  }
  std::vector<std::vector<int32_t>> out(static_cast<size_t>(prompts.ids.size(0)));
  if (drawn.empty()) return out;
  const torch::Tensor all = torch::stack(drawn, 1).cpu().contiguous();  // [B, steps]
  for (size_t row = 0; row < out.size(); ++row) {
    const int64_t* ids = all.data_ptr<int64_t>() + static_cast<int64_t>(row) * all.size(1);
    for (int64_t i = 0; i < all.size(1) && ids[i] != options.end_token; ++i)
      out[row].push_back(static_cast<int32_t>(ids[i]));
  }
  return out;
}

}  // namespace

std::vector<std::vector<int32_t>> generate_greedy(const Student& student,
                                                  const std::vector<std::vector<int32_t>>& prompts,
                                                  const GenerateOptions& options) {
  const torch::NoGradGuard guard;
  std::vector<size_t> order(prompts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // Prompts of like length together, so that little is computed for padding.
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return prompts[a].size() < prompts[b].size(); });
  std::vector<std::vector<int32_t>> out(prompts.size());
  const auto at_once = static_cast<size_t>(options.sequences_at_once);
  for (size_t begin = 0; begin < order.size(); begin += at_once) {
    const std::vector<size_t> chosen(
        order.begin() + static_cast<std::ptrdiff_t>(begin),
        order.begin() + static_cast<std::ptrdiff_t>(std::min(order.size(), begin + at_once)));
    const PaddedPrompts padded = pad(prompts, chosen, student.flat().device());
    if (padded.longest >= student.config().context) continue;  // no room to answer: an empty answer counts as wrong
    const auto answers = generate_batch(student, padded, options);
    for (size_t row = 0; row < chosen.size(); ++row) out[chosen[row]] = answers[row];
  }
  return out;
}

}  // namespace cove::trainer

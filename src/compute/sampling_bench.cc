// Host sampling of one row of a 152 064-token vocabulary (R1-Distill-Qwen).
#include <random>

#include <benchmark/benchmark.h>

#include "compute/sampling.h"

namespace cove {
namespace {

std::vector<float> row() {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  std::vector<float> logits(152064);
  for (float& value : logits) value = normal(generator);
  return logits;
}

void run(benchmark::State& state, const SampleParams& wanted) {
  const std::vector<float> logits = row();
  SampleParams params = wanted;
  SampleScratch scratch;
  for (auto _ : state) {
    ++params.position;
    benchmark::DoNotOptimize(sample_row(logits, params, scratch).token);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(logits.size() * sizeof(float)));
}

BENCHMARK_CAPTURE(run, greedy, SampleParams{.temperature = 0});
BENCHMARK_CAPTURE(run, temperature, SampleParams{.temperature = 0.6F});
BENCHMARK_CAPTURE(run, top_p, SampleParams{.temperature = 0.6F, .top_p = 0.95F});
BENCHMARK_CAPTURE(run, top_k, SampleParams{.temperature = 0.6F, .top_k = 40});
BENCHMARK_CAPTURE(run, top_k_top_p_min_p,
                  SampleParams{.temperature = 0.6F, .top_k = 40, .top_p = 0.95F, .min_p = 0.05F});
BENCHMARK_CAPTURE(run, greedy_logprobs, SampleParams{.temperature = 0, .top_logprobs = 20});

}  // namespace
}  // namespace cove

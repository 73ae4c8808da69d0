// How long drawing tokens takes: kernels/sample.cu alone, on random logits of a vocabulary of 152 064, in microseconds
// a step. Whether the tokens are right is cove_cuda_test's business. tests/gpu/sample_speed.sh builds and runs it.
//
// Logits are normal with a deviation of 4 (peaked: hundreds of candidates for top_p) or 1 (flat: most of the
// vocabulary). Kept in L2 between replays as far as they fit, as they are behind the output layer that wrote them.

#include "backends/cuda/kernels/sample.h"
#include "check_support.cuh"

namespace cove::check {
namespace {

constexpr int64_t kVocab = 152'064;
constexpr int kRowsMax = 256;

struct Kind {
  const char* name;
  cuda::SampleRow row;
};

double measure(const DeviceArray& logits, int rows, const cuda::SampleRow& kind) {
  std::vector<cuda::SampleRow> params(static_cast<size_t>(rows), kind);
  for (size_t i = 0; i < params.size(); ++i) params[i].seed = i + 1;
  DeviceArray device_params(params.size() * sizeof(cuda::SampleRow));
  device_params.upload(params.data(), device_params.bytes());
  DeviceArray tokens(params.size() * sizeof(int32_t));
  DeviceArray scratch(size_t{20} << 20);
  const cuda::SampleLaunch launch = {.logits = logits.as<float>(),
                                     .rows = rows,
                                     .vocab = kVocab,
                                     .params = device_params.as<cuda::SampleRow>(),
                                     .weighs = cuda::needs_every_weight(kind, kVocab),
                                     .cuts = cuda::cuts_by_mass(kind, kVocab),
                                     .tokens = tokens.as<int32_t>(),
                                     .scratch = scratch.as(),
                                     .scratch_bytes = scratch.bytes()};
  const double us = time_us(
      20, [&](int, cudaStream_t stream) { require_launch(cuda::launch_sample(launch, stream), "launch_sample"); });
  expect(tokens.guard_is_whole() && scratch.guard_is_whole(), "nothing is written behind the arrays");
  for (int i = 0; i < rows; ++i) {
    int32_t token = -1;
    REQUIRE_CUDA(cudaMemcpy(&token, tokens.as<int32_t>() + i, sizeof token, cudaMemcpyDeviceToHost));
    expect(token >= 0 && token < kVocab, "every row gets a token");
  }
  return us;
}

void print_table(float deviation) {
  const Kind kinds[] = {
      {"greedy", {.greedy = 1}},
      {"temperature", {.temperature = 0.8F}},
      {"top_p 0.95", {.temperature = 0.8F, .top_p = 0.95F}},
      {"top_k 20", {.temperature = 0.8F, .top_k = 20}},
      {"top_k 20, top_p 0.95", {.temperature = 0.8F, .top_p = 0.95F, .top_k = 20}},
      {"top_k 1000", {.temperature = 0.8F, .top_k = 1000}},
  };
  constexpr int kRows[] = {1, 8, 32, 128, kRowsMax};
  DeviceArray logits(static_cast<size_t>(kRowsMax * kVocab) * sizeof(float));
  fill<float>(
      {.data = logits.as(), .rows = kRowsMax, .columns = kVocab, .pitch = kVocab * 4, .seed = 7, .scale = deviation});
  std::printf("deviation %.0f; us a step at %-6s", deviation, "rows =");
  for (const int rows : kRows) std::printf(" %8d", rows);
  std::printf("\n");
  for (const Kind& kind : kinds) {
    std::printf("  %-32s", kind.name);
    for (const int rows : kRows) std::printf(" %8.1f", measure(logits, rows, kind.row));
    std::printf("\n");
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace cove::check

int main() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) return 77;
  cudaDeviceProp properties{};
  REQUIRE_CUDA(cudaGetDeviceProperties(&properties, 0));
  std::printf("%s, vocabulary %lld\n", properties.name, static_cast<long long>(cove::check::kVocab));
  cove::check::print_table(4.0F);
  cove::check::print_table(1.0F);
  return cove::check::failures == 0 ? 0 : 1;
}

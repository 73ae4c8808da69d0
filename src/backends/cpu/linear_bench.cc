// Linear layers of the R1-Distill-Qwen-1.5B shape, one thread: how near each format comes to the multipliers' peak and
// how fast it reads.
//   linear_bench --benchmark_filter=q8_0
// Counters: GB/s of weights, G(FL)OP/s, and the share of the peak that this run measures first.
#include <benchmark/benchmark.h>

#include <chrono>
#include <random>
#include <vector>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/dispatch.h"
#include "base/check.h"
#include "tensor/formats/codec.h"

namespace cove {
namespace {

struct LayerShape {
  int64_t in;
  int64_t out;
};
constexpr LayerShape kLayers[] = {{1536, 2048}, {1536, 17920}, {8960, 1536}};  // qkv, gate and up, down
constexpr DType kFormats[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0};

double peak_gops(DType dtype) {
  const cpu::KernelTable& kernels = *cpu::choose("", 1)->kernels;
  const bool blocks = dtype == DType::kQ8_0 || dtype == DType::kQ4_0;
  const bool pairs = dtype == DType::kBF16 && kernels.has_bf16_dot != 0;
  const auto peak = blocks ? kernels.peak_int8 : pairs ? kernels.peak_bf16 : kernels.peak_f32;
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const double operations = peak(1'000'000);
    best = std::max(best, operations / std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best / 1e9;
}

std::vector<std::byte> random_weights(DType dtype, int64_t elements) {
  std::mt19937 generator(1);
  std::uniform_real_distribution<float> uniform(-0.05F, 0.05F);
  std::vector<float> values(static_cast<size_t>(elements));
  for (float& value : values) value = uniform(generator);
  std::vector<std::byte> bytes(static_cast<size_t>(dtype_bytes(dtype, elements)));
  COVE_CHECK(encode(dtype, values, bytes).has_value());
  return bytes;
}

void linear(benchmark::State& state) {
  const LayerShape layer = kLayers[state.range(0)];
  const DType dtype = kFormats[state.range(1)];
  const int64_t rows = state.range(2);
  const auto backend = std::move(*make_cpu_backend({.threads = 1, .isa = ""}));
  std::vector<std::byte> weights = random_weights(dtype, layer.in * layer.out);
  const TensorView view = {.data = weights.data(), .dtype = dtype, .shape = {layer.out, layer.in}};
  const auto weight = std::move(*backend->load_linear({.name = "w", .parts = {{.weight = view}}}));
  std::vector<float> x(static_cast<size_t>(rows * layer.in), 0.5F);
  std::vector<float> out(static_cast<size_t>(rows * layer.out));
  const LinearArgs args = {.x = {.data = x.data(), .dtype = DType::kF32, .shape = {rows, layer.in}},
                           .weight = weight.get(),
                           .out = {.data = out.data(), .dtype = DType::kF32, .shape = {rows, layer.out}}};
  const double peak = peak_gops(dtype);
  for (auto _ : state) {
    backend->linear(args);
    benchmark::ClobberMemory();
  }
  const double giga = 2e-9 * static_cast<double>(rows * layer.in * layer.out);
  state.SetLabel(std::string(dtype_info(dtype).name));
  state.counters["GB/s"] =
      benchmark::Counter(static_cast<double>(weights.size()) * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["Gop/s"] = benchmark::Counter(giga, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] = benchmark::Counter(giga / peak, benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(linear)
    ->ArgsProduct({{0, 1, 2}, {0, 1, 2, 3, 4}, {1, 8, 512}})
    ->ArgNames({"layer", "format", "rows"})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace cove

// What the device can do at most, by the fastest kernels that the backend has itself.
#include <algorithm>

#include "backends/cuda/backend/buffers.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/hopper/hopper.h"
#include "backends/cuda/kernels/linear.h"
#include "backends/cuda/kernels/read.h"
#include "backends/cuda/runtime/device.h"

namespace cove {
namespace cuda {
namespace {

constexpr size_t kReadBytes = size_t{4} << 30;  // many times the L2
constexpr int64_t kSide = 8192;                 // of the matrix product
constexpr int kRepeats = 5;                     // the best counts; the first warms up

// Best rate of `amount` per run of `work`, which launches.
template <class Work>
Result<double> best_rate(Device& device, double amount, const Work& work) {
  double best = 0;
  for (int i = 0; i < kRepeats; ++i) {
    device.mark(0);
    device.note(work());
    device.mark(1);
    TRY(device.synchronize());
    if (i > 0) best = std::max(best, amount / device.seconds_between(0, 1));
  }
  return best;
}

Result<double> read_rate(Device& device) {
  const size_t bytes = std::min<size_t>(kReadBytes, device.memory_free() / 4 / 16 * 16);
  TRY_ASSIGN(const auto memory, CudaBuffer::make(device, bytes));
  TRY_ASSIGN(const auto sums, CudaBuffer::make(device, kReadBlocks * sizeof(uint32_t)));
  device.note(launch_fill(memory->data(), static_cast<int64_t>(bytes / 2), 1.0F, device.stream()));
  return best_rate(device, static_cast<double>(bytes), [&] {
    return launch_read(memory->data(), static_cast<int64_t>(bytes), static_cast<uint32_t*>(sums->data()),
                       device.stream());
  });
}

Result<double> product_rate(Device& device) {
  const size_t bytes = static_cast<size_t>(kSide * kSide * 2);
  TRY_ASSIGN(const auto weight, CudaBuffer::make(device, bytes));
  TRY_ASSIGN(const auto x, CudaBuffer::make(device, bytes));
  TRY_ASSIGN(const auto out, CudaBuffer::make(device, bytes));
  TRY_ASSIGN(const auto workspace, CudaBuffer::make(device, hopper::gemm_workspace_bytes()));
  device.clear(workspace->data(), workspace->bytes());
  // Random values: products of zeros draw less power and run faster.
  device.note(launch_fill(weight->data(), kSide * kSide, 0.02F, device.stream()));
  device.note(launch_fill(x->data(), kSide * kSide, 1.0F, device.stream()));
  const WeightLayout layout = plan_weight(WeightFormat::kBF16, {kSide}, kSide, 128);
  const LinearLaunch portable{
      .weight = {.layout = layout, .weight = weight->data()}, .x = x->data(), .tokens = kSide, .out = out->data()};
  const hopper::GemmArgs gemm{.x = x->data(),
                              .x_pitch = kSide * 2,
                              .weight = weight->data(),
                              .weight_pitch = layout.pitch,
                              .tokens = kSide,
                              .in = kSide,
                              .weight_rows = kSide,
                              .out_features = kSide,
                              .out = out->data(),
                              .workspace = workspace->data(),
                              .multiprocessors = device.facts().multiprocessors};
  const bool on_hopper = device.facts().compute_major == 9 && hopper::gemm_supported(gemm);
  const double operations = 2.0 * static_cast<double>(kSide) * static_cast<double>(kSide) * static_cast<double>(kSide);
  return best_rate(device, operations, [&] {
    return on_hopper ? hopper::launch_gemm(gemm, device.stream()) : launch_gemm(portable, device.stream());
  });
}

}  // namespace
}  // namespace cuda

Result<CudaCeilings> measure_cuda_ceilings(int index) {
  TRY_ASSIGN(const std::unique_ptr<cuda::Device> device, cuda::open_device(index));
  CudaCeilings ceilings;
  TRY_ASSIGN(const double read, cuda::read_rate(*device));
  TRY_ASSIGN(const double product, cuda::product_rate(*device));
  ceilings.read_gbs = read / 1e9;
  ceilings.bf16_tflops = product / 1e12;
  return ceilings;
}

}  // namespace cove

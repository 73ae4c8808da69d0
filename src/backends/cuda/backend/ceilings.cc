// What the device can do at most, by the fastest kernels that the backend has itself.
#include <algorithm>
#include <memory>

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

// Factors of a product of kSide x kSide x kSide and room for its result.
class Product {
 public:
  static Result<std::unique_ptr<Product>> create(Device& device) {
    auto product = std::unique_ptr<Product>(new Product(device));
    TRY_ASSIGN(product->weight_, CudaBuffer::make(device, kSquare * 2));
    TRY_ASSIGN(product->x_, CudaBuffer::make(device, kSquare * 2));
    TRY_ASSIGN(product->out_, CudaBuffer::make(device, kSquare * 2));
    TRY_ASSIGN(product->workspace_, CudaBuffer::make(device, hopper::gemm_workspace_bytes()));
    device.clear(product->workspace_->data(), product->workspace_->bytes());
    // Random values: products of zeros draw less power and run faster.
    device.note(launch_fill(product->weight_->data(), kSide * kSide, 0.02F, device.stream()));
    device.note(launch_fill(product->x_->data(), kSide * kSide, 1.0F, device.stream()));
    return product;
  }

  Result<double> bf16_rate() {
    const WeightLayout layout = plan_weight(WeightFormat::kBF16, {kSide}, kSide, 128);
    const LinearLaunch portable{
        .weight = {.layout = layout, .weight = weight_->data()}, .x = x_->data(), .tokens = kSide, .out = out_->data()};
    const hopper::GemmArgs gemm = gemm_of(hopper::GemmFormat::kBF16, *x_, *weight_);
    const bool on_hopper = takes(gemm);
    return best_rate(*device_, kOperations, [&] {
      return on_hopper ? hopper::launch_gemm(gemm, device_->stream()) : launch_gemm(portable, device_->stream());
    });
  }

  // 0: no kernel multiplies these eight bits here.
  Result<double> rate_of(hopper::GemmFormat format) {
    TRY_ASSIGN(const auto x, CudaBuffer::make(*device_, kSquare));
    TRY_ASSIGN(const auto weight, CudaBuffer::make(*device_, kSquare));
    TRY_ASSIGN(const auto scales, CudaBuffer::make(*device_, size_t{2} * kSide * sizeof(float)));
    hopper::GemmArgs gemm = gemm_of(format, *x, *weight);
    auto* scale = static_cast<float*>(scales->data());
    gemm.x_scale = scale;
    gemm.weight_scale = scale + kSide;
    if (!takes(gemm)) return 0.0;
    round(format, *x_, {.values = x->data(), .scales = scale});
    round(format, *weight_, {.values = weight->data(), .scales = scale + kSide});
    return best_rate(*device_, kOperations, [&] { return hopper::launch_gemm(gemm, device_->stream()); });
  }

 private:
  static constexpr auto kSquare = static_cast<size_t>(kSide * kSide);
  static constexpr double kOperations =
      2.0 * static_cast<double>(kSide) * static_cast<double>(kSide) * static_cast<double>(kSide);
  struct Rounded {
    void* values = nullptr;
    float* scales = nullptr;  // [kSide]
  };

  explicit Product(Device& device) : device_(&device) {}

  hopper::GemmArgs gemm_of(hopper::GemmFormat format, const CudaBuffer& x, const CudaBuffer& weight) const {
    const int64_t pitch = format == hopper::GemmFormat::kBF16 ? 2 * kSide : kSide;
    return {.format = format,
            .x = x.data(),
            .x_pitch = pitch,
            .weight = weight.data(),
            .weight_pitch = pitch,
            .tokens = kSide,
            .in = kSide,
            .weight_rows = kSide,
            .out_features = kSide,
            .out = out_->data(),
            .workspace = workspace_->data(),
            .multiprocessors = device_->facts().multiprocessors};
  }
  bool takes(const hopper::GemmArgs& gemm) const {
    return device_->facts().compute_major == 9 && hopper::gemm_supported(gemm);
  }
  void round(hopper::GemmFormat format, const CudaBuffer& from, const Rounded& to) {
    device_->note(hopper::launch_quantize_rows({.x = from.data(),
                                                .x_pitch = 2 * kSide,
                                                .out = to.values,
                                                .out_pitch = kSide,
                                                .scale = to.scales,
                                                .tokens = kSide,
                                                .in = kSide,
                                                .format = format},
                                               device_->stream()));
  }

  Device* device_;
  std::unique_ptr<CudaBuffer> weight_, x_, out_, workspace_;
};

}  // namespace
}  // namespace cuda

Result<CudaCeilings> measure_cuda_ceilings(int index) {
  TRY_ASSIGN(const std::unique_ptr<cuda::Device> device, cuda::open_device(index));
  CudaCeilings ceilings;
  TRY_ASSIGN(const double read, cuda::read_rate(*device));
  TRY_ASSIGN(const auto product, cuda::Product::create(*device));
  TRY_ASSIGN(const double bf16, product->bf16_rate());
  TRY_ASSIGN(const double fp8, product->rate_of(cuda::hopper::GemmFormat::kE4M3));
  TRY_ASSIGN(const double int8, product->rate_of(cuda::hopper::GemmFormat::kInt8));
  ceilings.read_gbs = read / 1e9;
  ceilings.bf16_tflops = bf16 / 1e12;
  ceilings.fp8_tflops = fp8 / 1e12;
  ceilings.int8_tops = int8 / 1e12;
  return ceilings;
}

}  // namespace cove

// Rounding of activations: the scale is exact, and every value is as near as its format allows.

#include "backends/cuda/hopper/hopper.h"
#include "check_support.cuh"
#include "hopper_check.h"

namespace cove::check {
namespace {

namespace hopper = cuda::hopper;

using hopper::GemmFormat;
using hopper::QuantizeArgs;

struct CheckArgs {
  QuantizeArgs rows{};
  unsigned long long* wrong = nullptr;
};

// Half a step at `value`: e4m3 has three bits behind the leading one, and steps of 2^-9 below 2^-6.
__device__ double half_step(GemmFormat format, double value) {
  if (format == GemmFormat::kInt8) return 0.5;
  return fmax(fabs(value) / 16.0, 1.0 / 1024.0);
}

__global__ void check_rows_kernel(const CheckArgs c) {
  const QuantizeArgs& a = c.rows;
  const int64_t row = blockIdx.x;
  const auto* x = reinterpret_cast<const __nv_bfloat16*>(static_cast<const uint8_t*>(a.x) + row * a.x_pitch);
  const uint8_t* q = static_cast<const uint8_t*>(a.out) + row * a.out_pitch;
  double largest = 0.0;
  for (int64_t k = 0; k < a.in; ++k) largest = fmax(largest, fabs(widen(x[k])));
  const double limit = a.format == GemmFormat::kE4M3 ? 448.0 : 127.0;
  const double scale = a.scale[row];
  if (threadIdx.x == 0 && !(fabs(scale - largest / limit) <= 1e-6 * scale)) atomicAdd(c.wrong, 1ULL);
  for (int64_t k = threadIdx.x; k < a.in; k += blockDim.x) {
    double value = 0.0;
    if (a.format == GemmFormat::kE4M3) {
      value = widen(reinterpret_cast<const __nv_fp8_e4m3*>(q)[k]);
    } else {
      value = static_cast<double>(reinterpret_cast<const int8_t*>(q)[k]);
    }
    const double wanted = scale > 0.0 ? widen(x[k]) / scale : 0.0;
    if (!(fabs(value - wanted) <= half_step(a.format, wanted) * 1.001)) atomicAdd(c.wrong, 1ULL);
  }
}

__global__ void set_row_kernel(__nv_bfloat16* row, int64_t in, float value) {
  for (int64_t k = threadIdx.x; k < in; k += blockDim.x) row[k] = __float2bfloat16(value);
}

void check_shape(GemmFormat format, int64_t tokens, int64_t in, int64_t padding, uint64_t seed) {
  const int64_t x_pitch = in * 2 + padding;
  const int64_t out_pitch = in + padding;
  DeviceArray x(tokens * x_pitch);
  DeviceArray out(tokens * out_pitch);
  DeviceArray scale(tokens * 4);
  DeviceArray wrong(8);
  wrong.zero();
  fill<__nv_bfloat16>({x.as(), tokens, in, x_pitch, seed, 3.0F, 0.5F});
  set_row_kernel<<<1, 256>>>(x.as<__nv_bfloat16>(), in, 0.0F);  // a row of zeros gives zeros
  const QuantizeArgs args{x.as(), x_pitch, out.as(), out_pitch, scale.as<float>(), tokens, in, format};
  require_launch(hopper::launch_quantize_rows(args, nullptr), "quantize");
  check_rows_kernel<<<static_cast<unsigned>(tokens), 256>>>({args, wrong.as<unsigned long long>()});
  REQUIRE_CUDA(cudaGetLastError());
  unsigned long long count = 0;
  REQUIRE_CUDA(cudaMemcpy(&count, wrong.as(), 8, cudaMemcpyDeviceToHost));
  char text[160];
  std::snprintf(text, sizeof text, "quantize %s %lld x %lld padding %lld: %llu wrong",
                format == GemmFormat::kE4M3 ? "e4m3" : "int8", static_cast<long long>(tokens),
                static_cast<long long>(in), static_cast<long long>(padding), count);
  expect(count == 0, text);
  expect(out.guard_is_whole() && scale.guard_is_whole(), std::string(text) + ", wrote behind an array");
}

// A NaN anywhere makes its row's scale NaN, and no other's.
void check_nan(GemmFormat format, int64_t in) {
  DeviceArray x(3 * in * 2);
  DeviceArray out(3 * in);
  DeviceArray scale(3 * 4);
  fill<__nv_bfloat16>({x.as(), 3, in, in * 2, 5, 1.0F, 0.0F});
  set_row_kernel<<<1, 1>>>(x.as<__nv_bfloat16>() + in + in / 2, 1, NAN);
  const QuantizeArgs args{x.as(), in * 2, out.as(), in, scale.as<float>(), 3, in, format};
  require_launch(hopper::launch_quantize_rows(args, nullptr), "quantize");
  float host[3];
  REQUIRE_CUDA(cudaMemcpy(host, scale.as(), sizeof host, cudaMemcpyDeviceToHost));
  expect(host[0] > 0.0F && std::isnan(host[1]) && host[2] > 0.0F, "quantize: a NaN marks its row, and only it");
}

}  // namespace

void check_quantize(const Options& options) {
  for (const GemmFormat format : {GemmFormat::kE4M3, GemmFormat::kInt8}) {
    for (const int64_t in : {8, 100, 2048, 3584, 8192, 18944, 20480, 30000}) {
      for (const int64_t padding : {0, 32}) check_shape(format, 37, in, padding, options.seed + 40);
    }
    check_nan(format, 3584);
    check_nan(format, 301);
  }
  std::printf("quantize: done, %d failures so far\n", failures);
  if (!options.speeds) return;
  constexpr int64_t kTokens = 4096;
  for (const int64_t in : {3584, 18944}) {
    DeviceArray x(kTokens * in * 2);
    DeviceArray out(kTokens * in);
    DeviceArray scale(kTokens * 4);
    fill<__nv_bfloat16>({x.as(), kTokens, in, in * 2, 1, 1.0F, 0.0F});
    const double us = time_us(16, [&](int, cudaStream_t stream) {
      const QuantizeArgs args{x.as(), in * 2, out.as(), in, scale.as<float>(), kTokens, in, GemmFormat::kE4M3};
      require_launch(hopper::launch_quantize_rows(args, stream), "quantize");
    });
    std::printf("quantize %lld x %lld: %.1f us, %.0f GB/s\n", static_cast<long long>(kTokens),
                static_cast<long long>(in), us, 3.0 * static_cast<double>(kTokens * in) / us / 1e3);
  }
}

}  // namespace cove::check

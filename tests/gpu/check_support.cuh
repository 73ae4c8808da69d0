#pragma once
// For the programs that check kernels on a GPU: arrays with guards, random and poisoned contents, an error measure that
// NaN cannot pass, timing by replayed graphs, a table. Used by tests/gpu only.

#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace cove::check {

inline void require(cudaError_t error, const char* what, int line) {
  if (error == cudaSuccess) return;
  std::printf("FAIL line %d: %s: %s\n", line, what, cudaGetErrorString(error));
  std::fflush(stdout);
  std::exit(1);
}
#define REQUIRE_CUDA(call) ::cove::check::require((call), #call, __LINE__)

// What a launch returned: null, or the error's text.
inline void require_launch(const char* error, const char* what) {
  if (error == nullptr) return;
  std::printf("FAIL %s: %s\n", what, error);
  std::fflush(stdout);
  std::exit(1);
}

// Device memory, every byte 0xFF at first (NaN in every float format), with a guard behind it that must stay so.
class DeviceArray {
 public:
  static constexpr size_t kGuard = 4096;
  explicit DeviceArray(size_t bytes) : bytes_(bytes) {
    REQUIRE_CUDA(cudaMalloc(&data_, bytes + kGuard));
    poison();
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  template <class T = void>
  T* as() const {
    return static_cast<T*>(data_);
  }
  size_t bytes() const { return bytes_; }
  void poison() { REQUIRE_CUDA(cudaMemset(data_, 0xFF, bytes_ + kGuard)); }
  void zero() { REQUIRE_CUDA(cudaMemset(data_, 0, bytes_)); }
  void upload(const void* from, size_t bytes) { REQUIRE_CUDA(cudaMemcpy(data_, from, bytes, cudaMemcpyHostToDevice)); }
  std::vector<uint8_t> bytes_at(size_t offset, size_t count) const {
    std::vector<uint8_t> copy(count);
    REQUIRE_CUDA(cudaMemcpy(copy.data(), static_cast<uint8_t*>(data_) + offset, count, cudaMemcpyDeviceToHost));
    return copy;
  }
  bool guard_is_whole() const {
    const std::vector<uint8_t> guard = bytes_at(bytes_, kGuard);
    return std::all_of(guard.begin(), guard.end(), [](uint8_t byte) { return byte == 0xFF; });
  }

 private:
  void* data_ = nullptr;
  size_t bytes_;
};

__host__ __device__ inline uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ x >> 30U) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ x >> 27U) * 0x94D049BB133111EBULL;
  return x ^ x >> 31U;
}
// Roughly normal, from a seed and an index: the sum of four uniform numbers.
__host__ __device__ inline float random_normal(uint64_t seed, uint64_t index) {
  const uint64_t bits = mix(seed * 0x100000001B3ULL + index);
  float sum = -2.0F;
  for (int i = 0; i < 4; ++i) sum += static_cast<float>(bits >> (16 * i) & 0xFFFFU) / 65536.0F;
  return sum * 1.7320508F;
}

template <class T>
__device__ inline T narrow(float value);
template <>
__device__ inline float narrow<float>(float value) {
  return value;
}
template <>
__device__ inline __nv_bfloat16 narrow<__nv_bfloat16>(float value) {
  return __float2bfloat16(value);
}
template <>
__device__ inline __nv_fp8_e4m3 narrow<__nv_fp8_e4m3>(float value) {
  return __nv_fp8_e4m3(value);
}
template <>
__device__ inline int8_t narrow<int8_t>(float value) {
  return static_cast<int8_t>(max(-127, min(127, __float2int_rn(value))));
}
template <class T>
__device__ inline double widen(T value) {
  return static_cast<double>(static_cast<float>(value));
}

// Elements [rows][columns] at a pitch in bytes become random * scale + shift; what lies between rows is left alone.
struct FillArgs {
  void* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t pitch = 0;
  uint64_t seed = 0;
  float scale = 1.0F;
  float shift = 0.0F;
};
template <class T>
__global__ void fill_kernel(const FillArgs a) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < a.rows * a.columns;
       i += int64_t{gridDim.x} * blockDim.x) {
    auto* row = reinterpret_cast<T*>(static_cast<uint8_t*>(a.data) + i / a.columns * a.pitch);
    row[i % a.columns] = narrow<T>(random_normal(a.seed, i) * a.scale + a.shift);
  }
}
template <class T>
void fill(const FillArgs& args) {
  fill_kernel<T><<<1024, 256>>>(args);
  REQUIRE_CUDA(cudaGetLastError());
}

// Differences between outputs and a reference in higher precision.
struct Errors {
  double difference_squared = 0.0;
  double reference_squared = 0.0;
  unsigned long long compared = 0;
  unsigned long long wrong = 0;  // NaN, or further off than the tolerance of an element
  unsigned long long first_wrong = ~0ULL;

  double relative() const { return std::sqrt(difference_squared / std::max(reference_squared, 1e-300)); }
};
__device__ inline void add_error(Errors* errors, uint64_t index, double output, double reference, double tolerance) {
  const double difference = output - reference;
  atomicAdd(&errors->difference_squared, difference * difference);
  atomicAdd(&errors->reference_squared, reference * reference);
  atomicAdd(&errors->compared, 1ULL);
  if (!(fabs(difference) <= tolerance * (1.0 + fabs(reference)))) {
    atomicAdd(&errors->wrong, 1ULL);
    atomicMin(&errors->first_wrong, static_cast<unsigned long long>(index));
  }
}
inline Errors read_errors(const DeviceArray& errors) {
  Errors copy;
  REQUIRE_CUDA(cudaMemcpy(&copy, errors.as(), sizeof copy, cudaMemcpyDeviceToHost));
  return copy;
}
inline void reset_errors(DeviceArray& errors) {
  const Errors none;
  errors.upload(&none, sizeof none);
}

// Sum of a block's values, in thread 0.
__device__ inline double block_sum(double value) {
  __shared__ double of_warp[32];
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xFFFFFFFFU, value, step);
  __syncthreads();
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  double sum = 0.0;
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) sum += of_warp[warp];
  return sum;
}

// A number that changes with any byte of an array: equal results have equal sums.
static __global__ void fingerprint_kernel(const uint32_t* words, int64_t count, unsigned long long* sum) {
  unsigned long long own = 0;
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < count; i += int64_t{gridDim.x} * blockDim.x) {
    own += mix(static_cast<uint64_t>(i) << 32U | words[i]);
  }
  atomicAdd(sum, own);
}
inline uint64_t fingerprint(const DeviceArray& array) {
  DeviceArray sum(8);
  sum.zero();
  fingerprint_kernel<<<256, 256>>>(array.as<uint32_t>(), static_cast<int64_t>(array.bytes() / 4),
                                   sum.as<unsigned long long>());
  unsigned long long host = 0;
  REQUIRE_CUDA(cudaMemcpy(&host, sum.as(), 8, cudaMemcpyDeviceToHost));
  return host;
}

// Microseconds of one call of `work` (given a number that runs up, to rotate buffers, and the stream): the median of
// five replays of a graph of `calls`, after one warm-up.
inline double time_us(int calls, const std::function<void(int, cudaStream_t)>& work) {
  cudaStream_t stream = nullptr;
  REQUIRE_CUDA(cudaStreamCreate(&stream));
  REQUIRE_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < calls; ++i) work(i, stream);
  cudaGraph_t graph = nullptr;
  REQUIRE_CUDA(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t exec = nullptr;
  REQUIRE_CUDA(cudaGraphInstantiate(&exec, graph, 0));
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  REQUIRE_CUDA(cudaEventCreate(&begin));
  REQUIRE_CUDA(cudaEventCreate(&end));
  std::vector<double> times;
  for (int replay = 0; replay < 6; ++replay) {
    REQUIRE_CUDA(cudaEventRecord(begin, stream));
    REQUIRE_CUDA(cudaGraphLaunch(exec, stream));
    REQUIRE_CUDA(cudaEventRecord(end, stream));
    REQUIRE_CUDA(cudaStreamSynchronize(stream));
    float ms = 0.0F;
    REQUIRE_CUDA(cudaEventElapsedTime(&ms, begin, end));
    if (replay > 0) times.push_back(ms * 1000.0 / calls);
  }
  REQUIRE_CUDA(cudaEventDestroy(begin));
  REQUIRE_CUDA(cudaEventDestroy(end));
  REQUIRE_CUDA(cudaGraphExecDestroy(exec));
  REQUIRE_CUDA(cudaGraphDestroy(graph));
  REQUIRE_CUDA(cudaStreamDestroy(stream));
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// How many checks failed so far; a failure prints its line at once.
inline int failures = 0;
inline int checks = 0;
inline void expect(bool good, const std::string& what) {
  ++checks;
  if (good) return;
  ++failures;
  std::printf("FAIL %s\n", what.c_str());
  std::fflush(stdout);
}

// With --trace: what comes next, so that a crash or a standstill has a name.
inline bool trace = false;
inline void announce(const std::string& what) {
  if (trace) std::fprintf(stderr, "next: %s\n", what.c_str());
}

}  // namespace cove::check

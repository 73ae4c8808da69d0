// Matrix products against one dot product in f64 per output.

#include <memory>

#include "backends/cuda/hopper/gemm.h"
#include "check_support.cuh"
#include "hopper_check.h"

namespace cove::check {
namespace {

namespace hopper = cuda::hopper;

using hopper::GemmArgs;
using hopper::GemmFormat;
using hopper::GemmKernel;
using hopper::GemmPlan;

const char* name_of(GemmFormat format) {
  switch (format) {
    case GemmFormat::kBF16: return "bf16";
    case GemmFormat::kE4M3: return "e4m3";
    default: return "int8";
  }
}
const char* name_of(GemmKernel kernel) {
  switch (kernel) {
    case GemmKernel::kTilesPair: return "pair256";
    case GemmKernel::kTiles256: return "tiles256";
    case GemmKernel::kTiles128: return "tiles128";
    case GemmKernel::kStream: return "stream";
    case GemmKernel::kStreamPair: return "stream2";
    default: return "split";
  }
}
constexpr GemmKernel kKernels[] = {GemmKernel::kTilesPair, GemmKernel::kTiles256,   GemmKernel::kTiles128,
                                   GemmKernel::kStream,    GemmKernel::kStreamPair, GemmKernel::kStreamSplit};
constexpr GemmFormat kFormats[] = {GemmFormat::kBF16, GemmFormat::kE4M3, GemmFormat::kInt8};

int64_t element_bytes(GemmFormat format) { return format == GemmFormat::kBF16 ? 2 : 1; }
int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

struct Case {
  GemmFormat format = GemmFormat::kBF16;
  int64_t tokens = 0;
  int64_t outputs = 0;  // rows of w that count
  int64_t in = 0;
  bool swiglu = false;
  bool out_f32 = false;
  bool bias = false;
  uint64_t seed = 1;

  int64_t width() const { return swiglu ? outputs / 2 : outputs; }
  std::string text() const {
    char line[160];
    std::snprintf(line, sizeof line, "%s %lld x %lld x %lld%s%s%s seed %llu", name_of(format),
                  static_cast<long long>(tokens), static_cast<long long>(outputs), static_cast<long long>(in),
                  swiglu ? " swiglu" : "", out_f32 ? " f32" : "", bias ? " bias" : "",
                  static_cast<unsigned long long>(seed));
    return line;
  }
};

// The arrays of one product. Whatever is not an element of x, w or out is NaN: row padding and rows behind x, rows
// behind w; w's own row padding is zeros, as the contract says.
class Arrays {
 public:
  Arrays(const Case& c, int copies)
      : case_(c),
        x_pitch_(round_up(c.in * element_bytes(c.format), 16) + 48),
        w_pitch_(round_up(c.in * element_bytes(c.format), 128)),
        w_rows_(round_up(c.outputs, 16)),
        x_((c.tokens + 3) * x_pitch_),
        x_scale_(c.tokens * 4),
        w_scale_(w_rows_ * 4),
        bias_(w_rows_ * 4),
        out_(round_up(c.tokens * c.width() * (c.out_f32 ? 4 : 2), 4)),
        workspace_(hopper::gemm_workspace_bytes()) {
    const auto root = static_cast<float>(std::sqrt(static_cast<double>(c.in)));
    for (int copy = 0; copy < copies; ++copy) {
      w_.push_back(std::make_unique<DeviceArray>(w_rows_ * w_pitch_));
      w_.back()->zero();
      fill_matrix(w_.back()->as(), w_rows_, w_pitch_, c.seed * 31 + copy, 1.0F / root, 40.0F);
    }
    fill_matrix(x_.as(), c.tokens, x_pitch_, c.seed * 31 + 7, 1.0F, 40.0F);
    fill<float>({x_scale_.as(), 1, c.tokens, 0, c.seed * 31 + 8, 0.2F / 40.0F, 1.0F / 40.0F});
    fill<float>({w_scale_.as(), 1, w_rows_, 0, c.seed * 31 + 9, 0.2F / (40.0F * root), 1.0F / (40.0F * root)});
    fill<float>({bias_.as(), 1, w_rows_, 0, c.seed * 31 + 10, 1.0F, 0.0F});
    REQUIRE_CUDA(cudaMemset(workspace_.as(), 0, hopper::kCountersMax * 4));
  }

  GemmArgs args(int copy, int multiprocessors) const {
    const bool scaled = case_.format != GemmFormat::kBF16;
    GemmArgs a;
    a.format = case_.format;
    a.x = x_.as();
    a.x_pitch = x_pitch_;
    a.x_scale = scaled ? x_scale_.as<float>() : nullptr;
    a.weight = w_[static_cast<size_t>(copy) % w_.size()]->as();
    a.weight_pitch = w_pitch_;
    a.weight_scale = scaled ? w_scale_.as<float>() : nullptr;
    a.bias = case_.bias ? bias_.as<float>() : nullptr;
    a.tokens = case_.tokens;
    a.in = case_.in;
    a.weight_rows = w_rows_;
    a.out_features = case_.outputs;
    a.interleaved = case_.swiglu;
    a.swiglu = case_.swiglu;
    a.out = out_.as();
    a.out_f32 = case_.out_f32;
    a.workspace = workspace_.as();
    a.multiprocessors = multiprocessors;
    return a;
  }
  DeviceArray& out() { return out_; }
  bool counters_are_zero() const {
    const std::vector<uint8_t> bytes = workspace_.bytes_at(0, hopper::kCountersMax * 4);
    return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
  }
  bool guards_are_whole() const { return out_.guard_is_whole() && workspace_.guard_is_whole(); }

 private:
  void fill_matrix(void* data, int64_t rows, int64_t pitch, uint64_t seed, float scale, float byte_scale) {
    const FillArgs args{data, rows, case_.in, pitch, seed, case_.format == GemmFormat::kBF16 ? scale : byte_scale,
                        0.0F};
    if (case_.format == GemmFormat::kBF16) fill<__nv_bfloat16>(args);
    if (case_.format == GemmFormat::kE4M3) fill<__nv_fp8_e4m3>(args);
    if (case_.format == GemmFormat::kInt8) fill<int8_t>(args);
  }

  Case case_;
  int64_t x_pitch_;
  int64_t w_pitch_;
  int64_t w_rows_;
  std::vector<std::unique_ptr<DeviceArray>> w_;
  DeviceArray x_, x_scale_, w_scale_, bias_, out_, workspace_;
};

// One block per output: all of them, or `count` drawn by hash.
struct ReferenceArgs {
  GemmArgs gemm{};
  int64_t width = 0;
  int64_t count = 0;
  double tolerance = 0.0;
  uint64_t seed = 0;
  Errors* errors = nullptr;
};
template <class T>
__device__ double dot(const GemmArgs& a, int64_t row, int64_t weight_row) {
  const auto* x = reinterpret_cast<const T*>(static_cast<const uint8_t*>(a.x) + row * a.x_pitch);
  const auto* w = reinterpret_cast<const T*>(static_cast<const uint8_t*>(a.weight) + weight_row * a.weight_pitch);
  double sum = 0.0;
  for (int64_t k = threadIdx.x; k < a.in; k += blockDim.x) sum += widen(x[k]) * widen(w[k]);
  sum = block_sum(sum);
  if (a.x_scale != nullptr)
    sum *= static_cast<double>(a.x_scale[row]) * static_cast<double>(a.weight_scale[weight_row]);
  if (a.bias != nullptr) sum += static_cast<double>(a.bias[weight_row]);
  return sum;
}
template <class T>
__global__ void reference_kernel(const ReferenceArgs r) {
  const GemmArgs& a = r.gemm;
  const int64_t total = a.tokens * r.width;
  const int64_t at = r.count == total ? int64_t{blockIdx.x}
                                      : static_cast<int64_t>(mix(r.seed + blockIdx.x) % static_cast<uint64_t>(total));
  const int64_t row = at / r.width;
  const int64_t column = at % r.width;
  double value = 0.0;
  if (a.swiglu) {
    const int64_t gate_row = column / 8 * 16 + column % 8;
    const double gate = dot<T>(a, row, gate_row);
    value = gate / (1.0 + exp(-gate)) * dot<T>(a, row, gate_row + 8);
  } else {
    value = dot<T>(a, row, column);
  }
  if (threadIdx.x > 0) return;
  const double output =
      a.out_f32 ? static_cast<const float*>(a.out)[at] : widen(static_cast<const __nv_bfloat16*>(a.out)[at]);
  add_error(r.errors, static_cast<uint64_t>(at), output, value, r.tolerance);
}

Errors compare(const GemmArgs& args, int64_t width, double tolerance, uint64_t seed) {
  DeviceArray errors(sizeof(Errors));
  reset_errors(errors);
  constexpr int64_t kAllBelow = 1 << 21;
  const int64_t total = args.tokens * width;
  const ReferenceArgs reference{args, width, total < kAllBelow ? total : 1 << 15, tolerance, seed, errors.as<Errors>()};
  const auto blocks = static_cast<unsigned>(reference.count);
  switch (args.format) {
    case GemmFormat::kBF16: reference_kernel<__nv_bfloat16><<<blocks, 128>>>(reference); break;
    case GemmFormat::kE4M3: reference_kernel<__nv_fp8_e4m3><<<blocks, 128>>>(reference); break;
    case GemmFormat::kInt8: reference_kernel<int8_t><<<blocks, 128>>>(reference); break;
  }
  REQUIRE_CUDA(cudaGetLastError());
  REQUIRE_CUDA(cudaDeviceSynchronize());
  return read_errors(errors);
}

// ||out - reference|| / ||reference|| that rounding explains. bf16 outputs: half a unit of 8 bits, evenly
// spread: 1.1e-3, doubled where silu and a product pass it on. f32 outputs: the sums' own: f32 for bf16, 14 bits within
// 128 or 512 for e4m3.
double tolerance_of(const Case& c) {
  if (!c.out_f32) return 3e-3;
  return c.format == GemmFormat::kE4M3 ? 1e-3 : 1e-4;
}

bool can_write(const Case& c, GemmKernel kernel) {
  return hopper::is_stream(kernel) || c.out_f32 || c.width() % 8 == 0;
}

void check_case(const Case& c, const Options& options, double& worst) {
  Arrays arrays(c, 1);
  const GemmArgs args = arrays.args(0, options.multiprocessors);
  expect(hopper::gemm_supported(args) == (c.tokens >= 3 && (c.tokens <= 128 || can_write(c, GemmKernel::kTiles128))),
         c.text() + ": gemm_supported");
  for (const GemmKernel kernel : kKernels) {
    const auto plan = hopper::plan_gemm_with(kernel, hopper::gemm_shape(args), options.multiprocessors);
    if (!plan || !can_write(c, kernel)) continue;
    const std::string what = std::string(name_of(kernel)) + " " + c.text();
    announce(what);
    uint64_t first = 0;
    for (int run = 0; run < 3; ++run) {
      arrays.out().poison();
      require_launch(hopper::launch_gemm_plan(args, *plan, nullptr), what.c_str());
      REQUIRE_CUDA(cudaDeviceSynchronize());
      const uint64_t sum = fingerprint(arrays.out());
      if (run == 0) first = sum;
      expect(sum == first, what + ": two runs differ");
    }
    const Errors errors = compare(args, c.width(), c.out_f32 ? 2e-3 : 2e-2, c.seed);
    worst = std::max(worst, errors.relative() / tolerance_of(c));
    char text[192];
    std::snprintf(text, sizeof text,
                  ": relative error %.2e (limit %.0e), %llu of %llu wrong, first at %llu, split %d, share %d",
                  errors.relative(), tolerance_of(c), errors.wrong, errors.compared, errors.first_wrong,
                  hopper::is_stream(kernel) ? plan->stream.workers : plan->tiles.split, plan->share);
    expect(errors.wrong == 0 && errors.relative() <= tolerance_of(c), what + text);
    expect(arrays.counters_are_zero(), what + ": counters are left behind");
    expect(arrays.guards_are_whole(), what + ": wrote behind an array");
  }
}

std::vector<Case> cases(GemmFormat format, uint64_t seed) {
  std::vector<Case> list;
  // Ragged edges of every dimension, on both sides of the tiles' sizes.
  for (const int64_t tokens : {3, 9, 16, 17, 33, 64, 65, 127, 128, 129, 300, 513}) {
    list.push_back({format, tokens, 272, 200, false, false, true, seed});
    list.push_back({format, tokens, 528, 1000, true, false, tokens % 2 == 0, seed + 1});
    list.push_back({format, tokens, 1003, 264, false, true, tokens % 2 == 1, seed + 2});
  }
  for (const int64_t in : {8, 56, 64, 72, 128, 136, 4104})
    list.push_back({format, 96, 400, in, false, true, true, seed + 3});
  for (const int64_t outputs : {16, 128, 136, 256, 264, 2051})
    list.push_back({format, 70, outputs, 512, false, false, true, seed + 4});
  // Shapes of a 7B model: many waves, split tails, long sums.
  list.push_back({format, 32, 3584, 3584, false, false, true, seed + 5});
  list.push_back({format, 64, 37888, 3584, true, false, false, seed + 6});
  list.push_back({format, 16, 152064, 3584, false, true, false, seed + 7});
  list.push_back({format, 128, 3584, 18944, false, false, false, seed + 8});
  list.push_back({format, 17, 4608, 3584, false, false, true, seed + 12});
  list.push_back({format, 64, 3584, 3584, false, true, false, seed + 13});
  list.push_back({format, 128, 3584, 3584, true, false, true, seed + 14});
  list.push_back({format, 100, 37888, 3584, true, false, true, seed + 15});
  list.push_back({format, 1024, 3584, 18944, false, false, false, seed + 9});
  list.push_back({format, 1500, 4608, 3584, false, false, true, seed + 10});
  list.push_back({format, 4096, 37888, 3584, true, false, false, seed + 11});
  return list;
}

double bytes_of(const Case& c) {
  return static_cast<double>((c.tokens + c.outputs) * c.in * element_bytes(c.format) +
                             c.tokens * c.width() * (c.out_f32 ? 4 : 2));
}

void measure_case(const Case& c, GemmKernel kernel, bool chosen, Arrays& arrays, const Options& options) {
  const GemmArgs args = arrays.args(0, options.multiprocessors);
  const auto plan = hopper::plan_gemm_with(kernel, hopper::gemm_shape(args), options.multiprocessors);
  if (!plan) return;
  const double operations = 2.0 * static_cast<double>(c.tokens * c.outputs * c.in);
  const double peak =
      c.format == GemmFormat::kBF16 ? options.ceilings.bf16_flops_per_us : options.ceilings.byte_flops_per_us;
  const double floor_us = std::max(operations / peak, bytes_of(c) / options.ceilings.bytes_per_us);
  const int calls = std::clamp(static_cast<int>(8000.0 / floor_us), 4, 64);
  const double us = time_us(calls, [&](int i, cudaStream_t stream) {
    require_launch(hopper::launch_gemm_plan(arrays.args(i, options.multiprocessors), *plan, stream), "timing");
  });
  std::printf("%s %-5s %-9s %6lld %7lld %6lld %-6s %9.1f %9.1f %8.0f %7.0f %6.0f%%\n", chosen ? "*" : " ",
              name_of(c.format), name_of(kernel), static_cast<long long>(c.tokens), static_cast<long long>(c.outputs),
              static_cast<long long>(c.in),
              c.swiglu    ? "swiglu"
              : c.out_f32 ? "f32"
                          : "",
              plan->cycles / 1700.0, us, operations / us / 1e6, bytes_of(c) / us / 1e3, 100.0 * floor_us / us);
  std::fflush(stdout);
}

}  // namespace

void check_gemm(const Options& options) {
  for (const GemmFormat format : kFormats) {
    double worst = 0.0;
    for (const Case& c : cases(format, options.seed)) check_case(c, options, worst);
    std::printf("gemm %s: worst error %.2f of its limit, %d failures so far\n", name_of(format), worst, failures);
    std::fflush(stdout);
  }
}

// y = x a^T, z = y b^T, again and again in one graph: each product may start before the one before it has ended, and
// must still see what that one wrote, and not overwrite what it reads.
void check_chain(const Options& options) {
  const Case first{GemmFormat::kBF16, 48, 2048, 2048, false, false, false, options.seed + 20};
  for (const int64_t tokens : {48, 128, 640}) {
    Case c = first;
    c.tokens = tokens;
    Arrays a(c, 1);
    Arrays b(c, 1);
    GemmArgs forth = a.args(0, options.multiprocessors);
    GemmArgs back = b.args(0, options.multiprocessors);
    back.x = forth.out;
    back.x_pitch = c.outputs * 2;
    back.workspace = forth.workspace;
    GemmArgs again = forth;
    again.x = back.out;
    again.x_pitch = c.outputs * 2;
    const auto chain = [&](cudaStream_t stream, bool apart) {
      const auto step = [&](const GemmArgs& args) {
        require_launch(hopper::launch_gemm(args, stream), "chain");
        if (apart) REQUIRE_CUDA(cudaStreamSynchronize(stream));
      };
      step(forth);
      for (int i = 0; i < 8; ++i) {
        step(back);
        step(again);
      }
    };
    chain(nullptr, true);
    REQUIRE_CUDA(cudaDeviceSynchronize());
    const uint64_t apart = fingerprint(a.out());
    time_us(1, [&](int, cudaStream_t stream) { chain(stream, false); });
    expect(fingerprint(a.out()) == apart, "chain of " + c.text() + ": differs from products run one by one");
  }
}

// Clusters that run at the same time, of blocks that fill a multiprocessor: the plan takes 16 multiprocessors a group.
__global__ void full_block_kernel(int* out) {
  if (out != nullptr) *out = 1;
}
void print_clusters() {
  constexpr int kBytes = 221 * 1024;
  REQUIRE_CUDA(cudaFuncSetAttribute(full_block_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  std::printf("\nclusters at once, of");
  for (const unsigned size : {2U, 3U, 4U, 6U, 8U}) {
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {size, 1, 1};
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(size * 66);
    config.blockDim = dim3(384);
    config.dynamicSmemBytes = kBytes;
    config.attrs = &attribute;
    config.numAttrs = 1;
    int clusters = 0;
    REQUIRE_CUDA(cudaOccupancyMaxActiveClusters(&clusters, full_block_kernel, &config));
    std::printf(" %u blocks: %d", size, clusters);
  }
  std::printf("\n");
}

void measure_gemm(const Options& options) {
  print_clusters();
  std::printf("\n* = the plan's choice; share = of the larger of operations / peak and bytes / bandwidth\n");
  std::printf("  %-5s %-9s %6s %7s %6s %-6s %9s %9s %8s %7s %7s\n", "type", "kernel", "tokens", "outputs", "in", "",
              "predict us", "us", "TFLOP/s", "GB/s", "share");
  struct Weight {
    int64_t outputs, in;
    bool swiglu, out_f32;
  };
  const Weight weights[] = {{4608, 3584, false, false},
                            {3584, 3584, false, false},
                            {37888, 3584, true, false},
                            {3584, 18944, false, false},
                            {152064, 3584, false, true}};
  for (const GemmFormat format : kFormats) {
    for (const Weight& w : weights) {
      for (const int64_t tokens : {16, 32, 64, 128, 256, 512, 2048, 4096, 8192}) {
        if (w.out_f32 && tokens > 128) continue;
        const Case c{format, tokens, w.outputs, w.in, w.swiglu, w.out_f32, false, options.seed + 30};
        const double weight_bytes = static_cast<double>(w.outputs * w.in * element_bytes(format));
        Arrays arrays(c, std::clamp(static_cast<int>(300e6 / weight_bytes), 2, 12));
        const GemmKernel choice =
            hopper::plan_gemm(hopper::gemm_shape(arrays.args(0, options.multiprocessors)), options.multiprocessors)
                .kernel;
        for (const GemmKernel kernel : kKernels) {
          const bool close = tokens >= 64 && tokens <= 512;  // where the choice is worth a look
          if (kernel == choice || close || (tokens < 64 && hopper::is_stream(kernel)))
            measure_case(c, kernel, kernel == choice, arrays, options);
        }
      }
    }
  }
}

}  // namespace cove::check

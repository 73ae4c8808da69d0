// Products of weights in panels against one dot product in f64 per output, and beside the way they replace: unpacked to
// bf16 first.

#include <memory>
#include <string>

#include "backends/cuda/hopper/gemm.h"
#include "backends/cuda/hopper/panel_gemm.h"
#include "backends/cuda/kernels/pack.h"
#include "check_support.cuh"
#include "hopper_check.h"

namespace cove::check {
namespace {

namespace hopper = cuda::hopper;

using cuda::DeviceWeight;
using cuda::WeightFormat;
using cuda::WeightLayout;
using hopper::PanelGemmArgs;
using hopper::PanelPlan;

struct Format {
  const char* name;
  WeightFormat format;
  int64_t group;
  double bytes;  // of a weight with its share of the scale
};
constexpr Format kFormats[] = {{"q4/128", WeightFormat::kQ4, 128, 0.5 + 2.0 / 128},
                               {"q4/32", WeightFormat::kQ4, 32, 0.5 + 2.0 / 32},
                               {"q8/32", WeightFormat::kQ8, 32, 1.0 + 2.0 / 32}};

struct Case {
  Format format{};
  int64_t tokens = 0;
  int64_t outputs = 0;
  int64_t in = 0;
  bool swiglu = false;
  bool out_f32 = false;
  bool bias = false;
  uint64_t seed = 1;

  int64_t width() const { return swiglu ? outputs / 2 : outputs; }
  std::string text() const {
    char line[160];
    std::snprintf(line, sizeof line, "%s %lld x %lld x %lld%s%s%s", format.name, static_cast<long long>(tokens),
                  static_cast<long long>(outputs), static_cast<long long>(in), swiglu ? " swiglu" : "",
                  out_f32 ? " f32" : "", bias ? " bias" : "");
    return line;
  }
};

std::string name_of(const PanelPlan& plan) {
  char text[80];
  if (plan.schedule.in_waves) {
    std::snprintf(text, sizeof text, "waves%dx%d", plan.schedule.tiles.full_tiles, plan.schedule.tiles.split);
  } else if (plan.schedule.cluster_parts > 1) {
    std::snprintf(text, sizeof text, "%d cluster%d", 128 * plan.row_tiles, plan.schedule.cluster_parts);
  } else {
    std::snprintf(text, sizeof text, "%d stream", 128 * plan.row_tiles);
  }
  return text;
}

__global__ void fill_words_kernel(uint32_t* words, int64_t count, uint64_t seed) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < count; i += int64_t{gridDim.x} * blockDim.x) {
    words[i] = static_cast<uint32_t>(mix(seed + static_cast<uint64_t>(i)) >> 32U);
  }
}
// Between half of `size` and three halves, every eighth negative.
__global__ void fill_scales_kernel(uint16_t* scales, int64_t count, uint64_t seed, float size) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < count; i += int64_t{gridDim.x} * blockDim.x) {
    const uint64_t bits = mix(seed + static_cast<uint64_t>(i));
    const float value = size * (0.5F + static_cast<float>(bits & 0xFFFFU) / 65536.0F);
    scales[i] = __half_as_ushort(__float2half(bits >> 61U == 0 ? -value : value));
  }
}

// x, weights, out and what the product needs. NaN behind every row and array of x.
class Arrays {
 public:
  Arrays(const Case& c, int copies)
      : case_(c),
        layout_(cuda::plan_weight(
            c.format.format,
            c.swiglu ? std::vector<int64_t>{c.outputs / 2, c.outputs / 2} : std::vector<int64_t>{c.outputs}, c.in,
            c.format.group)),
        x_pitch_((c.in * 2 + 15) / 16 * 16 + 48),
        x_((c.tokens + 3) * x_pitch_),
        bias_(layout_.rows * 4),
        out_((c.tokens * c.width() * (c.out_f32 ? 4 : 2) + 3) / 4 * 4),
        workspace_(hopper::gemm_workspace_bytes()) {
    const auto root = static_cast<float>(std::sqrt(static_cast<double>(c.in)));
    const float size = (c.format.format == WeightFormat::kQ4 ? 0.2F : 0.014F) / root;
    for (int copy = 0; copy < copies; ++copy) {
      words_.push_back(std::make_unique<DeviceArray>(layout_.weight_bytes()));
      scales_.push_back(std::make_unique<DeviceArray>(layout_.group_scale_bytes()));
      fill_words_kernel<<<1024, 256>>>(words_.back()->as<uint32_t>(), layout_.weight_bytes() / 4, c.seed * 77 + copy);
      fill_scales_kernel<<<1024, 256>>>(scales_.back()->as<uint16_t>(), layout_.group_scale_bytes() / 2,
                                        c.seed * 79 + copy, size);
      REQUIRE_CUDA(cudaGetLastError());
    }
    fill<__nv_bfloat16>({x_.as(), c.tokens, c.in, x_pitch_, c.seed * 31 + 7, 1.0F, 0.0F});
    fill<float>({bias_.as(), 1, layout_.rows, 0, c.seed * 31 + 10, 1.0F, 0.0F});
    REQUIRE_CUDA(cudaMemset(workspace_.as(), 0, hopper::kCountersMax * 4));
  }

  PanelGemmArgs args(int copy, int multiprocessors) const {
    PanelGemmArgs a;
    hopper::GemmArgs& p = a.product;
    p.x = x_.as();
    p.x_pitch = x_pitch_;
    p.weight = words_[static_cast<size_t>(copy) % words_.size()]->as();
    p.bias = case_.bias ? bias_.as<float>() : nullptr;
    p.tokens = case_.tokens;
    p.in = case_.in;
    p.weight_rows = layout_.rows;
    p.out_features = case_.outputs;
    p.interleaved = case_.swiglu;
    p.swiglu = case_.swiglu;
    p.out = out_.as();
    p.out_f32 = case_.out_f32;
    p.workspace = workspace_.as();
    p.multiprocessors = multiprocessors;
    a.bits = case_.format.format == WeightFormat::kQ4 ? 4 : 8;
    a.group = layout_.group;
    a.padded = layout_.padded;
    a.group_scale = scales_[static_cast<size_t>(copy) % scales_.size()]->as<uint16_t>();
    return a;
  }
  DeviceWeight weight(int copy) const {
    return {.layout = layout_,
            .weight = words_[static_cast<size_t>(copy) % words_.size()]->as(),
            .group_scale = scales_[static_cast<size_t>(copy) % scales_.size()]->as<uint16_t>()};
  }
  DeviceArray& out() { return out_; }
  const WeightLayout& layout() const { return layout_; }
  bool counters_are_zero() const {
    const std::vector<uint8_t> bytes = workspace_.bytes_at(0, hopper::kCountersMax * 4);
    return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
  }
  bool guards_are_whole() const { return out_.guard_is_whole() && workspace_.guard_is_whole(); }

 private:
  Case case_;
  WeightLayout layout_;
  int64_t x_pitch_;
  std::vector<std::unique_ptr<DeviceArray>> words_, scales_;
  DeviceArray x_, bias_, out_, workspace_;
};

// The way they replace: to bf16 in memory, then hopper/'s product of bf16.
struct Unpacked {
  DeviceArray weights;
  hopper::GemmArgs gemm;
  Unpacked(const WeightLayout& layout, const PanelGemmArgs& args)
      : weights(layout.rows * layout.padded * 2), gemm(args.product) {
    gemm.format = hopper::GemmFormat::kBF16;
    gemm.weight = weights.as();
    gemm.weight_pitch = layout.padded * 2;
  }
  void run(const DeviceWeight& weight, cudaStream_t stream) const {
    require_launch(cuda::launch_unpack(weight, weights.as(), stream), "unpack");
    require_launch(hopper::launch_gemm(gemm, stream), "product of unpacked weights");
  }
};

// One block per output: all of them, or `count` drawn by hash.
struct ReferenceArgs {
  hopper::GemmArgs gemm{};
  DeviceWeight weight{};
  int64_t width = 0;
  int64_t count = 0;
  double tolerance = 0.0;
  uint64_t seed = 0;
  Errors* errors = nullptr;
};
__device__ double weight_value(const DeviceWeight& w, int64_t row, int64_t k) {
  const WeightLayout& layout = w.layout;
  const auto* word = static_cast<const uint8_t*>(w.weight) + layout.panel_word(row, k / 8);
  const double scale = static_cast<double>(__half2float(__ushort_as_half(w.group_scale[layout.panel_scale(row, k)])));
  const int64_t i = k % 8;
  if (layout.format == WeightFormat::kQ4) {
    const uint32_t octet = reinterpret_cast<const uint32_t*>(word)[k / 32 % 4];
    return (static_cast<double>(octet >> (4 * (i / 2 + i % 2 * 4)) & 15U) - 8.0) * scale;
  }
  const int64_t place = i / 4 * 4 + (i % 4 == 1 ? 2 : i % 4 == 2 ? 1 : i % 4);
  return static_cast<double>(static_cast<int8_t>(word[k / 32 % 2 * 8 + place])) * scale;
}
__device__ double dot(const ReferenceArgs& r, int64_t row, int64_t weight_row) {
  const auto* x = reinterpret_cast<const __nv_bfloat16*>(static_cast<const uint8_t*>(r.gemm.x) + row * r.gemm.x_pitch);
  double sum = 0.0;
  for (int64_t k = threadIdx.x; k < r.gemm.in; k += blockDim.x)
    sum += widen(x[k]) * weight_value(r.weight, weight_row, k);
  sum = block_sum(sum);
  return r.gemm.bias != nullptr ? sum + static_cast<double>(r.gemm.bias[weight_row]) : sum;
}
__global__ void reference_kernel(const ReferenceArgs r) {
  const hopper::GemmArgs& a = r.gemm;
  const int64_t total = a.tokens * r.width;
  const int64_t at = r.count == total ? int64_t{blockIdx.x}
                                      : static_cast<int64_t>(mix(r.seed + blockIdx.x) % static_cast<uint64_t>(total));
  const int64_t row = at / r.width;
  const int64_t column = at % r.width;
  double value = 0.0;
  if (a.swiglu) {
    const int64_t gate_row = column / 8 * 16 + column % 8;
    const double gate = dot(r, row, gate_row);
    value = gate / (1.0 + exp(-gate)) * dot(r, row, gate_row + 8);
  } else {
    value = dot(r, row, column);
  }
  if (threadIdx.x > 0) return;
  const double output =
      a.out_f32 ? static_cast<const float*>(a.out)[at] : widen(static_cast<const __nv_bfloat16*>(a.out)[at]);
  add_error(r.errors, static_cast<uint64_t>(at), output, value, r.tolerance);
}
Errors compare(const PanelGemmArgs& args, const DeviceWeight& weight, const Case& c) {
  DeviceArray errors(sizeof(Errors));
  reset_errors(errors);
  constexpr int64_t kAllBelow = 1 << 18;
  const int64_t total = c.tokens * c.width();
  const ReferenceArgs reference{args.product, weight, c.width(),          total < kAllBelow ? total : 1 << 13,
                                3e-2,         c.seed, errors.as<Errors>()};
  reference_kernel<<<static_cast<unsigned>(reference.count), 128>>>(reference);
  REQUIRE_CUDA(cudaGetLastError());
  REQUIRE_CUDA(cudaDeviceSynchronize());
  return read_errors(errors);
}

// Weights rounded twice to 8 bits, each 1.1e-3 in the mean; outputs in bf16 once more, doubled by silu and a product.
double tolerance_of(const Case& c) { return c.out_f32 ? 2.5e-3 : 5e-3; }

void check_plan(const Case& c, const PanelPlan& plan, Arrays& arrays, const Options& options, double& worst) {
  const PanelGemmArgs args = arrays.args(0, options.multiprocessors);
  const std::string what = name_of(plan) + " " + c.text();
  announce(what);
  uint64_t first = 0;
  for (int run = 0; run < 3; ++run) {
    arrays.out().poison();
    require_launch(hopper::launch_panel_plan({.args = args, .plan = plan}), what.c_str());
    REQUIRE_CUDA(cudaDeviceSynchronize());
    const uint64_t sum = fingerprint(arrays.out());
    if (run == 0) first = sum;
    expect(sum == first, what + ": two runs differ");
  }
  const Errors errors = compare(args, arrays.weight(0), c);
  worst = std::max(worst, errors.relative() / tolerance_of(c));
  char text[160];
  std::snprintf(text, sizeof text, ": relative error %.2e (limit %.1e), %llu of %llu wrong, first at %llu",
                errors.relative(), tolerance_of(c), errors.wrong, errors.compared, errors.first_wrong);
  expect(errors.wrong == 0 && errors.relative() <= tolerance_of(c), what + text);
  expect(arrays.counters_are_zero(), what + ": counters are left behind");
  expect(arrays.guards_are_whole(), what + ": wrote behind an array");
}

std::vector<Case> cases(const Format& format, uint64_t seed) {
  std::vector<Case> list;
  for (const int64_t tokens : {1, 9, 16, 17, 33, 64, 65, 127, 128, 129, 300, 513}) {
    list.push_back({format, tokens, 272, 200, false, false, true, seed});
    list.push_back({format, tokens, 528, 1000, true, false, tokens % 2 == 0, seed + 1});
    list.push_back({format, tokens, 1003, 264, false, true, tokens % 2 == 1, seed + 2});
  }
  for (const int64_t in : {8, 64, 136, 4104}) list.push_back({format, 40, 400, in, false, true, true, seed + 3});
  list.push_back({format, 32, 3584, 3584, false, false, true, seed + 5});
  list.push_back({format, 64, 37888, 3584, true, false, false, seed + 6});
  list.push_back({format, 16, 152064, 3584, false, true, false, seed + 7});
  list.push_back({format, 128, 3584, 18944, false, false, false, seed + 8});
  list.push_back({format, 1024, 3584, 18944, false, true, false, seed + 9});
  list.push_back({format, 1500, 4608, 3584, false, false, true, seed + 10});
  return list;
}

struct Weight {
  int64_t outputs, in;
  bool swiglu, out_f32;
};
constexpr Weight kWeights[] = {{4608, 3584, false, false},
                               {3584, 3584, false, false},
                               {37888, 3584, true, false},
                               {3584, 18944, false, false},
                               {152064, 3584, false, true}};

double time_plan(const PanelPlan& plan, const Arrays& arrays, const Options& options, int calls) {
  return time_us(calls, [&](int i, cudaStream_t stream) {
    require_launch(
        hopper::launch_panel_plan({.args = arrays.args(i, options.multiprocessors), .plan = plan, .stream = stream}),
        "timing");
  });
}

// The chosen plan, the fastest of the candidates, the way by bf16, and what binds.
void measure_case(const Case& c, const Options& options) {
  const double weight_bytes = static_cast<double>(c.outputs * c.in) * c.format.bytes;
  Arrays arrays(c, std::clamp(static_cast<int>(300e6 / weight_bytes), 2, 40));
  const PanelGemmArgs args = arrays.args(0, options.multiprocessors);
  const auto shape = hopper::panel_shape(args);
  const auto chosen = hopper::plan_panels(shape, options.multiprocessors);
  if (!chosen) return;
  const double operations = 2.0 * static_cast<double>(c.tokens * c.outputs * c.in);
  const double bytes = weight_bytes + static_cast<double>(c.tokens * (c.in * 2 + c.width() * (c.out_f32 ? 4 : 2)));
  const double by_bytes = bytes / options.ceilings.bytes_per_us;
  const double by_operations = operations / options.ceilings.bf16_flops_per_us;
  const double floor_us = std::max(by_bytes, by_operations);
  const int calls = std::clamp(static_cast<int>(1500.0 / floor_us), 2, 40);
  const double us = time_plan(*chosen, arrays, options, calls);
  double fastest = us;
  std::string name = name_of(*chosen);
  for (const PanelPlan& plan : hopper::panel_plans(shape, options.multiprocessors)) {
    if (plan.cycles > 1.8 * chosen->cycles || (plan.schedule.in_waves && plan.cycles > 1.15 * chosen->cycles)) continue;
    const double of_plan = time_plan(plan, arrays, options, calls);
    if (of_plan < fastest) {
      fastest = of_plan;
      name = name_of(plan);
    }
  }
  const Unpacked unpacked(arrays.layout(), args);
  const double by_bf16 =
      c.tokens < 3
          ? 0.0
          : time_us(std::min(calls, 8), [&](int i, cudaStream_t stream) { unpacked.run(arrays.weight(i), stream); });
  const double bf16 =
      c.tokens < 3
          ? 0.0
          : time_us(
                std::min(calls, 8),
                [&](int, cudaStream_t stream) { require_launch(hopper::launch_gemm(unpacked.gemm, stream), "bf16"); });
  std::printf("  %-6s %6lld %7lld %6lld %9.1f %9.1f %-12s %9.1f %-12s %5.0f%% %s %9.1f %9.1f\n", c.format.name,
              static_cast<long long>(c.tokens), static_cast<long long>(c.outputs), static_cast<long long>(c.in),
              chosen->cycles / 1700.0, us, name_of(*chosen).c_str(), fastest, name.c_str(), 100.0 * floor_us / us,
              by_bytes > by_operations ? "memory" : "tensor", by_bf16, bf16);
  std::fflush(stdout);
}

}  // namespace

void check_panels(const Options& options) {
  for (const Format& format : kFormats) {
    double worst = 0.0;
    for (const Case& c : cases(format, options.seed)) {
      Arrays arrays(c, 1);
      const PanelGemmArgs args = arrays.args(0, options.multiprocessors);
      expect(hopper::panel_gemm_supported(args), c.text() + ": panel_gemm_supported");
      for (const PanelPlan& plan : hopper::panel_plans(hopper::panel_shape(args), options.multiprocessors)) {
        check_plan(c, plan, arrays, options, worst);
      }
    }
    std::printf("panels %s: worst error %.2f of its limit, %d failures so far\n", format.name, worst, failures);
    std::fflush(stdout);
  }
}

void measure_panels(const Options& options) {
  std::printf(
      "\nshare = of the larger of operations / peak and bytes / bandwidth; unpacked = to bf16 first; bf16 = that "
      "product alone, out of L2 where it fits\n");
  std::printf("  %-6s %6s %7s %6s %9s %9s %-12s %9s %-12s %6s %6s %9s %9s\n", "type", "tokens", "outputs", "in",
              "predict", "us", "plan", "fastest", "", "share", "binds", "unpacked", "bf16");
  for (const Format& format : kFormats) {
    for (const Weight& w : kWeights) {
      for (const int64_t tokens : {4, 16, 32, 64, 128, 256, 512, 2048, 4096}) {
        if (w.out_f32 && tokens > 128) continue;
        measure_case({format, tokens, w.outputs, w.in, w.swiglu, w.out_f32, false, options.seed + 30}, options);
      }
    }
  }
}

}  // namespace cove::check

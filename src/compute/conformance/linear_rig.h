#pragma once
// Cases of linear and how to run one. No tests: other tests of backends may include it too.

#include <cmath>
#include <string>
#include <vector>

#include "compute/conformance/fixture.h"

namespace cove::conformance {

inline const std::vector<DType>& weight_dtypes() {
  static const std::vector<DType> dtypes = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0};
  return dtypes;
}

inline bool is_blocked(DType dtype) { return dtype_info(dtype).block_elements > 1; }

struct LinearCase {
  DType dtype = DType::kF32;
  int64_t rows = 1;
  int64_t in = 32;
  std::vector<int64_t> parts = {16};
  bool bias = false;
  LinearArgs::Epilogue epilogue = LinearArgs::Epilogue::kNone;

  int64_t outputs() const {
    int64_t sum = 0;
    for (const int64_t part : parts) sum += part;
    return sum;
  }
  int64_t out_width() const { return epilogue == LinearArgs::Epilogue::kSwiGlu ? outputs() / 2 : outputs(); }
  std::string name() const {
    std::string text =
        std::string(dtype_info(dtype).name) + " rows " + std::to_string(rows) + " in " + std::to_string(in) + " out";
    for (const int64_t part : parts) text += " " + std::to_string(part);
    return text + (bias ? " bias" : "");
  }
};

// The weights of a case, shared by both backends.
struct LinearData {
  std::vector<HostTensor> weights;
  std::vector<HostTensor> biases;
  std::vector<float> x;

  explicit LinearData(const LinearCase& c) : x(random_values(c.rows * c.in, 11)) {
    const float deviation = 1.0F / std::sqrt(static_cast<float>(c.in));
    for (size_t i = 0; i < c.parts.size(); ++i) {
      const auto seed = static_cast<uint32_t>(20 + i);
      weights.emplace_back(c.dtype, Shape{c.parts[i], c.in}, random_values(c.parts[i] * c.in, seed, deviation));
      // Biases are stored in f16 next to blocked weights and in the weights' dtype otherwise; every third part has
      // none.
      const DType bias_dtype = is_blocked(c.dtype) ? DType::kF16 : c.dtype;
      biases.emplace_back(bias_dtype, Shape{c.parts[i]}, random_values(c.parts[i], seed + 100));
    }
  }
  LinearWeightDesc desc(const LinearCase& c) const {
    LinearWeightDesc desc = {.name = "layers.0.test"};
    for (size_t i = 0; i < weights.size(); ++i) {
      desc.parts.push_back({.weight = weights[i].view()});
      if (c.bias && i % 3 != 2) desc.parts.back().bias = biases[i].view();
    }
    return desc;
  }
};

inline std::vector<float> run_linear(Rig& rig, const LinearWeight& weight, const LinearCase& c,
                                     std::span<const float> x) {
  const int64_t rows = static_cast<int64_t>(x.size()) / c.in;
  const TensorView input = rig.upload(rows, c.in, x);
  const TensorView out = rig.make(rows, c.out_width());
  rig.step([&] { rig.backend().linear({.x = input, .weight = &weight, .epilogue = c.epilogue, .out = out}); });
  return rig.download(out);
}

}  // namespace cove::conformance

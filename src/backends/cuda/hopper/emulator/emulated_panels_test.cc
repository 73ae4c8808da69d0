// gemm_panels.cuh, run by the emulator on small shapes and compared with plain loops.
#define COVE_HOPPER_EMULATED

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "backends/cuda/hopper/emulator/product_testing.h"
#include "backends/cuda/hopper/gemm_panels.cuh"
#include "backends/cuda/hopper/plan/gemm_plan.h"
#include "base/testing.h"

namespace cove::cuda::hopper {
namespace {

// Weights as plan/weight_layout.h says: [row / 16][chunk][row / 8 % 2][row % 8][octet % 4] of 16 bytes.
template <class Format>
class PanelWeights {
 public:
  PanelWeights(int64_t rows, int64_t inputs, std::mt19937& random)
      : inputs_(inputs), chunks_((inputs + 127) / 128 * 128 / Format::kBlockK), panels_(rows / 16) {
    words_.assign(static_cast<size_t>(panels_ * chunks_ * kPanelBytes), std::byte{0});
    scales_.assign(static_cast<size_t>(panels_ * chunks_ * 16 * Format::kScales), 0);
    values_.assign(static_cast<size_t>(rows * inputs), 0);
    std::uniform_real_distribution<float> sizes(0.5F, 1.5F);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t k = 0; k < inputs; k += Format::kGroup) {
        scale(row, k) = f32_to_f16((random() % 5 == 0 ? -1.0F : 1.0F) * sizes(random) / kMost);
      }
      for (int64_t k = 0; k < inputs; ++k) put(row, k, static_cast<int>(random() % (2 * kMost)) - kMost);
    }
  }
  double value(int64_t row, int64_t k) {
    return static_cast<double>(values_[static_cast<size_t>(row * inputs_ + k)]) *
           static_cast<double>(f16_to_f32(scale(row, k)));
  }
  TensorMap map(int64_t box_panels) {
    return {.data = words_.data(),
            .rows = chunks_ * 8,
            .columns = 32,
            .pitch = 128,
            .element_bytes = 4,
            .box_rows = 8,
            .planes = panels_,
            .plane_pitch = chunks_ * kPanelBytes,
            .box_planes = box_panels};
  }
  TensorMap scale_map(int64_t box_panels) {
    const int64_t bytes = chunks_ * Format::kScaleBytes;
    return {.data = reinterpret_cast<std::byte*>(scales_.data()),
            .rows = panels_,
            .columns = bytes / 4,
            .pitch = bytes,
            .element_bytes = 4,
            .box_rows = box_panels,
            .box_bytes = Format::kScaleBytes,
            .swizzles = false};
  }

 private:
  static constexpr int kMost = Format::kBits == 4 ? 8 : 128;

  uint16_t& scale(int64_t row, int64_t k) {
    const int64_t chunk = row / 16 * chunks_ + k / Format::kBlockK;
    const int64_t in_chunk = k % Format::kBlockK / Format::kGroup;
    return scales_[static_cast<size_t>(((chunk * 8 + row % 8) * Format::kScales + in_chunk) * 2 + row / 8 % 2)];
  }
  void put(int64_t row, int64_t k, int value) {
    values_[static_cast<size_t>(row * inputs_ + k)] = static_cast<int8_t>(value);
    const int64_t word =
        (((row / 16 * chunks_ + k / Format::kBlockK) * 2 + row / 8 % 2) * 32 + row % 8 * 4 + k / 8 % 4) * 16;
    const int64_t octet = k % Format::kBlockK / 32;
    const int64_t i = k % 8;
    if (Format::kBits == 8) {
      constexpr int kPlaces[] = {0, 2, 1, 3, 4, 6, 5, 7};
      words_[static_cast<size_t>(word + 8 * octet + kPlaces[i])] = static_cast<std::byte>(value);
    } else {
      const int64_t nibble = i / 2 + i % 2 * 4;
      words_[static_cast<size_t>(word + 4 * octet + nibble / 2)] |=
          static_cast<std::byte>(static_cast<unsigned>(value + 8) << (nibble % 2 * 4));
    }
  }

  int64_t inputs_;
  int64_t chunks_;
  int64_t panels_;
  std::vector<std::byte> words_;
  std::vector<uint16_t> scales_;
  std::vector<int8_t> values_;
};

template <class Format>
class Product {
 public:
  Product(const ProductCase& shape, uint64_t seed)
      : shape_(shape),
        random_(seed),
        w_(shape.weight_rows(), shape.in, random_),
        x_pitch_((shape.in + 7) / 8 * 8 + 8),
        x_(static_cast<size_t>(shape.rows * x_pitch_), kNanBf16),
        output_(shape) {
    std::normal_distribution<float> normal;
    for (int64_t r = 0; r < shape.rows; ++r) {
      for (int64_t k = 0; k < shape.in; ++k) x_[static_cast<size_t>(r * x_pitch_ + k)] = f32_to_bf16(normal(random_));
    }
    for (int64_t n = 0; n < shape.weight_rows(); ++n) bias_.push_back(normal(random_));
  }

  template <class Kernel>
  void run(const PanelSchedule& schedule, int32_t blocks) {
    const bool boxes = !shape_.out_f32 && shape_.width() % 8 == 0;
    const PanelParams params{schedule, boxes ? 1 : 0, output_.params(bias_), output_.partial()};
    const TensorMap x_map{
        reinterpret_cast<std::byte*>(x_.data()), shape_.rows, shape_.in, x_pitch_ * 2, 2, Kernel::kTokens};
    const TensorMap w_map = w_.map(Kernel::kPanelCount);
    const TensorMap scale_map = w_.scale_map(Kernel::kPanelCount);
    const TensorMap out_map = output_.map(32);
    emulated::Machine::get().run(static_cast<uint32_t>(blocks), static_cast<uint32_t>(schedule.cluster_parts),
                                 kBlockThreads, Kernel::kSharedBytes,
                                 [&] { gemm_panels_kernel<Kernel>(x_map, w_map, scale_map, out_map, params); });
  }

  // Weights are rounded twice, by 2^-9 at most each: 1.1e-3 of a value in the mean each; outputs in bf16 once more.
  void check() {
    output_.check([this](int64_t row, int64_t weight_row) { return sum(row, weight_row); },
                  shape_.out_f32 ? 2.5e-3 : 5e-3);
  }

 private:
  double sum(int64_t row, int64_t weight_row) {
    double total = shape_.bias ? static_cast<double>(bias_[static_cast<size_t>(weight_row)]) : 0.0;
    for (int64_t k = 0; k < shape_.in; ++k) {
      total += static_cast<double>(bf16_to_f32(x_[static_cast<size_t>(row * x_pitch_ + k)])) * w_.value(weight_row, k);
    }
    return total;
  }

  ProductCase shape_;
  std::mt19937 random_;
  PanelWeights<Format> w_;
  int64_t x_pitch_;
  std::vector<uint16_t> x_;
  std::vector<float> bias_;
  ProductOutput output_;
};

// parts > 1: a cluster for each tile; otherwise `blocks` stretches.
struct Stretches {
  int32_t blocks = 1;
  int32_t parts = 1;
};

template <class Format, int kTokens, int kTiles>
void check_stretches(const ProductCase& shape, const Stretches& stretches, uint64_t seed) {
  SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.outputs) + " x " + std::to_string(shape.in));
  Product<Format> product(shape, seed);
  PanelSchedule schedule;
  StreamSchedule& s = schedule.stream;
  s.tiles = static_cast<int32_t>((shape.weight_rows() + kTiles * kTileRows - 1) / (kTiles * kTileRows));
  s.k_blocks = static_cast<int32_t>((shape.in + 127) / 128 * 128 / Format::kBlockK);
  s.workers = stretches.parts > 1 ? s.tiles * stretches.parts : stretches.blocks;
  schedule.cluster_parts = stretches.parts;
  product.template run<PanelShape<Format, kTokens, kTiles>>(schedule, s.workers);
  product.check();
}

template <class Format>
void check_waves(const ProductCase& shape, int32_t blocks, int32_t full_tiles, int32_t split, uint64_t seed) {
  SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.outputs) + " x " + std::to_string(shape.in));
  Product<Format> product(shape, seed);
  PanelSchedule schedule;
  schedule.in_waves = true;
  TileSchedule& s = schedule.tiles;
  s.tiles_m = static_cast<int32_t>((shape.rows + 127) / 128);
  s.tiles_n = static_cast<int32_t>((shape.weight_rows() + 255) / 256);
  s.k_blocks = static_cast<int32_t>((shape.in + 127) / 128 * 128 / Format::kBlockK);
  s.full_tiles = split > 1 ? full_tiles : s.tiles();
  s.split = split;
  s.raster = 2;
  product.template run<PanelShape<Format, 128, 2>>(schedule, blocks);
  product.check();
}

TEST(HopperPanelsEmulated, four_bits_in_groups_of_128) {
  COVE_SKIP_COROUTINES();
  check_stretches<Panels4x128, 16, 1>({.rows = 9, .outputs = 200, .in = 1000, .bias = true}, {.blocks = 5}, 1);
  check_stretches<Panels4x128, 32, 2>({.rows = 31, .outputs = 528, .in = 2700, .swiglu = true}, {.blocks = 3}, 2);
  check_stretches<Panels4x128, 64, 1>({.rows = 47, .outputs = 131, .in = 136, .out_f32 = true}, {.blocks = 2}, 3);
  check_stretches<Panels4x128, 128, 2>({.rows = 101, .outputs = 272, .in = 904, .add = true}, {.blocks = 3}, 4);
}

TEST(HopperPanelsEmulated, four_bits_in_groups_of_32) {
  COVE_SKIP_COROUTINES();
  check_stretches<Panels4x32, 16, 2>({.rows = 16, .outputs = 300, .in = 520, .out_f32 = true}, {.blocks = 4}, 11);
  check_stretches<Panels4x32, 32, 1>({.rows = 17, .outputs = 144, .in = 1160, .swiglu = true, .bias = true},
                                     {.blocks = 3}, 12);
  check_stretches<Panels4x32, 128, 1>({.rows = 128, .outputs = 160, .in = 264}, {.blocks = 2}, 13);
}

TEST(HopperPanelsEmulated, eight_bits_in_groups_of_32) {
  COVE_SKIP_COROUTINES();
  check_stretches<Panels8x32, 16, 1>({.rows = 12, .outputs = 300, .in = 520, .out_f32 = true}, {.blocks = 4}, 21);
  check_stretches<Panels8x32, 64, 2>({.rows = 64, .outputs = 144, .in = 900, .swiglu = true}, {.blocks = 3}, 22);
  check_stretches<Panels8x32, 128, 2>({.rows = 97, .outputs = 400, .in = 200, .bias = true, .add = true}, {.blocks = 3},
                                      23);
}

TEST(HopperPanelsEmulated, a_cluster_adds_the_parts_of_its_tile) {
  COVE_SKIP_COROUTINES();
  check_stretches<Panels4x128, 32, 2>({.rows = 20, .outputs = 272, .in = 1000, .bias = true}, {.parts = 3}, 31);
  check_stretches<Panels4x32, 64, 1>({.rows = 60, .outputs = 200, .in = 1352, .swiglu = false}, {.parts = 8}, 32);
  check_stretches<Panels8x32, 128, 1>({.rows = 128, .outputs = 144, .in = 328, .swiglu = true}, {.parts = 2}, 33);
}

TEST(HopperPanelsEmulated, many_tokens_in_waves) {
  COVE_SKIP_COROUTINES();
  check_waves<Panels4x128>({.rows = 300, .outputs = 528, .in = 264, .swiglu = true}, 4, 0, 1, 41);
  check_waves<Panels4x32>({.rows = 130, .outputs = 304, .in = 392, .bias = true, .add = true}, 3, 2, 2, 42);
  check_waves<Panels8x32>({.rows = 257, .outputs = 250, .in = 200, .out_f32 = true}, 2, 1, 3, 43);
}

}  // namespace
}  // namespace cove::cuda::hopper

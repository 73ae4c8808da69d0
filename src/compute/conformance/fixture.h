#pragma once
// What the conformance checks share: the case, seeded random data, and a rig that drives one backend. Included by the
// *_checks.h files.

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "compute/backend.h"
#include "compute/conformance/tolerance.h"
#include "tensor/formats/codec.h"

namespace cove::conformance {

struct BackendCase {
  std::string name;
  std::function<std::unique_ptr<Backend>()> make;
  std::function<Rounding(DType weights)> rounding;
  std::vector<DType> caches = {DType::kF32, DType::kF16, DType::kBF16};  // formats of keys and values that it supports
  // Whether a row has the same bits alone and in any batch. Backends that give this up do so as an option.
  bool batch_invariant = true;
};

inline std::string case_name(const ::testing::TestParamInfo<BackendCase>& info) { return info.param.name; }
inline std::ostream& operator<<(std::ostream& out, const BackendCase& c) { return out << c.name; }

class BackendConformance : public ::testing::TestWithParam<BackendCase> {};

// Normal random numbers; the seed is fixed per use so that a failure repeats.
inline std::vector<float> random_values(int64_t count, uint32_t seed, float deviation = 1.0F) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, deviation);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

// A host tensor that owns its bytes, misaligned on purpose: mapped files promise no alignment beyond that of the file.
class HostTensor {
 public:
  HostTensor(DType dtype, Shape shape, std::span<const float> values) : dtype_(dtype), shape_(shape) {
    bytes_.resize(static_cast<size_t>(dtype_bytes(dtype, shape.elements())) + kOffset);
    const Status encoded = encode(dtype, values, std::span(bytes_).subspan(kOffset));
    COVE_CHECK(encoded.has_value());
  }
  TensorView view() const {
    return {.data = const_cast<std::byte*>(bytes_.data()) + kOffset, .dtype = dtype_, .shape = shape_};
  }
  // The values after rounding to the dtype.
  std::vector<float> values() const {
    std::vector<float> out(static_cast<size_t>(shape_.elements()));
    decode(dtype_, std::span(bytes_).subspan(kOffset), out);
    return out;
  }

 private:
  static constexpr size_t kOffset = 2;
  DType dtype_;
  Shape shape_;
  std::vector<std::byte> bytes_;
};

// One backend with the buffers of a test. Every call makes what it needs and returns host floats.
class Rig {
 public:
  explicit Rig(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {}

  Backend& backend() { return *backend_; }

  TensorView make(int64_t rows, int64_t width, DType dtype) {
    Result<std::unique_ptr<DeviceBuffer>> buffer =
        backend_->allocate(static_cast<size_t>(dtype_bytes(dtype, rows * width)));
    COVE_CHECK(buffer.has_value());
    buffers_.push_back(std::move(*buffer));
    return {.data = buffers_.back()->data(), .dtype = dtype, .shape = {rows, width}};
  }
  TensorView make(int64_t rows, int64_t width) { return make(rows, width, backend_->activation_dtype()); }

  // Rows of f32 in the backend's memory and activation dtype, by way of its own embed.
  TensorView upload(int64_t rows, int64_t width, std::span<const float> values) {
    COVE_CHECK(static_cast<int64_t>(values.size()) == rows * width);
    const TensorView host = {.data = const_cast<float*>(values.data()), .dtype = DType::kF32, .shape = {rows, width}};
    Result<std::unique_ptr<RowTable>> table = backend_->load_row_table(host);
    COVE_CHECK(table.has_value());
    std::vector<int32_t> tokens(static_cast<size_t>(rows));
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i);
    const TensorView out = make(rows, width);
    step([&] { backend_->embed({.table = table->get(), .tokens = tokens, .out = out}); });
    return out;
  }

  std::vector<float> download(const TensorView& view) {
    std::vector<std::byte> bytes(static_cast<size_t>(view.bytes()));
    COVE_CHECK(backend_->read_back(view, bytes).has_value());
    std::vector<float> values(static_cast<size_t>(view.shape.elements()));
    decode(view.dtype, bytes, values);
    return values;
  }

  // Runs operations that look at no sequences as a step of their own.
  template <class Body>
  void step(Body body) {
    const StepBatch empty;
    backend_->begin_step(empty);
    body();
    COVE_CHECK(backend_->end_step().has_value());
  }

  std::unique_ptr<LinearWeight> load(const LinearWeightDesc& desc) {
    Result<std::unique_ptr<LinearWeight>> weight = backend_->load_linear(desc);
    COVE_CHECK_MSG(weight.has_value(), weight.has_value() ? "" : weight.error().message);
    return std::move(*weight);
  }
  ConstantVector vector(std::span<const float> values) {
    Result<ConstantVector> loaded = backend_->load_vector(values);
    COVE_CHECK(loaded.has_value());
    return std::move(*loaded);
  }

 private:
  std::unique_ptr<Backend> backend_;
  std::vector<std::unique_ptr<DeviceBuffer>> buffers_;
};

inline Rig reference_rig() { return Rig(make_reference_backend()); }

// Largest error of results against the reference, relative to the reference's norm per row; for operations without a
// sharper bound.
inline double row_error(std::span<const float> got, std::span<const float> want, int64_t width) {
  double worst = 0;
  const auto step = static_cast<size_t>(width);
  for (size_t row = 0; row + step <= want.size(); row += step) {
    double difference = 0;
    for (size_t i = row; i < row + step; ++i) {
      if (std::isnan(got[i])) return INFINITY;
      difference = std::max(difference, std::fabs(static_cast<double>(got[i]) - want[i]));
    }
    worst = std::max(worst, difference / (norm(want.subspan(row, step)) + 1e-30));
  }
  return worst;
}

// Relative spacing of an activation dtype: what storing a result costs.
inline double activation_unit(DType dtype) {
  return dtype == DType::kBF16 ? 0x1p-8 : dtype == DType::kF16 ? 0x1p-11 : 0x1p-24;
}

}  // namespace cove::conformance

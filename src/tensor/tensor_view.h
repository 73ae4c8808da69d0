#pragma once
// A borrowed, contiguous, row-major tensor. Where the memory lives (host or device) is known by who made it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "base/check.h"
#include "tensor/dtype.h"

namespace cove {

struct Shape {
  static constexpr int kRankMax = 4;
  Shape() = default;
  Shape(std::initializer_list<int64_t> values) {
    COVE_CHECK(values.size() <= kRankMax);
    for (const int64_t v : values) dims[static_cast<size_t>(rank++)] = v;
  }
  int64_t operator[](int i) const { return dims[static_cast<size_t>(i)]; }
  int64_t elements() const {
    int64_t product = 1;
    for (int i = 0; i < rank; ++i) product *= (*this)[i];
    return product;
  }
  bool operator==(const Shape&) const = default;

  std::array<int64_t, kRankMax> dims{};
  int rank = 0;
};

std::string to_string(const Shape& shape);  // "[3584, 512]"

struct TensorView {
  void* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  int64_t bytes() const { return dtype_bytes(dtype, shape.elements()); }
  explicit operator bool() const { return data != nullptr; }
};

}  // namespace cove

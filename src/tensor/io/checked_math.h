#pragma once
// Sizes from untrusted headers: arithmetic that says when it would overflow.

#include <cstdint>
#include <optional>
#include <span>

namespace cove {

inline std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

inline std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

// Product of all dimensions, at most INT64_MAX (what Shape can hold). Zeros are left out at first, so that it is safe
// to multiply the dimensions in any order.
inline std::optional<uint64_t> checked_product(std::span<const uint64_t> dims) {
  uint64_t product = 1;
  bool is_empty = false;
  for (const uint64_t dim : dims) {
    is_empty = is_empty || dim == 0;
    const std::optional<uint64_t> next = checked_mul(product, dim == 0 ? 1 : dim);
    if (!next || *next > INT64_MAX) return std::nullopt;
    product = *next;
  }
  return is_empty ? 0 : product;
}

}  // namespace cove

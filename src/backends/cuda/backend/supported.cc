#include "backends/cuda/backend/supported.h"

#include <utility>

#include <fmt/format.h>

#include "backends/cuda/kernels/attention.h"
#include "compute/weight_support.h"

namespace cove::cuda {
namespace {

Error unsupported(std::string message) { return make_error(ErrorCode::kUnsupported, std::move(message)); }

}  // namespace

Status supported(const OpQuery& query) {
  const auto name = dtype_info(query.dtype).name;
  switch (query.kind) {
    case OpKind::kLinear:
    case OpKind::kEmbed: return weights_supported(query, "cuda");
    case OpKind::kAttention:
    case OpKind::kKvCache:
      if (query.dtype != DType::kBF16 && query.dtype != DType::kF32 && query.dtype != DType::kE4M3) {
        return unsupported(
            fmt::format("a key-value cache in {} is not supported by the cuda backend: use bf16, fp8 or f32", name));
      }
      if (query.dtype == DType::kE4M3 && query.head_dim % 16 != 0) {
        return unsupported(fmt::format(
            "a key-value cache in fp8 with head_dim {} is not supported by the cuda backend: it must be a multiple of "
            "16; use bf16",
            query.head_dim));
      }
      if (query.head_dim % 8 != 0 || query.head_dim > kAttentionHeadDimMax) {
        return unsupported(fmt::format(
            "attention with head_dim {} is not supported by the cuda backend: it must be a multiple of 8 up to {}",
            query.head_dim, kAttentionHeadDimMax));
      }
      return {};
  }
  return unsupported("this operation is not known to the cuda backend");
}

}  // namespace cove::cuda

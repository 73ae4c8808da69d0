#pragma once
// One value of a row as it lies in a file. Included by kernels/*.cu.

#include "backends/cuda/kernels/language.h"
#include "tensor/dtype.h"

namespace cove::cuda::dev {

// row: device memory, at least 2-byte aligned (4 for f32). Layouts: tensor/formats/codec.h.
__device__ __forceinline__ float decode_value(DType dtype, const unsigned char* row, int64_t i) {
  switch (dtype) {
    case DType::kF32: return reinterpret_cast<const float*>(row)[i];
    case DType::kF16: return from_f16(reinterpret_cast<const uint16_t*>(row)[i]);
    case DType::kBF16: return from_bf16(reinterpret_cast<const uint16_t*>(row)[i]);
    case DType::kQ8_0: {
      const unsigned char* block = row + i / 32 * 34;
      const float scale = from_f16(*reinterpret_cast<const uint16_t*>(block));
      return scale * static_cast<float>(static_cast<int8_t>(block[2 + i % 32]));
    }
    case DType::kQ4_0: {
      const unsigned char* block = row + i / 32 * 18;
      const float scale = from_f16(*reinterpret_cast<const uint16_t*>(block));
      const int pair = block[2 + i % 16];
      return scale * static_cast<float>((i % 32 < 16 ? pair & 15 : pair >> 4) - 8);
    }
    default: return 0.0F;
  }
}

}  // namespace cove::cuda::dev

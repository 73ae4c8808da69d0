#pragma once
// Descriptions of arrays for the copy engine. cuTensorMapEncodeTiled is asked for at run time, so that nothing links
// against libcuda: one binary runs with and without a driver.

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace cove::cuda::hopper {

// A row-major array [rows][columns], read or written in boxes of box_rows rows by 128 bytes, with 128-byte swizzle.
struct ArrayDesc {
  const void* data = nullptr;  // 16-byte aligned
  CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  int64_t element_bytes = 2;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t pitch = 0;     // bytes from row to row, a multiple of 16
  int64_t box_rows = 0;  // at most 256
};

using EncodeTiled = decltype(&cuTensorMapEncodeTiled);

inline EncodeTiled encode_tiled() {
  static const EncodeTiled kFound = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found{};
    const cudaError_t error =
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
    if (error != cudaSuccess || found != cudaDriverEntryPointSuccess) function = nullptr;
    return reinterpret_cast<EncodeTiled>(function);
  }();
  return kFound;
}

// Null, or the error's text.
inline const char* encode_map(const ArrayDesc& array, CUtensorMap& map) {
  const EncodeTiled encode = encode_tiled();
  if (encode == nullptr) return "the driver has no cuTensorMapEncodeTiled; CUDA 12 or newer is needed";
  const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(array.columns), static_cast<cuuint64_t>(array.rows)};
  const cuuint64_t strides[1] = {static_cast<cuuint64_t>(array.pitch)};
  const cuuint32_t box[2] = {static_cast<cuuint32_t>(128 / array.element_bytes),
                             static_cast<cuuint32_t>(array.box_rows)};
  const cuuint32_t steps[2] = {1, 1};
  const CUresult result = encode(&map, array.type, 2, const_cast<void*>(array.data), sizes, strides, box, steps,
                                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? nullptr : "cuTensorMapEncodeTiled refused an array's shape or alignment";
}

// Arrays of bf16 [planes][rows][columns] without gaps, read in boxes of box_planes x box_rows rows of 64 columns, with
// 128-byte swizzle.
struct PlanesDesc {
  const void* data = nullptr;  // 16-byte aligned
  int64_t rows = 0;
  int64_t columns = 0;  // a multiple of 8
  int64_t planes = 0;
  int64_t box_rows = 0;
  int64_t box_planes = 0;
};

// Null, or the error's text.
inline const char* encode_map(const PlanesDesc& array, CUtensorMap& map) {
  const EncodeTiled encode = encode_tiled();
  if (encode == nullptr) return "the driver has no cuTensorMapEncodeTiled; CUDA 12 or newer is needed";
  const auto pitch = static_cast<cuuint64_t>(array.columns * 2);
  const cuuint64_t sizes[3] = {static_cast<cuuint64_t>(array.columns), static_cast<cuuint64_t>(array.rows),
                               static_cast<cuuint64_t>(array.planes)};
  const cuuint64_t strides[2] = {pitch, pitch * sizes[1]};
  const cuuint32_t box[3] = {64, static_cast<cuuint32_t>(array.box_rows), static_cast<cuuint32_t>(array.box_planes)};
  const cuuint32_t steps[3] = {1, 1, 1};
  const CUresult result = encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, const_cast<void*>(array.data), sizes,
                                 strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? nullptr : "cuTensorMapEncodeTiled refused an array's shape or alignment";
}

// An array of 32-bit words [planes][rows][columns], read in boxes; rows of 128 bytes with 128-byte swizzle, others as
// they are.
struct WordsDesc {
  const void* data = nullptr;  // 16-byte aligned
  int64_t columns = 0;
  int64_t rows = 0;
  int64_t planes = 1;
  int64_t pitch = 0;        // bytes from row to row, a multiple of 16
  int64_t plane_pitch = 0;  // likewise, of planes
  int64_t box_columns = 0;
  int64_t box_rows = 0;
  int64_t box_planes = 0;  // 0: an array of two dimensions
};

// Null, or the error's text.
inline const char* encode_map(const WordsDesc& array, CUtensorMap& map) {
  const EncodeTiled encode = encode_tiled();
  if (encode == nullptr) return "the driver has no cuTensorMapEncodeTiled; CUDA 12 or newer is needed";
  const cuuint64_t sizes[3] = {static_cast<cuuint64_t>(array.columns), static_cast<cuuint64_t>(array.rows),
                               static_cast<cuuint64_t>(array.planes)};
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(array.pitch), static_cast<cuuint64_t>(array.plane_pitch)};
  const cuuint32_t box[3] = {static_cast<cuuint32_t>(array.box_columns), static_cast<cuuint32_t>(array.box_rows),
                             static_cast<cuuint32_t>(array.box_planes)};
  const cuuint32_t steps[3] = {1, 1, 1};
  const auto swizzle =
      array.box_columns * 4 == 128 && array.box_planes > 0 ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE;
  const CUresult result =
      encode(&map, CU_TENSOR_MAP_DATA_TYPE_UINT32, array.box_planes > 0 ? 3 : 2, const_cast<void*>(array.data), sizes,
             strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? nullptr : "cuTensorMapEncodeTiled refused an array's shape or alignment";
}

}  // namespace cove::cuda::hopper

#!/bin/sh
# kv_speed.sh [FOLDER]: builds tests/gpu/kv_speed into FOLDER (default build/gpu) and runs it. Needs nvcc and g++; no other library.
# Exit status 77 without a GPU.
set -eu
cd "$(dirname "$0")/../.."
folder=${1:-build/gpu}
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
mkdir -p "$folder"
"$nvcc" -std=c++20 -O3 -DNDEBUG -fmad=false --expt-relaxed-constexpr --Werror all-warnings -gencode=arch=compute_80,code=[sm_80,compute_80] \
  -gencode=arch=compute_90a,code=sm_90a -Isrc -Itests/gpu src/backends/cuda/kernels/decode_attention.cu src/backends/cuda/kernels/rows.cu \
  src/backends/cuda/plan/attention_plan.cc src/base/check.cc tests/gpu/kv_speed.cu -o "$folder/kv_speed"
exec "$folder/kv_speed"

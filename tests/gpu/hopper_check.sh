#!/bin/sh
# hopper_check.sh [FOLDER] [ARGS...]: builds tests/gpu/hopper_check into FOLDER (default build/hopper), all files at once,
# prints what the compiler says of registers and spills, and runs it with ARGS. Needs nvcc 12 or newer and g++; no other library. With
# COVE_HOPPER_WATCH=1 a wait in a kernel that never ends becomes an error, at the cost of speed; the whole run ends after COVE_CHECK_SECONDS (300).
set -eu
cd "$(dirname "$0")/../.."
folder=${1:-build/hopper}
[ $# -gt 0 ] && shift
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
mkdir -p "$folder"
flags="-std=c++20 -O3 -lineinfo -fmad=false --expt-relaxed-constexpr -gencode=arch=compute_90a,code=sm_90a -Isrc -Itests/gpu ${COVE_HOPPER_WATCH:+-DCOVE_HOPPER_WATCH}"
failed=$folder/failed
rm -f "$failed"
objects=
for file in src/backends/cuda/hopper/*.cu tests/gpu/hopper_check*.cu src/backends/cuda/kernels/pack.cu src/backends/cuda/plan/weight_layout.cc \
  src/backends/cuda/hopper/plan/gemm_plan.cc src/backends/cuda/hopper/plan/panel_plan.cc src/backends/cuda/hopper/gemm.cc src/backends/cuda/hopper/panel_gemm.cc \
  src/base/check.cc; do
  object=$folder/$(basename "$file").o
  objects="$objects $object"
  # shellcheck disable=SC2086
  { "$nvcc" $flags -Xptxas -v -c "$file" -o "$object" >"$object.log" 2>&1 || { cat "$object.log"; touch "$failed"; }; } &
done
wait
[ -e "$failed" ] && exit 1
cat "$folder"/*.log | grep -E 'warning|C75|bytes spill (stores|loads)' | grep -v ' 0 bytes spill stores, 0 bytes spill loads' || true
# shellcheck disable=SC2086
"$nvcc" -gencode=arch=compute_90a,code=sm_90a $objects -o "$folder/hopper_check"
exec timeout "${COVE_CHECK_SECONDS:-300}" "$folder/hopper_check" "$@"

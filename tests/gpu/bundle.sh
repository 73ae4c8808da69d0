#!/bin/sh
# bundle.sh: for a GPU machine without Cove's libraries: puts the built programs, and the shared libraries that they need, into
# build/gpu-bundle and build/gpu-bundle.tar.xz, one of which is to be copied into build/ there. The machine needs the same or a newer glibc.
set -eu
cd "$(dirname "$0")/../.."
bundle=build/gpu-bundle
tools/build.sh cuda cove_cuda_test cove_golden_cuda_test cove
rm -rf "$bundle"
mkdir -p "$bundle/lib" "$bundle/bin"
for program in cove cove_cuda_test cove_golden_cuda_test; do
  strip -o "$bundle/bin/$program" "build/cuda/$program"
  # Started through a script, so that the machine's own programs do not meet these libraries.
  printf '#!/bin/sh\nhere=$(dirname "$0")\nLD_LIBRARY_PATH=$here/lib exec "$here/bin/%s" "$@"\n' "$program" >"$bundle/$program"
  chmod +x "$bundle/$program"
  # Everything but the C library and the loader, which belong to the machine.
  ldd "build/cuda/$program" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | grep -vE '/(libc|libm|libdl|librt|libpthread|ld-linux[^/]*)\.so' |
    while read -r library; do cp -nL "$library" "$bundle/lib/"; done
done
# Those that need no library of ours; without a GPU they say so and end with 77.
tests/gpu/hopper_check.sh build/hopper >/dev/null || [ $? = 77 ]
tests/gpu/sample_speed.sh build/sample >/dev/null || [ $? = 77 ]
tests/gpu/kv_speed.sh build/kv >/dev/null || [ $? = 77 ]
strip -o "$bundle/hopper_check" build/hopper/hopper_check
strip -o "$bundle/sample_speed" build/sample/sample_speed
strip -o "$bundle/kv_speed" build/kv/kv_speed
tar -C build -c gpu-bundle | xz -T0 -2 >build/gpu-bundle.tar.xz
du -sh "$bundle" build/gpu-bundle.tar.xz

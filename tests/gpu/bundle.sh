#!/bin/sh
# bundle.sh: for a GPU machine without Cove's libraries: puts the built programs and the shared libraries that they need into
# build/gpu-bundle, to be copied there beside the repository. The machine needs the same or a newer glibc.
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
du -sh "$bundle"

#!/bin/sh
# What `make test` and CI run: installs what is missing, unpacks the test data, builds every preset that has tests, and runs all
# tests as one ctest, whose summary is the last thing printed.
#   dev      every unit test, with ASan and UBSan; the house rules (layers, formatting)
#   tsan     the tests of threads, with ThreadSanitizer
#   fuzz     every fuzzer for a few seconds, from its committed seeds
#   trainer  the tests of cove-train (LibTorch)
#   release  the end-to-end tests, against the program that users run
#   cuda     the tests of the CUDA backend, where there is nvcc; without a GPU they are compiled and skipped
# COVE_SETS="dev release" runs only those. The time each part took is printed before the tests.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
sets=${COVE_SETS:-dev tsan fuzz trainer release cuda}
has() { case " $sets " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }
say() { tools/say.sh "$@"; }

groups="build test format"
has fuzz && groups="$groups fuzz"
has trainer && [ -f trainer/CMakeLists.txt ] && groups="$groups trainer"
# shellcheck disable=SC2086
tools/install_deps.sh $groups

# Real data that others wrote is not part of this repository; tests that need it are skipped where it is missing (in CI they fail).
if [ -z "${COVE_TESTDATA:-}" ]; then
  COVE_TESTDATA=$root/build/testdata
  if [ -x ../shared/testdata/unpack.sh ]; then
    say "unpacking test data into build/testdata"
    ../shared/testdata/unpack.sh "$COVE_TESTDATA" >/dev/null
  else
    say "no ../shared/testdata and no COVE_TESTDATA: the tests that need real data are skipped"
  fi
fi
export COVE_TESTDATA

# The list of one ctest run: one folder of test lists after the other.
mkdir -p build/all
list=build/all/CTestTestfile.cmake
: >"$list.new"
add_tests() { [ -f "$1/CTestTestfile.cmake" ] && printf 'subdirs("%s")\n' "$root/$1" >>"$list.new" || true; }

if has release; then
  tools/build.sh release cove
  if [ -f tests/e2e/package-lock.json ] && [ tests/e2e/package-lock.json -nt tests/e2e/node_modules/.package-lock.json ]; then
    say "installing the npm packages of tests/e2e"
    (cd tests/e2e && npm ci --no-audit --no-fund --loglevel=error </dev/null) || {
      say "npm could not install them. Next: check the network, then: cd tests/e2e && npm ci"
      exit 1
    }
  fi
  add_tests build/release
fi
if has dev; then
  tools/build.sh dev
  add_tests build/dev
fi
if has tsan; then
  tools/build.sh tsan cove_tests
  add_tests build/tsan
fi
if has fuzz; then
  tools/build.sh fuzz cove_fuzzers
  add_tests build/fuzz
fi
if has trainer && [ -f trainer/CMakeLists.txt ]; then
  tools/build.sh trainer trainer/all
  add_tests build/trainer
fi
if has cuda; then
  if command -v nvcc >/dev/null 2>&1 || [ -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ]; then
    tools/build.sh cuda cove_cuda_test cove_golden_cuda_test
    add_tests build/cuda
  else
    say "cuda: skipped: no nvcc (dev runs the same kernels in the emulator)"
  fi
fi
mv "$list.new" "$list"

jobs=$(nproc)
[ "$jobs" -gt 8 ] && jobs=8
say "running every test with $jobs jobs"
status=0
ctest --test-dir build/all --output-on-failure --no-tests=error -j "$jobs" </dev/null || status=$?
[ "$status" = 0 ] || say "tests failed. Next, one of them alone: ctest --test-dir build/all --output-on-failure -R NAME"
exit "$status"

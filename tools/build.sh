#!/bin/sh
# build.sh PRESET [TARGET...]: configures build/PRESET when needed and builds the targets (default: all), with as many compilers as
# cores and memory allow.
set -eu
cd "$(dirname "$0")/.."
preset=$1
shift
started=$(date +%s)
jobs=$(tools/jobs.sh)
if [ ! -f "build/$preset/build.ninja" ] || [ ! -f "build/$preset/configure.log" ] || [ CMakePresets.json -nt "build/$preset/configure.log" ]; then
  tools/say.sh "configuring build/$preset"
  mkdir -p "build/$preset"
  if ! cmake --preset "$preset" >"build/$preset/configure.log" 2>&1; then
    tail -n 30 "build/$preset/configure.log" >&2
    tools/say.sh "configuring failed (all of it: build/$preset/configure.log). Next: make deps, then rm -rf build/$preset and try again"
    touch -d @0 "build/$preset/configure.log"  # so that the next call configures again
    exit 1
  fi
fi
tools/say.sh "building build/$preset with $jobs jobs"
if ! cmake --build "build/$preset" -j "$jobs" ${1:+--target "$@"} >&2; then
  tools/say.sh "the build failed; the first error above says where. Next, after mending it: tools/build.sh $preset $*"
  exit 1
fi
tools/say.sh "built build/$preset in $(($(date +%s) - started)) s"

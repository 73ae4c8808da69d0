#!/bin/sh
# run_one.sh PROGRAM NAME: runs one libFuzzer program for $COVE_FUZZ_SECONDS (5) on the committed seeds of tests/fuzz/corpus/NAME
# and on what earlier runs found (build/fuzz/corpus/NAME). A crash prints the command that reproduces it.
set -eu
program=$1
name=$2
found=build/fuzz/corpus/$name
mkdir -p "$found" "build/fuzz/crashes"
seeds=tests/fuzz/corpus/$name
[ -d "$seeds" ] || seeds=
# shellcheck disable=SC2086
if ! "$program" -max_total_time="${COVE_FUZZ_SECONDS:-5}" -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 \
  -artifact_prefix="build/fuzz/crashes/$name-" "$found" $seeds 2>"$found.log"; then
  tail -n 60 "$found.log"
  echo "Next: $program build/fuzz/crashes/$name-..."
  exit 1
fi
grep -E 'stat::(number_of_executed_units|average_exec_per_sec)|DONE|Done' "$found.log" || true

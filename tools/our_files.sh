#!/bin/sh
# Lists the C++ files that are ours, one a line: what clang-format and clang-tidy look at.
cd "$(dirname "$0")/.."
for folder in src apps trainer tests tools; do
  [ -d "$folder" ] && find "$folder" -name node_modules -prune -o -type f \( -name '*.cc' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' \) -print
done | LC_ALL=C sort

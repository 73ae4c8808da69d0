#!/bin/sh
# Every C++ file of ours is as clang-format 19 writes it. Skipped (77) where clang-format-19 is missing, but not in CI.
cd "$(dirname "$0")/../.." || exit 1
if ! command -v clang-format-19 >/dev/null; then
  echo "clang-format-19 is not installed. Next: tools/install_deps.sh format"
  [ "${CI:-}" = true ] && exit 1
  exit 77
fi
tools/our_files.sh | xargs clang-format-19 --dry-run --Werror 2>&1 | grep 'error:' | cut -d: -f1 | sort | uniq -c |
  { found=0; while read -r count file; do found=1; echo "$file: $count places"; done
    [ $found = 0 ] || { echo "Next: make format"; exit 1; }; }

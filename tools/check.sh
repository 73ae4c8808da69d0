#!/bin/sh
# check.sh [--all]: formatting, house rules, and clang-tidy on the files changed since the main branch's last commit (--all: every file).
set -eu
cd "$(dirname "$0")/.."
tools/install_deps.sh build test format tidy
tools/build.sh dev check_house
status=0
tools/say.sh "formatting"
tests/layers/check_format.sh || status=1
tools/say.sh "layers, house rules, links of the documents"
build/dev/check_house . || status=1
tests/layers/check_docs.sh || status=1
if [ "${1:-}" = --all ]; then
  files=$(tools/our_files.sh | grep '\.cc$' || true)
else
  files=$({ git diff --name-only HEAD; git ls-files --others --exclude-standard; } | grep '\.cc$' || true)
fi
# Only what the dev preset compiles has a command line that clang-tidy can use.
known=""
for file in $files; do
  grep -qF "$PWD/$file\"" build/dev/compile_commands.json && known="$known $file"
done
if [ -n "$known" ]; then
  tools/say.sh "clang-tidy:$known"
  # shellcheck disable=SC2086
  printf '%s\n' $known | xargs -P "$(tools/jobs.sh)" -n 1 clang-tidy-19 -p build/dev --quiet --extra-arg=-Wno-unknown-warning-option || status=1
fi
[ "$status" = 0 ] && tools/say.sh "everything is in order" || tools/say.sh "not in order; see above. Next: make format, then make check"
exit "$status"

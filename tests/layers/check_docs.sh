#!/bin/sh
# Every relative link of every page leads somewhere, and the runbook explains every error code of api/errors.def.
cd "$(dirname "$0")/../.." || exit 1
problems=$(
  find . -name '*.md' -not -path './build/*' -not -path '*/node_modules/*' -not -path './.*' | while read -r page; do
    grep -o ']([^)]*)' "$page" | sed 's/^](//; s/)$//; s/#.*//' | grep -v -E '^$|^[a-z]+:' | while read -r link; do
      [ -e "$(dirname "$page")/$link" ] || echo "${page#./}: the link to $link leads nowhere"
    done
  done
  sed -n 's/^COVE_API_ERROR([^,]*, *[0-9]*, *"[^"]*", *"\([^"]*\)".*/\1/p' api/errors.def | while read -r code; do
    grep -qF "\`$code\`" docs/operations/runbook.md || echo "docs/operations/runbook.md: does not explain the error code $code"
  done
)
[ -z "$problems" ] && exit 0
echo "$problems"
exit 1

#!/bin/sh
# not_yet.sh TARGET WHY NEXT: says in one line what is missing and what to run instead; always fails.
printf '[cove] make %s: %s. Next: %s\n' "$1" "$2" "$3" >&2
exit 1

#!/bin/sh
# One line of progress on standard error, in one shape: "[cove] message".
printf '[cove] %s\n' "$*" >&2

#!/bin/sh
# Prints how many compilers may run at once: $COVE_JOBS, else the cores, but at least 1.5 GB of memory for each.
[ -n "${COVE_JOBS:-}" ] && { echo "$COVE_JOBS"; exit 0; }
cores=$(nproc)
kib=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)
limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)
[ "$limit" != max ] && [ $((limit / 1024)) -lt "$kib" ] && kib=$((limit / 1024))
jobs=$((kib / 1536000))
[ "$jobs" -gt "$cores" ] && jobs=$cores
[ "$jobs" -lt 1 ] && jobs=1
echo "$jobs"

#!/bin/sh
# run.sh [OUT]: on a machine with an NVIDIA GPU: build, check, measure, and print one table. Under ten minutes on 16 cores.
#   1 build    presets cuda (tests) and release (cove), or what tests/gpu/bundle.sh brought along where libraries are missing
#   2 check    the Hopper kernels alone, with their speeds (hopper_check.sh); sampling's speed (sample_speed.sh), decode attention's over caches in bf16 and fp8 (kv_speed.sh); conformance suite, golden logits and 256 greedy steps against the reference backend, logits and
#            256 greedy steps against transformers (tools/gpu_oracle.py), cove-mini's exercises on GPU and CPU, memcheck of the suite
#   3 measure  cove bench on random weights of the R1-Distill-Qwen-7B shape, each format; ceilings in the same runs
#   4 serve    cove-mini and the 7B shape over HTTP: time to first token when idle, 64 clients, 64 of which a third walk away (load_cancels.py), and
#              for 7B the highest rate of Poisson arrivals (512 tokens in, 256 out) with p99 TTFT below 500 ms and p99 TPOT below 50 ms
# Everything it prints also goes to OUT (default: build/gpu). Exit code 1 when a check failed.
set -u
cd "$(dirname "$0")/../.."
out=${1:-build/gpu}
mkdir -p "$out"
failed=0
started=$(date +%s)
say() { printf '[gpu %4d s] %s\n' $(($(date +%s) - started)) "$*"; }
step() { # step NAME SECONDS COMMAND...: runs it with a time limit, keeps its output, says how it went
  name=$1; limit=$2; shift 2
  if timeout "$limit" "$@" >"$out/$name.log" 2>&1; then
    say "$name: ok"
  else
    say "$name: FAILED (code $?); the end of $out/$name.log:"
    tail -n 15 "$out/$name.log"
    failed=1
    return 1
  fi
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || { say "no GPU here"; exit 1; }

# --- 1 build ---
bundle=build/gpu-bundle
[ -f $bundle.tar.xz ] && [ ! -d $bundle ] && python3 -W ignore -m tarfile -e $bundle.tar.xz build
if [ -x "$bundle/cove" ]; then
  cove=$bundle/cove conformance=$bundle/cove_cuda_test golden=$bundle/cove_golden_cuda_test
  say "using $bundle"
else
  step build 400 sh -c 'COVE_SKIP_DEPS=1; export COVE_SKIP_DEPS; tools/build.sh cuda cove_cuda_test cove_golden_cuda_test cove' || exit 1
  cove=build/cuda/cove conformance=build/cuda/cove_cuda_test golden=build/cuda/cove_golden_cuda_test
fi

# --- 2 check ---
if [ -x "$bundle/hopper_check" ]; then
  step hopper 100 "$bundle/hopper_check"
  step sampling 30 "$bundle/sample_speed"
  step kv 30 "$bundle/kv_speed"
else
  step hopper 240 env COVE_CHECK_SECONDS=180 tests/gpu/hopper_check.sh "$out/hopper"
  step sampling 60 tests/gpu/sample_speed.sh "$out"
  step kv 90 tests/gpu/kv_speed.sh "$out"
fi
step conformance 120 "$conformance"
step golden 120 "$golden"
# transformers as the oracle: small random models of each family, logits and 256 greedy steps.
if python3 -c 'import torch, transformers' 2>/dev/null; then
  step oracle 150 python3 tools/gpu_oracle.py --cove "$cove" --device cuda
else
  say "no python3 with torch and transformers: the oracle is skipped"
fi
# The shipped model's exercises, on both devices.
if [ -f models/cove-mini/config.json ]; then
  for device in cuda cpu; do step "tasks_$device" 60 "$cove" eval models/cove-mini --device $device; done
fi
if command -v compute-sanitizer >/dev/null 2>&1; then
  step memcheck 120 compute-sanitizer --target-processes all --error-exitcode 9 "$conformance"
  # Races between the threads of a block: every kind of kernel once.
  step racecheck 90 compute-sanitizer --tool racecheck --target-processes all --error-exitcode 9 "$conformance" \
    --gtest_filter='*rms_norm_matches*fast:*sample*fast:*stacks_parts*fast:*every_group_size*fast:*swiglu*fast:*copy_page*fast'
  grep -q 'Running 0 tests' "$out/racecheck.log" && { say "racecheck: no test has such a name"; failed=1; }
else
  say "no compute-sanitizer: memcheck and racecheck are skipped"
fi

# --- 3 measure ---
shape=R1-Distill-Qwen-7B
bench() { # bench NAME FORMAT ARGS...
  name=$1; format=$2; shift 2
  step "bench_$name" 60 "$cove" bench --device cuda --shape $shape --format "$format" "$@"
}
for format in bf16 fp8 int8; do bench "long_$format" $format --prefill 4096 --decode 16 --batch 1; done
for kv in bf16 fp8; do bench "kv_$kv" bf16 --kv-format $kv --prefill 4096 --decode 16 --batch 32; done
for format in bf16 fp8 int8 w4a16 q8_0 q4_0; do bench $format $format --prefill 128 --decode 64 --batch 1,8,32,128; done

# --- 4 serve ---
url=http://127.0.0.1:18080
serve() { # serve NAME MODEL [FORMAT]: one client, 64 clients, 64 clients a third of which walk away; cove bench --url says how many failed
  COVE_AUTH_MODE=off COVE_ENGINE_WEIGHT_FORMAT=${3:-auto} "$cove" serve --device cuda --model "$2" --port 18080 --data "$out/data_$1" >"$out/serve_$1.log" 2>&1 &
  pid=$!
  i=0
  while [ $i -lt 60 ] && ! curl -fs $url/readyz >/dev/null 2>&1; do sleep 1; i=$((i + 1)); done
  step "ttft_$1" 30 "$cove" bench --url $url --concurrency 1 --requests 20 --prompt-tokens 512 --max-tokens 64
  step "load_$1" 60 "$cove" bench --url $url --concurrency 64 --requests 256 --prompt-words 256 --max-tokens 128
  command -v python3 >/dev/null 2>&1 && step "cancels_$1" 60 python3 tests/gpu/load_cancels.py --url $url --clients 64 --requests 256
  [ "$1" = 7b ] && step "rate_$1" 120 "$cove" bench --url $url --find-rate --rate 16 --trial-s 8 --prompt-tokens 512 --max-tokens 256
  kill -TERM $pid 2>/dev/null
  wait $pid || { say "serve_$1: ended with code $?, see $out/serve_$1.log"; failed=1; }
}
[ -f models/cove-mini/config.json ] && serve mini models/cove-mini
if step random_model 120 "$cove" model random "$out/7b.gguf" --shape 7b --type bf16; then
  serve 7b "$out/7b.gguf"
  rm -f "$out/7b.gguf"
fi

# --- the table ---
{
  printf '\n%s\n' "$(nvidia-smi --query-gpu=name --format=csv,noheader), $(date -u +%F), $shape, random weights"
  for format in long_bf16 long_fp8 long_int8 kv_bf16 kv_fp8 bf16 fp8 int8 w4a16 q8_0 q4_0; do
    printf '\n--- %s\n' $format
    grep -E 'phase|prefill|decode|before|after|loaded' "$out/bench_$format.log" 2>/dev/null
  done
  [ -f "$out/oracle.log" ] && { printf '\n--- against transformers\n'; cat "$out/oracle.log"; }
  for device in cuda cpu; do
    [ -f "$out/tasks_$device.log" ] && { printf '\n--- exercises of cove-mini, %s\n' $device; cat "$out/tasks_$device.log"; }
  done
  [ -f "$out/hopper.log" ] && { printf '\n--- Hopper kernels\n'; grep -v '^next' "$out/hopper.log"; }
  [ -f "$out/kv.log" ] && { printf '\n--- decode attention over both caches\n'; cat "$out/kv.log"; }
  [ -f "$out/sampling.log" ] && { printf '\n--- drawing tokens\n'; cat "$out/sampling.log"; }
  for name in mini 7b; do
    for part in ttft load cancels rate; do
      [ -f "$out/${part}_$name.log" ] && { printf '\n--- served: %s, %s\n' $name $part; tail -n 20 "$out/${part}_$name.log"; }
    done
  done
} | tee "$out/table.txt"
[ $failed = 0 ] && say "all checks passed" || say "checks FAILED, see above"
exit $failed

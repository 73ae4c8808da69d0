#!/usr/bin/env python3
"""Compare what `cove` computes with Hugging Face transformers, on this machine's GPU (or CPU).

    python3 tools/gpu_oracle.py --cove build/cuda/cove [--device cuda]
    python3 tools/gpu_oracle.py --cove build/release/cove --device cpu --golden tests/golden/models

The first form needs torch and transformers (made for torch 2.11, transformers 5.17). It writes small random models of each
family into a temporary folder as bf16 safetensors, has transformers compute their logits in float32 (of the same bf16
weights) and greedy tokens, and asks `cove eval --logits` for the same. Printed for each prompt, one line:

    error      |cove - float32| / |float32| over the logits of all positions asked for; must not be above --tolerance
    theirs     the same of transformers' own forward in bf16, to see what that precision costs anybody
    greedy     at how many of the greedy steps cove would choose another token. Both follow the float32 tokens, so one
               difference does not bring the next. A difference is a tie when the float32 logits of the two tokens are
               closer than 4 tolerance rms(logits), which is what two logits that far off can differ by; the largest such gap
               is printed. Anything else fails, and so do ties at more than an eighth of the steps.

The second form needs no package: it compares with what tools/make_goldens.py wrote. Exit code 1 when a check failed.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile

STEPS = 256
LENGTHS = [7, 300, 1200]
CONTEXT = 2048

PLAIN = {"rope_type": "default"}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 256}
COMMON = dict(layers=4, theta=1000000.0, rope=PLAIN, dtype="bfloat16", context=CONTEXT, vocab=4096, spread=0.05,
              sharpness=0.125)
# Matrices deviate by 0.02, as published models are initialised, so that bf16 costs transformers itself 0.006 and not twice
# that; attention scores still by about one. Groups of 1 to 7 query heads, heads of 64 and 128 dimensions, odd feed-forward and vocabulary sizes.
MODELS = {
    "qwen2_g7_d64": dict(COMMON, type="qwen2", hidden=448, heads=7, kv=1, ffn=1216, tied=True),
    "qwen2_g1_d128": dict(COMMON, type="qwen2", hidden=512, heads=4, kv=4, ffn=1408, tied=False),
    "qwen2_g2_d64": dict(COMMON, type="qwen2", hidden=384, heads=6, kv=3, ffn=1000, tied=False, vocab=4099),
    "llama_g4_d64": dict(COMMON, type="llama", hidden=512, heads=8, kv=2, head_dim=64, ffn=1376, tied=False, rope=LLAMA3,
                         theta=500000.0),
    "llama_g3_d128": dict(COMMON, type="llama", hidden=384, heads=3, kv=1, head_dim=128, ffn=1024, tied=True, bias=True,
                          theta=10000.0),
    "qwen3_g5_d64": dict(COMMON, type="qwen3", hidden=320, heads=10, kv=2, head_dim=64, ffn=896, tied=True),
    "qwen3_g6_d128": dict(COMMON, type="qwen3", hidden=256, heads=6, kv=1, head_dim=128, ffn=768, tied=False),
}


def norm(rows):
    return math.sqrt(math.fsum(value * value for row in rows for value in row))


def relative_error(got, wanted):
    """|got - wanted| / |wanted| over rows of logits."""
    assert len(got) == len(wanted) and all(len(a) == len(b) for a, b in zip(got, wanted)), "not the same shape"
    return norm([[a - b for a, b in zip(x, y)] for x, y in zip(got, wanted)]) / norm(wanted)


def ask_cove(options, model, requests):
    """The answers of `cove eval MODEL --logits`, in the order of the requests."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for request in requests:
            file.write(json.dumps(request) + "\n")
        file.flush()
        command = [options.cove, "eval", model, "--logits", file.name, "--device", options.device]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed ({done.returncode}): {done.stderr.strip()[-2000:]}")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(requests), f"{len(answers)} answers to {len(requests)} requests"
    return answers


class Table:
    """Prints a line for each prompt and remembers what failed."""

    def __init__(self):
        self.failed = 0
        self.prompts = 0
        self.worst = 0.0
        print(f"{'model':16} {'prompt':>6} {'error':>9} {'theirs':>9} {'steps':>6} {'ties':>5} {'gap':>7}  verdict")

    def add(self, model, length, error, theirs, tolerance, greedy):
        """greedy: (steps, gaps of ties, descriptions of real differences)"""
        steps, ties, wrong = greedy
        problems = list(wrong)
        if not error <= tolerance:
            problems.insert(0, f"error above {tolerance:g}")
        if len(ties) > steps // 8:
            problems.append("too many to be ties")
        self.prompts += 1
        self.failed += bool(problems)
        self.worst = max(self.worst, error)
        their_text = "" if theirs is None else f"{theirs:.6f}"
        gap = f"{max(ties):.4f}" if ties else ""
        verdict = "ok" if not problems else "FAILED: " + "; ".join(problems[:3])
        print(f"{model:16} {length:6} {error:9.6f} {their_text:>9} {steps:6} {len(ties):5} {gap:>7}  {verdict}", flush=True)

    def end(self, what):
        print(f"{what}: {self.prompts} prompts, {self.failed} failed, largest error {self.worst:.6f}")
        return 1 if self.failed else 0


# --- against the committed goldens ---


def compare_greedy(answer, wanted, tie):
    """Of the golden only the tokens are known, so cove's own lead says what is a tie; in logits."""
    ties, wrong = [], []
    for step, (got, token, gap) in enumerate(zip(answer["greedy"], wanted, answer["gaps"])):
        if got == token:
            continue
        if gap <= tie:
            ties.append(gap)
        else:
            wrong.append(f"step {step}: {got} instead of {token}, ahead by {gap:.4f}")
    return len(wanted), ties, wrong


def run_golden(options):
    table = Table()
    names = sorted(name for name in os.listdir(options.golden)
                   if os.path.exists(os.path.join(options.golden, name, "golden.json")))
    if not names:
        raise SystemExit(f"{options.golden}: no folder with a golden.json")
    for name in names:
        directory = os.path.join(options.golden, name)
        with open(os.path.join(directory, "golden.json"), encoding="utf-8") as file:
            prompts = json.load(file)["prompts"]
        # These models are tiny, 64 wide: rounding weights and activations to bf16 costs them more than larger ones.
        exact = options.device == "cpu" and not name.endswith("bf16")
        tolerance = 1e-4 if exact else 2e-2
        answers = ask_cove(options, directory, [
            {"ids": p["ids"], "positions": p["positions"], "follow": p["greedy"]} for p in prompts])
        for prompt, answer in zip(prompts, answers):
            wanted = prompt["logits"] + [prompt["logits_after_greedy"]]
            error = relative_error(answer["logits"] + [answer["last"]], wanted)
            rms = norm(wanted) / math.sqrt(sum(len(row) for row in wanted))
            table.add(name, prompt["length"], error, None, tolerance,
                      compare_greedy(answer, prompt["greedy"], 0.0 if exact else 4 * tolerance * rms))
    return table.end(f"cove on {options.device} against the goldens")


# --- against transformers, here and now ---


def positions_of(length):
    """Beginnings, ends and the surroundings of what kernels cut prompts into."""
    wanted = {0, 1, 15, 16, 63, 64, 127, 128, 255, 256, 299, 511, 512, 767, 1023, 1024, length // 2, length - 2, length - 1}
    return sorted(p for p in wanted if 0 <= p < length)


def forward(torch, network, device, ids):
    """Logits [len(ids), vocab], float32."""
    with torch.inference_mode():
        return network(torch.tensor([ids], device=device), use_cache=False).logits[0].float()


def greedy(torch, network, device, prompt):
    """Logits of the prompt, and STEPS greedy steps after it.

    Returns (rows [len(prompt), vocab], tokens, rows [STEPS + 1, vocab]: row i chose tokens[i])."""
    with torch.inference_mode():
        out = network(torch.tensor([prompt], device=device), use_cache=True)
        rows = out.logits[0].float()
        steps, tokens = [rows[-1]], []
        for _ in range(STEPS):
            tokens.append(int(steps[-1].argmax()))
            out = network(torch.tensor([[tokens[-1]]], device=device), past_key_values=out.past_key_values, use_cache=True)
            steps.append(out.logits[0, -1].float())
        return rows, tokens, torch.stack(steps)


def judge_steps(answer, tokens, steps, tolerance):
    ties, wrong = [], []
    for step, (got, token) in enumerate(zip(answer["greedy"], tokens)):
        if got == token:
            continue
        row = steps[step]
        gap = float(row[token] - row[got])
        if gap <= 4 * tolerance * float(row.square().mean().sqrt()):
            ties.append(gap)
        else:
            wrong.append(f"step {step}: {got} instead of {token}, which leads by {gap:.4f}")
    return len(tokens), ties, wrong


def run_model(options, table, goldens, name, model, folder):
    import torch
    directory = os.path.join(folder, name)
    os.makedirs(directory)
    network_class, _ = goldens.save_model(name, model, directory)
    load = lambda dtype: network_class.from_pretrained(
        directory, attn_implementation="eager", dtype=dtype).to(options.device).eval()
    exact, rounded = load(torch.float32), load(torch.bfloat16)
    goldens.check_inv_freq(name, model, exact)
    generator = torch.Generator().manual_seed(goldens.SEED)
    cases = []
    for length in LENGTHS:
        prompt = torch.randint(0, model["vocab"], (length,), generator=generator).tolist()
        rows, tokens, steps = greedy(torch, exact, options.device, prompt)
        positions = positions_of(length)
        wanted = torch.cat([rows[positions], steps[-1:]])
        theirs = forward(torch, rounded, options.device, prompt + tokens)[positions + [-1]]
        cases.append((prompt, positions, tokens, steps, wanted, float((theirs - wanted).norm() / wanted.norm())))
    answers = ask_cove(options, directory, [
        {"ids": prompt, "positions": positions, "follow": tokens} for prompt, positions, tokens, *_ in cases])
    for (prompt, _, tokens, steps, wanted, theirs), answer in zip(cases, answers):
        got = torch.tensor(answer["logits"] + [answer["last"]], device=options.device)
        error = float((got - wanted).norm() / wanted.norm())
        table.add(name, len(prompt), error, theirs, options.tolerance,
                  judge_steps(answer, tokens, steps, options.tolerance))


def run_oracle(options):
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    sys.dont_write_bytecode = True
    import make_goldens as goldens
    import torch
    torch.set_float32_matmul_precision("highest")  # no TF32: this is the reference
    print(f"torch {torch.__version__}, transformers {goldens.transformers.__version__}, device {options.device}")
    names = options.models.split(",") if options.models else list(MODELS)
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        raise SystemExit(f"no such model: {', '.join(unknown)}; there are {', '.join(MODELS)}")
    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            run_model(options, table, goldens, name, MODELS[name], folder)
    return table.end(f"cove on {options.device} against transformers")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cove", default="build/release/cove", help="the program (default: build/release/cove)")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tolerance", type=float, default=1e-2, help="largest relative error of the logits (default: 0.01)")
    parser.add_argument("--models", help="some of: " + ",".join(MODELS))
    parser.add_argument("--golden", metavar="DIR", help="compare with the goldens there instead; needs no package")
    options = parser.parse_args()
    return run_golden(options) if options.golden else run_oracle(options)


if __name__ == "__main__":
    sys.exit(main())

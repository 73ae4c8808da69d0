#!/usr/bin/env python3
"""Answer held-out tasks through a running server, for `cove-train score`.

    cove-train data heldout --model models/cove-mini --out OUT --per-task 100
    python3 tools/score_model.py --url http://127.0.0.1:8080 --tasks OUT/tasks.jsonl --out OUT/outputs.jsonl [--key KEY]
    cove-train score --tasks OUT/tasks.jsonl --outputs OUT/outputs.jsonl

Each task's rendered prompt goes to /v1/completions (greedy unless --temperature says otherwise); one line {"text": ...} a task comes
back, in the tasks' order. Standard library only.
"""

import argparse
import concurrent.futures
import json
import sys
import urllib.request


def answer(options, task):
    body = {"model": options.model, "prompt": task["prompt"], "max_tokens": options.max_tokens,
            "temperature": options.temperature, "top_p": options.top_p, "seed": 1}
    request = urllib.request.Request(options.url + "/v1/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json", "Authorization": "Bearer " + options.key})
    with urllib.request.urlopen(request, timeout=options.timeout_s) as response:
        return json.load(response)["choices"][0]["text"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--model", default="cove-mini")
    parser.add_argument("--key", default="none")
    parser.add_argument("--tasks", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--every", type=int, default=1, help="take every n-th task only; writes OUT.tasks beside the outputs")
    parser.add_argument("--max-tokens", type=int, default=600)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--timeout-s", type=float, default=300)
    options = parser.parse_args()
    with open(options.tasks, encoding="utf-8") as file:
        lines = file.read().splitlines()[:: options.every]
    if options.every > 1:
        with open(options.out + ".tasks", "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    tasks = [json.loads(line) for line in lines]
    with concurrent.futures.ThreadPoolExecutor(options.concurrency) as pool, open(options.out, "w", encoding="utf-8") as out:
        for count, text in enumerate(pool.map(lambda task: answer(options, task), tasks), 1):
            out.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            if count % 100 == 0:
                print(f"{count} of {len(tasks)}", file=sys.stderr)


if __name__ == "__main__":
    main()

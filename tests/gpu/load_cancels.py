#!/usr/bin/env python3
"""Clients that walk away: many streams at once against a running server, a part of them cut off somewhere.

    python3 tests/gpu/load_cancels.py --url http://127.0.0.1:8080 [--clients 64] [--requests 256] [--cancel 0.33]

Python's standard library only. Prompts and lengths are random (--seed); a request that shall be cut off closes its
connection after a random number of events, before the first one too. Afterwards, once the server is idle: no other request may
have failed, the server must be ready, and live requests must hold as many pages as before (cove_kv_pages_used; pages that
only the prefix cache holds are counted apart). Prints one line; exit code 1 when something of this is not so.
"""

import argparse
import asyncio
import json
import os
import random
import re
import sys
import time
import urllib.parse

WORDS = ("harbour wind paper seven cloud apple river stone light count green city train book window bird salt "
         "月亮 苹果 计算 时间 路 学校 数字").split()
IDLE_WITHIN_S = 30


class Failed(Exception):
    pass


class Client:
    """HTTP/1.1 as far as it is needed: one request a connection, chunked bodies."""

    def __init__(self, url, key):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise SystemExit(f"{url}: give http://host:port")
        self.host, self.port, self.key = parts.hostname, parts.port or 80, key

    async def open(self, method, path, body=None):
        """(reader, writer), the request sent and nothing read."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nConnection: close\r\n"
        if self.key:
            head += f"Authorization: Bearer {self.key}\r\n"
        if data:
            head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        writer.write(head.encode() + b"\r\n" + data)
        await writer.drain()
        return reader, writer

    @staticmethod
    async def read_head(reader):
        status_line = await reader.readline()
        if not status_line.startswith(b"HTTP/1.1 "):
            raise Failed(f"no answer but {status_line[:80]!r}")
        headers = {}
        while (line := (await reader.readline()).strip()):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return int(status_line.split()[1]), headers

    @staticmethod
    async def body_pieces(reader, headers):
        if headers.get("transfer-encoding") != "chunked":
            yield await reader.read(-1)
            return
        while (size := int((await reader.readline()).split(b";")[0] or b"0", 16)) > 0:
            piece = await reader.readexactly(size + 2)
            yield piece[:-2]

    async def get(self, path):
        reader, writer = await self.open("GET", path)
        try:
            status, headers = await self.read_head(reader)
            body = b"".join([piece async for piece in self.body_pieces(reader, headers)])
            return status, body.decode()
        finally:
            writer.close()


class Counts:
    def __init__(self):
        self.complete = self.cancelled = self.cancelled_before_output = self.events = 0
        self.errors = []


async def stream(client, body, events_max, counts):
    """One request; cut off after events_max events unless that is None."""
    reader, writer = await client.open("POST", "/v1/chat/completions", body)
    events, pending = 0, b""
    try:
        if events_max == 0:
            await asyncio.sleep(random.random() * 0.05)  # queued, computing its prompt, or answering by then
        else:
            status, headers = await client.read_head(reader)
            if status != 200:
                body_text = b"".join([piece async for piece in client.body_pieces(reader, headers)])
                raise Failed(f"HTTP {status}: {body_text[:300]!r}")
            async for piece in client.body_pieces(reader, headers):
                *lines, pending = (pending + piece).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: [DONE]"):
                        counts.complete += 1
                        return
                    if line.startswith(b'data: {"error"'):
                        raise Failed(line[:300].decode(errors="replace"))
                    events += line.startswith(b"data: ")
                if events_max is not None and events >= events_max:
                    break
            else:
                raise Failed("the stream ended without [DONE]")
        counts.cancelled += 1
        counts.cancelled_before_output += events == 0
    finally:
        counts.events += events
        writer.transport.abort()  # as a client that is killed


def make_jobs(options, model):
    rng = random.Random(options.seed)
    for i in range(options.requests):
        words = [str(rng.randrange(10**6))] + rng.choices(WORDS, k=rng.randint(4, options.words_max))
        body = {"model": model, "messages": [{"role": "user", "content": " ".join(words)}], "stream": True,
                "max_tokens": rng.randint(8, options.tokens_max), "seed": i}
        yield body, (rng.choice([0, 1, 2, 5, 10, 20, 40]) if rng.random() < options.cancel else None)


async def work(client, jobs, counts):
    for body, events_max in jobs:
        try:
            await stream(client, body, events_max, counts)
        except (Failed, OSError, ValueError, asyncio.IncompleteReadError) as error:
            counts.errors.append(f"{type(error).__name__}: {error}")


async def metrics(client):
    status, text = await client.get("/metrics")
    if status != 200:
        raise SystemExit(f"GET /metrics answered {status}: {text[:300]}")
    values = dict(re.findall(r"^(cove_\w+) (\S+)$", text, re.MULTILINE))
    return {name: float(values[name]) for name in (
        "cove_kv_pages_used", "cove_kv_pages_cached", "cove_requests_running", "cove_requests_waiting", "cove_cancelled_total")}


async def wait_until_idle(client):
    deadline = time.monotonic() + IDLE_WITHIN_S
    while True:
        now = await metrics(client)
        if now["cove_requests_running"] == now["cove_requests_waiting"] == 0 or time.monotonic() > deadline:
            return now
        await asyncio.sleep(0.1)


async def run(options):
    key = ""
    if options.key_file:
        with open(options.key_file, encoding="utf-8") as file:
            key = file.read().strip()
    client = Client(options.url, key or os.environ.get("COVE_API_KEY", ""))
    status, text = await client.get("/v1/models")
    if status != 200:
        raise SystemExit(f"GET /v1/models answered {status}: {text[:300]}")
    before = await wait_until_idle(client)
    counts, begin = Counts(), time.monotonic()
    jobs = make_jobs(options, json.loads(text)["data"][0]["id"])  # one iterator: whoever is free takes the next
    await asyncio.gather(*(work(client, jobs, counts) for _ in range(options.clients)))
    seconds = time.monotonic() - begin
    after = await wait_until_idle(client)
    ready, _ = await client.get("/readyz")
    problems = counts.errors[:3]
    if ready != 200:
        problems.append(f"/readyz answers {ready}")
    if after["cove_requests_running"] + after["cove_requests_waiting"] > 0:
        problems.append(f"still not idle after {IDLE_WITHIN_S} s")
    if after["cove_kv_pages_used"] != before["cove_kv_pages_used"]:
        problems.append("pages did not come back")
    if counts.complete + counts.cancelled + len(counts.errors) != options.requests:
        problems.append("requests are missing")
    change = lambda name: f"{before[name]:.0f} -> {after[name]:.0f}"
    print(f"{options.requests} requests by {options.clients} clients in {seconds:.1f} s: {counts.complete} complete, "
          f"{counts.cancelled} cut off ({counts.cancelled_before_output} before any output), {len(counts.errors)} failed; "
          f"{counts.events} events; engine cancelled {after['cove_cancelled_total'] - before['cove_cancelled_total']:.0f}; pages used "
          f"{change('cove_kv_pages_used')}, cached {change('cove_kv_pages_cached')}" + "".join(f"; FAILED: {p}" for p in problems))
    return 1 if problems else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--key-file", help="file with the API key (default: $COVE_API_KEY)")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=256)
    parser.add_argument("--cancel", type=float, default=0.33, help="share of the requests that are cut off (default: 0.33)")
    parser.add_argument("--words-max", type=int, default=300, help="words of a prompt at most (default: 300)")
    parser.add_argument("--tokens-max", type=int, default=128, help="tokens of an answer at most (default: 128)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        return asyncio.run(run(options))
    except (Failed, OSError, asyncio.IncompleteReadError) as error:
        print(f"FAILED: {options.url}: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())

// 32 clients at once, a third of them going away at random moments: every request is answered, and nothing stays behind.
// COVE_E2E_SOAK_S sets how long (20 s unless set); the seed is printed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Server } from "./server.mjs";

const seconds = Number(process.env.COVE_E2E_SOAK_S ?? 20);
const clients = 32;
const seed = Number(process.env.COVE_E2E_SEED ?? Date.now() % 1_000_000);

// mulberry32: small, seedable.
function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

async function oneRequest(server, next, counts) {
  const stream = next() < 0.6;
  const cancel = next() < 0.33;
  const controller = new AbortController();
  const body = {
    messages: [{ role: "user", content: "count ".repeat(1 + Math.floor(next() * 20)) + Math.floor(next() * 1e6) }],
    max_tokens: 1 + Math.floor(next() * 64), n: next() < 0.1 ? 3 : 1, stream, temperature: 1, seed: Math.floor(next() * 1e9),
  };
  const timer = cancel ? setTimeout(() => controller.abort(), next() * 400) : undefined;
  try {
    const response = await server.post("/v1/chat/completions", body, { signal: controller.signal });
    const text = await response.text();
    assert.ok([200, 429].includes(response.status), `${response.status} ${text}`);
    if (response.status === 200) {
      if (stream) assert.match(text, /data: \[DONE\]\n\n$/);
      else assert.ok(JSON.parse(text).choices.length === body.n);
    }
    counts[response.status] = (counts[response.status] ?? 0) + 1;
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    counts.cancelled = (counts.cancelled ?? 0) + 1;
  } finally {
    clearTimeout(timer);
  }
}

test(`${clients} clients with random cancels for ${seconds} s`, { timeout: (seconds + 240) * 1000 }, async (t) => {
  t.diagnostic(`COVE_E2E_SEED=${seed}`);
  const server = await Server.start();
  const deadline = Date.now() + seconds * 1000;
  const counts = {};
  await Promise.all(Array.from({ length: clients }, async (_, i) => {
    const next = random(seed + i);
    while (Date.now() < deadline) await oneRequest(server, next, counts);
  }));
  t.diagnostic(JSON.stringify(counts));
  assert.ok(counts[200] > 0);
  await server.until(async () => (await server.metric("cove_kv_pages_used")) === 0, 30_000);
  for (const name of ["cove_requests_running", "cove_requests_waiting"]) assert.equal(await server.metric(name), 0, name);
  assert.equal(await server.metric("cove_requests_in_flight"), 1, "only this one");
  t.diagnostic(`resident: ${Math.round((await server.metric("cove_process_resident_bytes")) / 1e6)} MB`);
  assert.equal(await server.stop(), 0);
});

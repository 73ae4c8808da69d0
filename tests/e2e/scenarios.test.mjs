// Black-box scenarios that other servers' tests ask for (llama.cpp, vLLM): equal beginnings, odd requests, load, behaviour of a page's browser.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { Server, root } from "./server.mjs";

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const chat = (more) => server.post("/v1/chat/completions", { messages: [{ role: "user", content: "1 + 2 = ?" }], max_tokens: 16, ...more });
const complete = async (more) => (await server.post("/v1/completions", { prompt: "I believe the meaning of life is", max_tokens: 16, ...more })).json();

test("alone or in a crowd, cached or not, a seed gives the same text", async () => {
  const body = { seed: 42, temperature: 1 };
  const alone = (await complete(body)).choices[0].text;
  const crowd = await Promise.all([...Array(12).keys()].map((i) => complete(i % 2 ? body : { seed: i, temperature: 1, max_tokens: 40 })));
  crowd.filter((_, i) => i % 2).forEach((answer) => assert.equal(answer.choices[0].text, alone));
});

test("prompts as text, ids and mixed", async () => {
  const ids = [10, 11, 12, 13];
  assert.equal((await complete({ prompt: ids })).usage.prompt_tokens, 4);
  const two = await complete({ prompt: [ids, "text"], max_tokens: 2 });
  assert.equal(two.choices.length, 2);
  assert.equal((await server.post("/v1/completions", { prompt: { text: "x" } })).status, 400);
  assert.equal((await server.post("/v1/completions", { prompt: [1, 2, "x"] })).status, 400);
});

test("messages that are no messages get 400", async () => {
  const ok = { role: "user", content: "test" };
  for (const messages of [null, "string", [123], [{}], [{ role: 123 }], [{ role: "system", content: 123 }], [ok, {}], [], [[ok]], [null]]) {
    const response = await server.post("/v1/chat/completions", { messages });
    assert.equal(response.status, 400, JSON.stringify(messages));
    const { error } = await response.json();
    assert.deepEqual(Object.keys(error).sort(), ["code", "message", "param", "type"]);
    assert.match(error.param, /^messages/);
  }
});

test("too long a prompt is refused with numbers, streamed or not, as text or as ids", async () => {
  const long = { messages: Array(3000).fill({ role: "user", content: "What is the best book" }) };
  for (const stream of [false, true]) {
    const response = await server.post("/v1/chat/completions", { ...long, stream });
    assert.equal(response.status, 400);
    const { error } = await response.json();
    assert.equal(error.code, "context_length_exceeded");
    assert.match(error.message, /\d+ tokens/);
  }
  assert.equal((await server.post("/v1/completions", { prompt: Array(100_000).fill(5) })).status, 400);
  assert.equal((await server.post("/v1/completions", { prompt: [2_000_000_000] })).status, 400, "no such token");
  const huge = await server.post("/v1/completions", { prompt: "word ".repeat(4_000_000) });
  assert.equal(huge.status, 400, "20 MB");
  assert.equal((await huge.json()).error.code, "context_length_exceeded");
});

test("a body over the limit gets 413", async () => {
  const { hostname, port } = new URL(server.url);
  const status = await new Promise((resolve, reject) => {
    const upload = request({ hostname, port, path: "/v1/completions", method: "POST",
      headers: { ...server.headers, "Content-Type": "application/json", "Content-Length": 100 * 1024 * 1024 } });
    upload.on("response", (response) => { resolve(response.statusCode); upload.destroy(); });
    upload.on("error", reject);
    upload.write("a".repeat(1 << 20));
  });
  assert.equal(status, 413);
  assert.equal((await server.get("/livez", {})).status, 200);
});

test("no character is broken in a stream of any script", async () => {
  const response = await chat({ messages: [{ role: "user", content: "请用中文和 emoji 🍎👩‍👩‍👧 回答。" }], stream: true, temperature: 0, max_tokens: 64 });
  const text = Buffer.from(await response.arrayBuffer()).toString("utf8");
  const deltas = text.split("\n\n").filter((e) => e.startsWith("data: {")).flatMap((e) => JSON.parse(e.slice(6)).choices);
  for (const { delta } of deltas) assert.doesNotMatch(delta.content ?? "", /[\ud800-\udbff]$|^[\udc00-\udfff]/);
});

test("100 requests at once are all answered", async () => {
  const answers = await Promise.all([...Array(100).keys()].map((i) => chat({ seed: i, stream: i % 3 === 0, max_tokens: 8 })));
  for (const answer of answers) {
    assert.equal(answer.status, 200);
    await answer.text();
  }
});

test("a client that vanishes while queued or running frees everything", async () => {
  const { hostname, port } = new URL(server.url);
  const body = JSON.stringify({ prompt: "a", max_tokens: 400, ignore_eos: true, n: 4, stream: false });
  const head = `POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${server.key}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  for (const delay of [0, 1, 5, 20, 60]) {
    const socket = connect(Number(port), hostname);
    await new Promise((resolve) => socket.write(head + body, resolve));
    await new Promise((resolve) => setTimeout(resolve, delay));
    socket.destroy();
  }
  await server.until(async () => (await server.metric("cove_requests_running")) === 0 && (await server.metric("cove_requests_waiting")) === 0, 20_000);
  assert.equal(await server.metric("cove_kv_pages_used"), 0);
});

test("browsers of other sites get nothing", async () => {
  const preflight = await fetch(server.url + "/v1/chat/completions", { method: "OPTIONS",
    headers: { Origin: "http://evil.example", "Access-Control-Request-Method": "POST" } });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get("access-control-allow-origin"), null);
});

test("x-api-key works as the bearer token does", async () => {
  assert.equal((await server.get("/v1/models", { "x-api-key": server.key })).status, 200);
  assert.equal((await server.get("/v1/models", { "x-api-key": "nothing" })).status, 401);
});

test("the metrics are well-formed, and all that have no labels are there from the start", async () => {
  const text = await (await server.get("/metrics")).text();
  for (const line of text.trimEnd().split("\n")) assert.match(line, /^(# (HELP|TYPE) \w+ .+|cove_\w+(\{[^}]*\})? [-+.\w]+)$/);
  const names = [...readFileSync(`${root}/api/metrics.def`, "utf8").matchAll(/^COVE_METRIC\(\w+, "(\w+)", \w+, ""/gm)].map((m) => m[1]);
  await chat({});
  const now = await (await server.get("/metrics")).text();
  for (const name of names) assert.match(now, new RegExp(`^# TYPE ${name} `, "m"));
});

test("the log has a line for each request, without prompts, keys or codes", async () => {
  await chat({ messages: [{ role: "user", content: "a-very-secret-prompt" }] });
  await server.get("/login?code=secretcode", {});
  await server.get("/v1/models", { ...server.headers, "x-request-id": "find-me" });
  await server.until(() => server.errors.includes("find-me"));
  assert.doesNotMatch(server.errors, /very-secret|secretcode/);
  assert.ok(!server.errors.includes(server.key));
  assert.match(server.errors, /http\.request request_id=find-me .*route=\/v1\/models status=200/);
});

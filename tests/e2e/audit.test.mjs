// The audit log of the real program: every request is there once, the chain verifies and shows what was changed, and recorded answers come
// out again byte for byte. COVE_REPLAY_REQUESTS=1000 asks for more than the few dozen that every run makes.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server, binary } from "./server.mjs";

const wanted = Number(process.env.COVE_REPLAY_REQUESTS ?? 48);
const side = 16;  // requests at the same time
const seed = Number(process.env.COVE_E2E_SEED ?? Date.now() % 1e6);

const schema = { type: "object", properties: { count: { type: "integer" }, fruit: { enum: ["apple", "pear"] } }, required: ["count", "fruit"], additionalProperties: false };
const tools = [{ type: "function", function: { name: "calculator", description: "computes", parameters: { type: "object", properties: { expression: { type: "string" } }, required: ["expression"] } } }];
const questions = ["小明有23个苹果,又买了48个,吃了17个,还剩几个?", "What is 17 + 25?", "Who are you?", "一小时有多少秒?", "Sort 7, 3, 9.", "🍎 = ?"];

let server;
const sent = { whole: 0, streamed: 0, aborted: 0, refused: 0 };
const left = new Set();  // ids of those that went away
before(async () => (server = await Server.start({ env: { COVE_AUDIT_PROMPTS: "full" } })));
after(() => rmSync(server.data, { recursive: true, force: true }));

function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
const pick = (next, list) => list[Math.floor(next() * list.length)];

// Runs beside the event loop: the server's output has to be read meanwhile.
function cove(args) {
  return new Promise((resolve) => {
    const child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "", stderr = "";
    child.stdout.on("data", (text) => (stdout += text));
    child.stderr.on("data", (text) => (stderr += text));
    child.on("exit", (status) => resolve({ status, stdout, stderr }));
  });
}
const audit = (command, ...args) => cove(["audit", command, "--data", server.data, ...args]);

// One request of a kind: path and body.
function mixed(next, i) {
  const sampled = { temperature: pick(next, [0, 0.6, 1, 1.5]), top_p: pick(next, [1, 0.9]), top_k: pick(next, [0, 20]), min_p: pick(next, [0, 0.05]),
    presence_penalty: pick(next, [0, 0.5]), repetition_penalty: pick(next, [1, 1.1]), max_tokens: 8 + Math.floor(next() * 48) };
  if (next() < 0.5) sampled.seed = Math.floor(next() * 2 ** 40);  // else the server draws one
  if (next() < 0.3) sampled.n = 2;
  if (next() < 0.2) sampled.logit_bias = { 5: -3, 9: 2.5 };
  if (next() < 0.2) sampled.stop = ["苹果", " the"];
  if (next() < 0.5) sampled.stream = true;
  if (i % 4 === 3) return ["/v1/completions", { prompt: pick(next, ["Once", ["A", "B"], [10, 11, 12]]), ...sampled }];
  const body = { messages: [{ role: "user", content: `${pick(next, questions)} (${i})` }], ...sampled };
  if (next() < 0.2) body.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  else if (next() < 0.3) Object.assign(body, { tools, tool_choice: pick(next, ["auto", "required"]) });
  return ["/v1/chat/completions", body];
}

// Asks, and goes away in the middle now and then.
async function ask(next, i) {
  const [path, body] = mixed(next, i);
  const controller = new AbortController();
  const leave = next() < 0.15 ? setTimeout(() => controller.abort(), 20 + next() * 150) : undefined;
  try {
    const headers = { ...server.headers, "Content-Type": "application/json", "x-request-id": `mixed-${i}` };
    const response = await server.post(path, body, { headers, signal: controller.signal });
    const text = await response.text();
    // What this model's template cannot do is refused: that is recorded, too.
    if (response.status === 400) return sent.refused++;
    assert.equal(response.status, 200, text);
    if (body.stream) assert.match(text, /data: \[DONE\]\n\n$/);
    sent[body.stream ? "streamed" : "whole"]++;
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    sent.aborted++;
    left.add(`mixed-${i}`);
  } finally {
    clearTimeout(leave);
  }
}

const logFiles = () => readdirSync(join(server.data, "audit")).filter((name) => name.endsWith(".jsonl")).sort().map((name) => join(server.data, "audit", name));
const lines = () => logFiles().flatMap((file) => readFileSync(file, "utf8").split("\n").filter(Boolean).map(JSON.parse));
const requests = () => lines().filter((line) => line.type === "request");

test(`${wanted} mixed requests, ${side} at a time, each leaves one record`, { timeout: 600_000 }, async (t) => {
  t.diagnostic(`COVE_E2E_SEED=${seed}`);
  let i = 0;
  const client = async (next) => {
    for (;;) {
      const turn = i++;
      if (turn >= wanted) return;
      await ask(next, turn);
    }
  };
  await Promise.all(Array.from({ length: side }, (_, k) => client(random(seed + k))));
  t.diagnostic(JSON.stringify(sent));
  assert.equal((await server.post("/v1/chat/completions", "{", { headers: { ...server.headers, "Content-Type": "application/json", "x-request-id": "broken" } })).status, 400);
  assert.equal((await server.get("/v1/models", { "x-request-id": "nobody" })).status, 401);
  await server.until(async () => (await server.metric("cove_requests_in_flight")) === 1, 20_000);
  assert.equal(await server.leave(), 0);
  assert.deepEqual(server.alarms, []);
  const ids = requests().map((line) => line.id);
  for (const id of [...Array.from({ length: wanted }, (_, k) => `mixed-${k}`), "broken", "nobody"]) {
    const count = ids.filter((other) => other === id).length;
    // Who goes away soon enough was never there.
    assert.ok(count === 1 || (count === 0 && left.has(id)), `${id}: ${count} records`);
  }
});

test("the log holds what an auditor asks for", () => {
  const made = requests().filter((line) => line.generation && line.outcome === "complete");
  assert.ok(made.length > wanted / 2);
  for (const { caller, address, route, status, generation } of made) {
    assert.equal(caller.role, "admin");
    assert.equal(address, "127.0.0.1");
    assert.match(route, /^\/v1\//);
    assert.equal(status, 200);
    assert.match(generation.digest, /^sha256:/);
    assert.match(generation.device, /^cpu: /);
    assert.ok(generation.seeds.length >= 1 && generation.seeds.every((text) => /^\d+$/.test(text)));
    assert.equal(generation.answers.length, generation.finish_reasons.length);
    assert.ok(generation.max_tokens > 0 && generation.prompt_tokens > 0 && generation.completion_tokens > 0);
    for (const name of ["temperature", "top_p", "min_p", "repetition_penalty"]) assert.equal(typeof generation[name], "number", name);
  }
  assert.ok(made.some(({ generation }) => generation.tools?.includes("calculator")));
  assert.equal(statSync(join(server.data, "audit")).mode & 0o777, 0o700);
});

test("the log verifies, and answers come out again byte for byte", { timeout: 600_000 }, async (t) => {
  const verified = await audit("verify");
  assert.equal(verified.status, 0, verified.stdout + verified.stderr);
  const replayed = await audit("replay", "--all", "--json", "--model", server.modelPath);
  assert.ok([0, 1].includes(replayed.status), replayed.stderr);
  const { equal, different, not_replayable: left, records } = JSON.parse(replayed.stdout);
  t.diagnostic(`equal ${equal}, different ${different}, not replayable ${left}`);
  assert.deepEqual(records.filter(({ result }) => result === "different"), []);
  assert.equal(replayed.status, 0);
  const why = records.filter(({ result }) => result === "not_replayable").map((record) => record.why);
  assert.ok(why.every((text) => /refused/.test(text)), why.join("\n"));
  assert.equal(equal + left, requests().filter((line) => line.generation).length);
  const streamed = records.filter(({ result }) => result === "equal").length;
  assert.ok(streamed >= sent.whole + sent.streamed);
});

test("one request by its id; another answer than the recorded one is found", async () => {
  const line = requests().find((one) => one.generation?.answers?.[0]?.content && one.outcome === "complete");
  const right = await audit("replay", line.id, "--model", server.modelPath);
  assert.equal(right.status, 0, right.stderr);
  assert.match(right.stdout, /equal/);
  assert.equal((await audit("replay", "no-such-request", "--model", server.modelPath)).status, 1);
  assert.equal((await audit("replay")).status, 2);
  // Somebody edits an answer: replay sees another text, verify another line.
  const file = logFiles().find((name) => readFileSync(name, "utf8").includes(`"id":"${line.id}"`));
  const before = readFileSync(file, "utf8");
  const content = JSON.stringify(line.generation.answers[0].content);
  writeFileSync(file, before.split("\n").map((text) => (text.includes(`"id":"${line.id}"`) ? text.replace(`"content":${content}`, '"content":"something else"') : text)).join("\n"));
  const wrong = await audit("replay", line.id, "--model", server.modelPath);
  assert.equal(wrong.status, 1, wrong.stdout);
  assert.match(wrong.stdout, /different: content differs from byte 0 on|different: choice 0: content differs/);
  const verified = await audit("verify");
  assert.equal(verified.status, 1);
  assert.match(verified.stdout + verified.stderr, new RegExp(`\\b${line.seq}\\b`));
  writeFileSync(file, before);
  assert.equal((await audit("verify")).status, 0);
});

test("without recorded prompts nothing can be replayed, and it says so", async () => {
  const hashed = await Server.start({ model: { path: server.modelPath, trained: server.trained }, env: { COVE_AUDIT_PROMPTS: "hash" } });
  const secret = "a-very-secret-prompt";
  const answer = await (await hashed.post("/v1/completions", { prompt: secret, max_tokens: 4 })).json();
  assert.ok(answer.choices.length === 1);
  await hashed.leave();
  const folder = join(hashed.data, "audit");
  for (const name of readdirSync(folder)) {
    if (statSync(join(folder, name)).isFile()) assert.ok(!readFileSync(join(folder, name), "utf8").includes(secret), name);
  }
  const replayed = await cove(["audit", "replay", "--all", "--data", hashed.data, "--model", server.modelPath]);
  assert.equal(replayed.status, 0);
  assert.match(replayed.stdout, /not replayable: its prompt was not recorded/);
  rmSync(hashed.data, { recursive: true, force: true });
});

test("what was answered is in the log although the program was killed", async () => {
  const killed = await Server.start({ model: { path: server.modelPath, trained: server.trained } });
  const ids = [...Array(20).keys()].map((i) => `answered-${i}`);
  const headers = (id) => ({ ...killed.headers, "Content-Type": "application/json", "x-request-id": id });
  await Promise.all(ids.map(async (id) => (await killed.post("/v1/completions", { prompt: "x", max_tokens: 2 }, { headers: headers(id) })).text()));
  await killed.leave("SIGKILL");
  const folder = join(killed.data, "audit");
  const text = readdirSync(folder).filter((name) => name.endsWith(".jsonl")).map((name) => readFileSync(join(folder, name), "utf8")).join("");
  for (const id of ids) assert.ok(text.includes(`"id":"${id}"`), id);
  assert.equal((await cove(["audit", "verify", "--data", killed.data])).status, 0);
  rmSync(killed.data, { recursive: true, force: true });
});

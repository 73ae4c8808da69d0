// Starting, stopping, configuration and keys of `cove serve`, as a user at a shell meets them.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Server, root } from "./server.mjs";

const binary = process.env.COVE_BIN ?? join(root, "build", "release", "cove");
const cove = (args, env = {}) => spawnSync(binary, args, { encoding: "utf8", env: { ...process.env, ...env }, timeout: 60_000 });
const folder = () => mkdtempSync(join(tmpdir(), "cove-e2e-"));

test("the first start writes and prints the admin key, the second does not print it", async () => {
  const data = folder();
  const first = await Server.start({ data });
  assert.equal(statSync(join(data, "admin.key")).mode & 0o777, 0o600);
  assert.ok(first.output.includes(first.key));
  assert.match(first.output, /curl .*\/v1\/chat\/completions/);
  first.process.kill("SIGTERM");
  assert.equal(await first.exited, 0);
  const second = await Server.start({ data, model: { path: first.modelPath, trained: first.trained } });
  assert.ok(!second.output.includes(first.key));
  assert.equal(second.key, first.key);
  assert.equal(await second.stop(), 0);
});

test("the printed link signs in once", async () => {
  const server = await Server.start();
  const link = /http:\S+\/login\?code=\S+/.exec(server.output)[0];
  const signedIn = await fetch(link);
  assert.equal(signedIn.status, 200);
  const cookie = signedIn.headers.get("set-cookie").split(";")[0];
  assert.equal((await fetch(link)).status, 401);
  const page = await server.get("/", { Cookie: cookie });
  assert.equal(page.status, 200);
  assert.match(await page.text(), /<!doctype html>/);
  assert.equal((await server.get("/", {})).status, 303);
  assert.equal((await server.get("/docs", { Cookie: cookie })).status, 200);
  await server.stop();
});

test("cove apikey new, list, revoke work beside a running server", async () => {
  const server = await Server.start();
  const made = cove(["apikey", "new", "alice", "--data", server.data]);
  assert.equal(made.status, 0, made.stderr);
  const key = made.stdout.trim();
  assert.match(key, /^sk-cove-[\w-]{43}$/);
  const status = async () => (await server.get("/v1/models", { Authorization: `Bearer ${key}` })).status;
  assert.equal(await status(), 200);
  const list = JSON.parse(cove(["apikey", "list", "--json", "--data", server.data]).stdout);
  assert.deepEqual(list.map((k) => k.name), ["admin", "alice"]);
  assert.ok(!JSON.stringify(list).includes(key));
  assert.equal(cove(["apikey", "revoke", "alice", "--data", server.data]).status, 0);
  assert.equal(await status(), 401);
  assert.equal(cove(["apikey", "revoke", "nobody", "--data", server.data]).status, 1);
  assert.equal(cove(["apikey", "frobnicate"]).status, 2);
  await server.stop();
});

test("SIGTERM lets a running answer finish, refuses new ones, and exits with 0", async () => {
  const server = await Server.start();
  const running = server.post("/v1/completions", { prompt: "a", max_tokens: 300, ignore_eos: true, stream: true });
  const response = await running;
  const reader = response.body.getReader();
  await reader.read();
  server.process.kill("SIGTERM");
  await server.until(() => /serve.draining/.test(server.errors));
  const ready = await server.get("/readyz").catch(() => undefined);
  if (ready) assert.equal(ready.status, 503);
  const refused = await server.post("/v1/completions", { prompt: "a" }).catch(() => undefined);
  if (refused) assert.equal(refused.status, 503);
  let text = "";
  for (let part; !(part = await reader.read()).done; ) text += Buffer.from(part.value).toString();
  assert.match(text, /\[DONE\]\n\n$/);
  assert.equal(await server.exited, 0);
  await server.stop();
});

test("what cannot start says so in one line and exits with 1", async () => {
  const data = folder();
  const bad = (args, pattern, env) => {
    const result = cove(["serve", "--data", data, ...args], env);
    assert.equal(result.status, 1, result.stderr);
    const line = result.stderr.trim().split("\n").at(-1);
    assert.match(line, pattern);
  };
  bad(["--model", "/nonexistent/model"], /no model at \/nonexistent\/model/);
  const config = join(data, "cove.yaml");
  writeFileSync(config, "server: {prot: 1}\n");
  bad(["--config", config], /unknown key 'server.prot'; did you mean 'server.port'\?/);
  writeFileSync(config, "cluster: {etcd: [a]}\n");
  bad(["--config", config], /cluster.etcd: .* is not available in this version/);
  writeFileSync(config, "plugins: [filter]\n");
  bad(["--config", config], /plugins\[0\] must be a map/);
  writeFileSync(config, "audit: {prompts_by_role: [user]}\n");
  bad(["--config", config], /audit.prompts_by_role: 'user': write ROLE=full/);
  bad(["--config", "/nonexistent.yaml"], /nonexistent.yaml/);
  bad(["--port", "99999"], /server.port/);
  bad(["--host", "0.0.0.0"], /auth.mode is off, which is only accepted on a loopback address/, { COVE_AUTH_MODE: "off" });
  assert.equal(cove(["serve", "--frobnicate"]).status, 2);
  const server = await Server.start();
  bad(["--model", server.modelPath, "--port", new URL(server.url).port], /is in use by another program/);
  await server.stop();
  rmSync(data, { recursive: true });
});

test("auth.mode off serves loopback without a key", async () => {
  const server = await Server.start({ env: { COVE_AUTH_MODE: "off", COVE_MODEL_NAME: "renamed", COVE_TELEMETRY_VLLM_ALIASES: "true" } });
  assert.equal(server.key, undefined);
  assert.equal(server.model, "renamed");
  assert.match(await (await server.get("/metrics")).text(), /vllm:num_requests_running\{model_name="renamed"\} 0/);
  await server.stop();
});

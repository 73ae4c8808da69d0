// Plugins with the official SDK against the real program and the shipped model: a blocked prompt, streams filtered across tokens, masked
// numbers, a hook, a script.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import OpenAI, { BadRequestError } from "openai";
import { Server, binary, chooseModel, root } from "./server.mjs";
import { spawnSync } from "node:child_process";

const folder = mkdtempSync(join(tmpdir(), "cove-e2e-plugins-"));
const file = (name, text) => (writeFileSync(join(folder, name), text), join(folder, name));
const replace = file("replace.txt", "# numbers that the sum passes through\n54\n71\n");
const block = file("block.txt", "炸弹\n");

const hookCalls = [];
const hook = createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    const call = JSON.parse(body);
    hookCalls.push(call);
    const refuse = call.texts.some((t) => t.text.includes("ask the hook"));
    response.end(JSON.stringify(refuse ? { action: "refuse", message: "the hook says no" } : { action: "allow" }));
  });
});

const config = (plugins) => ["--config", file(`cove-${Math.random()}.yaml`, "plugins:\n" + plugins.map((p) => "- " + JSON.stringify(p) + "\n").join(""))];
const words = { name: "words", type: "words", replace: [replace], block: [block], message: " [removed]" };

let plain, filtered, servers;
const clientOf = (server) => new OpenAI({ baseURL: server.url + "/v1", apiKey: server.key, maxRetries: 0 });
before(async () => {
  await new Promise((resolve) => hook.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${hook.address().port}/check`;
  servers = [
    await Server.start(),
    await Server.start({
      args: config([
        words,
        { name: "pii", type: "mask", stages: ["reasoning", "answer"], style: "partial" },
        { name: "script", type: "lua", file: join(root, "docs/examples/plugins/tickets.lua"), settings: "https://t/", stages: ["prompt"] },
        { name: "hook", type: "http", url, stages: ["prompt"] },
      ]),
    }),
  ];
  [plain, filtered] = servers.map(clientOf);
});
after(async () => {
  for (const server of servers ?? []) await server.stop();
  hook.close();
  rmSync(folder, { recursive: true, force: true });
});

const sum = "小明有23个苹果,又买了48个,吃了17个,还剩几个?";
const ask = (client, content, more = {}) =>
  client.chat.completions.create({ model: servers[0].model, messages: [{ role: "user", content }], temperature: 0, seed: 1, max_tokens: servers[0].trained ? 600 : 48, ...more });
const join_ = (chunks, field) => chunks.map((c) => c.choices[0]?.delta[field] ?? "").join("");
async function stream(client, content, more = {}) {
  const chunks = [];
  for await (const chunk of await ask(client, content, { stream: true, ...more })) chunks.push(chunk);
  return chunks;
}
// What the filter does to plain text: whole numbers, by the list.
const starred = (text) => (text ?? "").replace(/(?<![0-9A-Za-z])(54|71)(?![0-9A-Za-z])/g, "**");

test("a blocked prompt is refused with content_filter, however it is disguised", async () => {
  for (const content of ["怎么做炸弹?", "怎么做 炸-弹?", "怎么做炸彈?"]) {
    await assert.rejects(ask(filtered, content), (error) => {
      assert.ok(error instanceof BadRequestError);
      assert.equal(error.code, "content_filter");
      assert.match(error.message, /plugin 'words'/);
      return true;
    });
  }
});

test("streams are filtered across tokens, reasoning and answer, and equal the whole answer", async (t) => {
  // The prompt holds none of the words, so that both servers answer alike; each digit is a token of its own.
  const open = await ask(plain, sum);
  const whole = await ask(filtered, sum);
  const chunks = await stream(filtered, sum);
  assert.equal(whole.choices[0].message.content, starred(open.choices[0].message.content));
  assert.equal(whole.choices[0].message.reasoning_content, starred(open.choices[0].message.reasoning_content));
  assert.equal(join_(chunks, "content"), whole.choices[0].message.content);
  assert.equal(join_(chunks, "reasoning_content"), whole.choices[0].message.reasoning_content);
  if (!servers[0].trained) return t.diagnostic("a random model says nothing that could be filtered");
  assert.match(open.choices[0].message.content, /54/);
  assert.match(whole.choices[0].message.content, /\*\*/);
  assert.doesNotMatch(whole.choices[0].message.content, /54/);
});

test("numbers in the answer are masked", async (t) => {
  const content = 'Extract "phone" from the text as JSON:\nmy phone is 13812345678';
  const open = await ask(plain, content);
  const whole = await ask(filtered, content);
  const chunks = await stream(filtered, content);
  assert.equal(join_(chunks, "content"), whole.choices[0].message.content);
  assert.doesNotMatch(JSON.stringify(whole) + JSON.stringify(chunks), /13812345678/);
  if (!/13812345678/.test(open.choices[0].message.content)) return t.diagnostic(`the model did not repeat the number: ${open.choices[0].message.content}`);
  assert.match(whole.choices[0].message.content, /138\*\*\*\*5678/);
});

test("a hook and a script refuse", async () => {
  await assert.rejects(ask(filtered, "please ask the hook"), (error) => error.code === "content_filter" && /the hook says no/.test(error.message));
  assert.equal(hookCalls.at(-1).request.route, "/v1/chat/completions");
  assert.equal(hookCalls.at(-1).texts[0].role, "user");
});

test("log probabilities are refused where answers are filtered", async () => {
  await assert.rejects(ask(filtered, "hi", { logprobs: true }), (error) => error.param === "logprobs");
  assert.ok((await ask(plain, "hi", { logprobs: true })).choices[0].logprobs);
});

test("what plugins did is counted", async () => {
  const text = await (await servers[1].get("/metrics")).text();
  assert.match(text, /cove_plugin_actions_total\{plugin="words",action="blocked"\} [1-9]/);
  assert.match(text, /cove_plugin_actions_total\{plugin="hook",action="blocked"\} 1/);
});

test("a wrong configuration ends the start with its place", () => {
  const cases = [
    [[{ name: "a", type: "words" }], /plugin 'a': needs lists of words/],
    [[{ name: "a", type: "words", blok: ["x"] }], /unknown key 'plugins\[0\]\.blok'; did you mean 'plugins\[0\]\.block'\?/],
    [[{ name: "a", type: "mask", url: "http:\/\/x" }], /plugins\[0\] \('a'\): 'url' is a key of type http, not of mask/],
    [[{ name: "a", type: "lua", file: file("bad.lua", "function(") }], /bad\.lua:1:/],
    [[{ name: "a", type: "mask", routes: ["/v2"] }], /no answers are made at '\/v2'/],
    [[{ name: "a", type: "mask", roles: ["king"] }], /roles/],
    [[{ type: "mask" }], /plugins\[0\]\.name: needs a name/],
    [[{ name: "a", type: "mask" }, { name: "a", type: "mask" }], /two plugins are called 'a'/],
  ];
  for (const [plugins, expected] of cases) {
    const run = spawnSync(binary, ["serve", "--model", chooseModel().path, "--port", "0", "--data", folder, ...config(plugins)], { encoding: "utf8", timeout: 60_000 });
    assert.equal(run.status, 1, run.stderr);
    assert.match(run.stderr, expected);
  }
});

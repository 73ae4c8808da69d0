// Real answers against two contracts: our own api/openapi.yaml, and OpenAI's published schema where the test data has it.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import Ajv2020 from "ajv/dist/2020.js";
import { parse } from "yaml";
import { Server, root } from "./server.mjs";

let server, api, ours, theirs;
before(async () => {
  server = await Server.start();
  api = parse(readFileSync(join(root, "api", "openapi.yaml"), "utf8"));
  ours = new Ajv2020({ strict: false, allErrors: true, logger: false });
  ours.addSchema(api, "cove");
  const testdata = process.env.COVE_TESTDATA ?? join(root, "build", "testdata");
  const published = join(testdata, "api", "openai-subset.json");
  if (existsSync(published)) {
    theirs = new Ajv2020({ strict: false, allErrors: true, logger: false });
    theirs.addSchema(nullable(JSON.parse(readFileSync(published, "utf8"))), "openai");
  } else if (process.env.CI === "true") {
    throw new Error(`${published} is missing`);
  }
});
after(() => server.stop());

// OpenAPI 3.0's `nullable: true` in JSON Schema's own words.
function nullable(node) {
  if (Array.isArray(node)) return node.map(nullable);
  if (node === null || typeof node !== "object") return node;
  const copy = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, nullable(value)]));
  if (copy.nullable !== true) return copy;
  delete copy.nullable;
  return { anyOf: [copy, { type: "null" }] };
}

function check(ajv, id, name, value) {
  const validate = ajv.getSchema(`${id}#/components/schemas/${name}`);
  assert.ok(validate(value), `${id} ${name}: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(value)}`);
}
function conforms(ourName, theirName, value) {
  check(ours, "cove", ourName, value);
  if (theirs) check(theirs, "openai", theirName, value);
}
async function events(response) {
  const text = await response.text();
  assert.match(text, /data: \[DONE\]\n\n$/);
  return text.split("\n\n").filter((e) => e.startsWith("data: {")).map((e) => JSON.parse(e.slice(6)));
}

const chat = { messages: [{ role: "user", content: "1+1=?" }], max_tokens: 24 };
const variants = [{}, { n: 2 }, { logprobs: true, top_logprobs: 2 }, { temperature: 0, reasoning_alias: true }, { include_reasoning: false }];

test("chat answers", async () => {
  for (const more of variants) {
    const response = await server.post("/v1/chat/completions", { ...chat, ...more });
    assert.equal(response.status, 200);
    conforms("ChatCompletion", "CreateChatCompletionResponse", await response.json());
  }
});

test("chat chunks", async () => {
  for (const more of [...variants, { stream_options: { include_usage: true } }]) {
    for (const chunk of await events(await server.post("/v1/chat/completions", { ...chat, ...more, stream: true }))) {
      conforms("ChatChunk", "CreateChatCompletionStreamResponse", chunk);
    }
  }
});

test("completions, whole and streamed", async () => {
  const body = { prompt: ["a", "b"], max_tokens: 6, logprobs: 2 };
  conforms("Completion", "CreateCompletionResponse", await (await server.post("/v1/completions", body)).json());
  for (const chunk of await events(await server.post("/v1/completions", { ...body, stream: true, stream_options: { include_usage: true } }))) {
    check(ours, "cove", "Completion", chunk);
  }
});

test("models and health", async () => {
  const list = await (await server.get("/v1/models")).json();
  conforms("ModelList", "ListModelsResponse", list);
  conforms("Model", "Model", await (await server.get("/v1/models/" + encodeURIComponent(server.model))).json());
  check(ours, "cove", "Health", await (await server.get("/health", {})).json());
});

test("errors", async () => {
  const answers = [
    server.post("/v1/chat/completions", "{"), server.post("/v1/chat/completions", { messages: [] }), server.get("/nothing"),
    server.get("/v1/models", {}), server.get("/v1/models/none"), server.post("/v1/models", {}),
    server.post("/v1/chat/completions", { ...chat, temperature: 5 }),
  ];
  for (const answer of await Promise.all(answers)) {
    assert.ok(answer.status >= 400);
    const body = await answer.json();
    conforms("Error", "ErrorResponse", body);
    assert.equal(typeof body.error.code, "string");
  }
});

test("requests that the description allows are accepted", async () => {
  const validate = ours.getSchema("cove#/components/schemas/ChatRequest");
  for (const more of [...variants, { stop: ["x"], seed: 1, tools: [], reasoning_effort: "low", user: "u", top_k: 5, min_p: 0.1 }]) {
    assert.ok(validate({ ...chat, ...more }), ours.errorsText(validate.errors));
    assert.equal((await server.post("/v1/chat/completions", { ...chat, ...more })).status, 200);
  }
  for (const more of [{ temperature: 3 }, { n: 0 }, { messages: [] }, { top_logprobs: 50 }, { response_format: { type: "xml" } }]) {
    assert.ok(!validate({ ...chat, ...more }), JSON.stringify(more));
    assert.equal((await server.post("/v1/chat/completions", { ...chat, ...more })).status, 400);
  }
});

test("every described path exists, and the description is what the server gives out", async () => {
  assert.deepEqual(parse(await (await server.get("/openapi.yaml")).text()), api);
  assert.deepEqual(await (await server.get("/openapi.json")).json(), api);
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const target = path.replace("{id}", path.startsWith("/static") ? "chat.js" : server.model);
      const response = await fetch(server.url + target, { method: method.toUpperCase(), redirect: "manual", headers: server.headers });
      assert.ok(response.status !== 405, `${method} ${path}`);
      assert.ok(response.status < 500, `${method} ${path} ${response.status}`);
      if (method === "get") assert.ok(String(response.status) in operation.responses, `${path} ${response.status}`);
    }
  }
});

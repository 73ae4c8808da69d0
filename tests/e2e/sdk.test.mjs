// The official OpenAI SDK against a real server: what an application written for OpenAI sees.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import OpenAI, { APIUserAbortError, AuthenticationError, BadRequestError, NotFoundError } from "openai";
import { Server } from "./server.mjs";

let server, client;
before(async () => {
  server = await Server.start();
  client = new OpenAI({ baseURL: server.url + "/v1", apiKey: server.key, maxRetries: 0 });
});
after(() => server.stop());

const question = { role: "user", content: "小明有23个苹果,又买了48个,吃了17个,还剩几个?" };
const ask = (more = {}, options = {}) =>
  client.chat.completions.create({ model: server.model, messages: [question], max_tokens: server.trained ? 1024 : 48, seed: 1, ...more }, options);

test("a whole answer", async () => {
  const answer = await ask();
  assert.equal(answer.object, "chat.completion");
  assert.equal(answer.choices[0].message.role, "assistant");
  assert.ok(answer.usage.prompt_tokens > 0 && answer.usage.completion_tokens > 0);
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  assert.ok(answer._request_id);
});

test("reasoning and answer come apart, and the answer is right", async (t) => {
  const answer = await ask({ temperature: 0 });
  const message = answer.choices[0].message;
  assert.ok(message.reasoning_content.length > 0);
  assert.ok(answer.usage.completion_tokens_details.reasoning_tokens > 0);
  for (const text of [message.reasoning_content, message.content]) assert.doesNotMatch(text, /<\/?think>/);
  if (!server.trained) return t.diagnostic("a random model answers nothing sensible");
  assert.match(message.content, /54/);
  assert.equal(answer.choices[0].finish_reason, "stop");
});

test("a stream's deltas add up to the whole answer", async () => {
  for (const temperature of [0, 0.8]) {
    const whole = await ask({ temperature });
    const chunks = [];
    for await (const chunk of await ask({ temperature, stream: true, stream_options: { include_usage: true } })) chunks.push(chunk);
    const join = (field) => chunks.map((c) => c.choices[0]?.delta[field] ?? "").join("");
    assert.equal(join("reasoning_content"), whole.choices[0].message.reasoning_content ?? "");
    assert.equal(join("content"), whole.choices[0].message.content);
    assert.equal(chunks[0].choices[0].delta.role, "assistant");
    assert.equal(new Set(chunks.map((c) => `${c.id} ${c.created}`)).size, 1);
    const last = chunks.at(-1);
    assert.deepEqual(last.choices, []);
    assert.equal(last.usage.completion_tokens, whole.usage.completion_tokens);
    assert.deepEqual(chunks.slice(0, -2).map((c) => c.choices[0].finish_reason).filter(Boolean), []);
    assert.equal(chunks.at(-2).choices[0].finish_reason, whole.choices[0].finish_reason);
    for (const chunk of chunks.slice(0, -1)) {
      const delta = chunk.choices[0].delta;
      assert.ok(!(delta.content !== undefined && delta.reasoning_content !== undefined));
    }
  }
});

test("the SDK's stream helper assembles the same message", async () => {
  const stream = client.chat.completions.stream({ model: server.model, messages: [question], max_tokens: 32, temperature: 0 });
  const final = await stream.finalChatCompletion();
  const whole = await ask({ max_tokens: 32, temperature: 0 });
  assert.equal(final.choices[0].message.content ?? "", whole.choices[0].message.content);
});

test("the same seed repeats, another one differs", async () => {
  const text = async (seed) => JSON.stringify((await ask({ seed, temperature: 2, top_p: 1, max_tokens: 64 })).choices[0].message);
  assert.equal(await text(7), await text(7));
  assert.notEqual(await text(7), await text(8));
});

test("several choices, streamed too", async () => {
  const whole = await ask({ n: 3, temperature: 1.2, max_tokens: 16 });
  assert.deepEqual(whole.choices.map((c) => c.index), [0, 1, 2]);
  const texts = ["", "", ""];
  const finished = new Set();
  for await (const chunk of await ask({ n: 3, temperature: 1.2, max_tokens: 16, stream: true })) {
    for (const choice of chunk.choices) {
      texts[choice.index] += (choice.delta.reasoning_content ?? "") + (choice.delta.content ?? "");
      if (choice.finish_reason) finished.add(choice.index);
    }
  }
  assert.equal(finished.size, 3);
  whole.choices.forEach((c, i) => assert.equal(texts[i], (c.message.reasoning_content ?? "") + c.message.content));
});

test("max_tokens ends with length", async () => {
  const answer = await ask({ max_tokens: 5 });
  assert.equal(answer.choices[0].finish_reason, "length");
  assert.equal(answer.usage.completion_tokens, 5);
});

test("log probabilities", async () => {
  const answer = await ask({ logprobs: true, top_logprobs: 3, max_tokens: 10, temperature: 0 });
  const lists = answer.choices[0].logprobs;
  const tokens = [...(lists.reasoning_content ?? []), ...lists.content];
  assert.equal(tokens.length, 10);
  for (const token of tokens) {
    assert.ok(token.logprob <= 0);
    assert.equal(token.top_logprobs.length, 3);
    assert.equal(token.top_logprobs[0].logprob, token.logprob, "greedy draws the likeliest");
    assert.ok(Array.isArray(token.bytes));
  }
});

test("a stop text ends the answer and is not part of it", async () => {
  const free = await client.completions.create({ model: server.model, prompt: "1 2 3 4 5", max_tokens: 24, temperature: 0 });
  const text = free.choices[0].text;
  const at = Math.floor(text.length / 2);
  const stop = text.slice(at, at + 2);
  const cut = await client.completions.create({ model: server.model, prompt: "1 2 3 4 5", max_tokens: 24, temperature: 0, stop: [stop] });
  assert.equal(cut.choices[0].text, text.slice(0, text.indexOf(stop)));
  assert.equal(cut.choices[0].finish_reason, "stop");
});

test("a logit bias decides", async () => {
  const answer = await client.completions.create({ model: server.model, prompt: "a", max_tokens: 4, temperature: 0, logit_bias: { 40: 100 }, logprobs: 1 });
  assert.equal(new Set(answer.choices[0].logprobs.tokens).size, 1);
});

test("completions: several prompts, streamed", async () => {
  const answer = await client.completions.create({ model: server.model, prompt: ["a", "b"], n: 2, max_tokens: 4 });
  assert.deepEqual(answer.choices.map((c) => c.index), [0, 1, 2, 3]);
  let text = "";
  const fixed = { model: server.model, prompt: "hello", max_tokens: 8, temperature: 0 };
  for await (const chunk of await client.completions.create({ ...fixed, stream: true })) text += chunk.choices[0].text;
  assert.equal(text, (await client.completions.create(fixed)).choices[0].text);
});

test("an equal prompt is taken from the cache", async (t) => {
  const messages = [{ role: "user", content: "the same long beginning ".repeat(10) }];
  await ask({ messages, max_tokens: 1 });
  const again = await ask({ messages, max_tokens: 1 });
  const { usage } = again;
  assert.equal(usage.prompt_cache_hit_tokens, usage.prompt_tokens_details.cached_tokens);
  assert.equal(usage.prompt_cache_hit_tokens + usage.prompt_cache_miss_tokens, usage.prompt_tokens);
  assert.ok(usage.prompt_cache_hit_tokens > 0);
});

test("a thinking budget closes the thinking", async (t) => {
  if (!server.trained) return t.skip("the random model has no </think> token");
  const answer = await ask({ thinking_budget: 8, temperature: 0 });
  assert.ok(answer.usage.completion_tokens_details.reasoning_tokens <= 8 + 6);
  assert.ok(answer.choices[0].message.content.length > 0);
  const none = await ask({ reasoning_effort: "none", temperature: 0 });
  assert.equal(none.choices[0].message.reasoning_content ?? "", "");
});

test("a tool call", async (t) => {
  if (!server.trained) return t.skip("needs a trained model");
  const tools = [{ type: "function", function: { name: "get_weather", description: "weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } } }];
  const answer = await ask({ messages: [{ role: "user", content: "北京今天天气怎么样?" }], tools, temperature: 0 });
  assert.equal(answer.choices[0].finish_reason, "tool_calls", JSON.stringify(answer.choices[0].message));
  assert.equal(answer.choices[0].message.tool_calls[0].function.name, "get_weather");
  JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments);
});

test("an answer held to a JSON Schema, sampled hot, streamed and not, is valid every time", async () => {
  const schema = { type: "object", properties: { name: { type: "string", maxLength: 12 }, age: { type: "integer", minimum: 0, maximum: 130 },
    pets: { type: "array", items: { enum: ["cat", "dog"] }, maxItems: 2 } }, required: ["name", "age", "pets"], additionalProperties: false };
  const response_format = { type: "json_schema", json_schema: { name: "person", strict: true, schema } };
  const check = (text) => {
    const value = JSON.parse(text);
    assert.deepEqual(Object.keys(value), ["name", "age", "pets"], text);
    assert.ok(typeof value.name === "string" && Number.isInteger(value.age) && value.age >= 0 && value.age <= 130, text);
    assert.ok(value.pets.length <= 2 && value.pets.every((pet) => pet === "cat" || pet === "dog"), text);
  };
  const messages = [{ role: "user", content: "小明养猫吗?" }];
  for (let seed = 1; seed <= 4; ++seed) {
    const options = { messages, response_format, temperature: 1.5, seed, max_tokens: 400, thinking_budget: 40, stop: null };
    const answer = await ask(options);
    assert.equal(answer.choices[0].finish_reason, "stop");
    check(answer.choices[0].message.content);
    let streamed = "";
    for await (const chunk of await ask({ ...options, stream: true })) streamed += chunk.choices[0]?.delta.content ?? "";
    assert.equal(streamed, answer.choices[0].message.content);
  }
  const object = await ask({ messages, response_format: { type: "json_object" }, temperature: 1, seed: 3, max_tokens: 600, thinking_budget: 20, stop: null });
  if (object.choices[0].finish_reason === "stop") assert.equal(typeof JSON.parse(object.choices[0].message.content), "object");
  const choice = await ask({ messages, guided_choice: ["yes", "no"], temperature: 2, thinking_budget: 20, max_tokens: 100, stop: null });
  assert.match(choice.choices[0].message.content, /^(yes|no)$/);
});

test("a forced tool call is a call, with arguments of its schema", async () => {
  const tools = ["get_weather", "set_alarm"].map((name) => ({ type: "function", function: { name, parameters:
    { type: "object", properties: { city: { type: "string", maxLength: 20 }, days: { type: "integer", minimum: 1, maximum: 7 } }, required: ["city", "days"], additionalProperties: false } } }));
  const options = { messages: [{ role: "user", content: "北京今天天气怎么样?" }], tools, temperature: 1, seed: 5, max_tokens: 400, thinking_budget: 40, stop: null };
  for (const tool_choice of ["required", { type: "function", function: { name: "set_alarm" } }]) {
    const answer = await ask({ ...options, tool_choice });
    const call = answer.choices[0].message.tool_calls?.[0];
    assert.ok(call, JSON.stringify(answer.choices[0]));
    if (tool_choice !== "required") assert.equal(call.function.name, "set_alarm");
    const given = JSON.parse(call.function.arguments);
    assert.deepEqual(Object.keys(given), ["city", "days"]);
    assert.ok(given.days >= 1 && given.days <= 7);
  }
  await assert.rejects(ask({ ...options, tool_choice: { type: "function", function: { name: "nothing" } } }), BadRequestError);
});

test("models", async () => {
  const list = await client.models.list();
  assert.equal(list.data.length, 1);
  assert.equal((await client.models.retrieve(server.model)).id, server.model);
  await assert.rejects(client.models.retrieve("nothing/else"), NotFoundError);
});

test("errors have the SDK's types and all four fields", async () => {
  const stranger = new OpenAI({ baseURL: server.url + "/v1", apiKey: "sk-cove-wrong", maxRetries: 0 });
  await assert.rejects(stranger.models.list(), (e) => e instanceof AuthenticationError && e.code === "invalid_api_key");
  await assert.rejects(ask({ model: "gpt-9" }), (e) => e instanceof NotFoundError && e.code === "model_not_found" && e.param === "model");
  await assert.rejects(ask({ temperature: 9 }), (e) => e instanceof BadRequestError && e.param === "temperature" && e.type === "invalid_request_error");
  await assert.rejects(ask({ messages: [] }), BadRequestError);
  await assert.rejects(ask({ messages: [{ role: "user", content: "x ".repeat(100_000) }] }),
    (e) => e instanceof BadRequestError && e.code === "context_length_exceeded");
  await assert.rejects(ask({ response_format: { type: "json_schema", json_schema: { name: "x", schema: { not: {} } } } }),
    (e) => e instanceof BadRequestError && e.param === "response_format.json_schema.schema");
});

test("an abort stops the work", async () => {
  const controller = new AbortController();
  const stream = await ask({ stream: true, max_tokens: 256, stop: null }, { signal: controller.signal });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.reasoning_content || chunk.choices[0]?.delta.content) controller.abort();
  }
  const late = new AbortController();
  setTimeout(() => late.abort(), 30);
  await assert.rejects(ask({ max_tokens: 256, n: 4 }, { signal: late.signal }), APIUserAbortError).catch(() => {});
  await server.until(async () => (await server.metric("cove_kv_pages_used")) === 0, 10_000);
  assert.equal(await server.metric("cove_requests_running"), 0);
});

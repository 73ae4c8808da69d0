// Users, tokens of our own and of a foreign issuer, limits: the real program, the official SDK, and Node's own cryptography as
// the other side.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import OpenAI, { AuthenticationError, PermissionDeniedError, RateLimitError } from "openai";
import { Server, root } from "./server.mjs";

const binary = process.env.COVE_BIN ?? join(root, "build", "release", "cove");
const audience = "cove-api";
const password = "correct horse 电池";
const rsa = { kid: "rsa-1", alg: "RS256", ...generateKeyPairSync("rsa", { modulusLength: 2048 }) };
const ec = { kid: "ec-1", alg: "ES256", ...generateKeyPairSync("ec", { namedCurve: "P-256" }) };

let published = [rsa];
let fetches = 0;
let issuer, provider, server;

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
function token(key, claims = {}, header = {}) {
  const now = Math.floor(Date.now() / 1000);
  const text =
    encode({ alg: key.alg, typ: "JWT", kid: key.kid, ...header }) +
    "." +
    encode({ iss: issuer, aud: ["account", audience], sub: "5b1c-77", preferred_username: "alice", iat: now, exp: now + 120, ...claims });
  return text + "." + sign("sha256", Buffer.from(text), { key: key.privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url");
}

function cove(args, input = "") {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, [...args, "--data", server.data], { stdio: ["pipe", "pipe", "pipe"] });
    let output = "", errors = "";
    child.stdout.on("data", (text) => (output += text));
    child.stderr.on("data", (text) => (errors += text));
    child.on("exit", (code) => (code === 0 ? resolve(output) : reject(new Error(`cove ${args.join(" ")}: ${code}: ${errors}`))));
    child.stdin.end(input);
  });
}

const client = (apiKey) => new OpenAI({ baseURL: server.url + "/v1", apiKey, maxRetries: 0 });
const ask = (apiKey) => client(apiKey).chat.completions.create({ model: server.model, messages: [{ role: "user", content: "1+1=?" }], max_tokens: 4 });
function grant(fields, headers = {}) {
  return fetch(server.url + "/token", { method: "POST", body: new URLSearchParams(fields), headers });
}

before(async () => {
  provider = createServer((request, response) => {
    fetches += 1;
    const keys = published.map((key) => ({ ...key.publicKey.export({ format: "jwk" }), kid: key.kid, alg: key.alg, use: "sig" }));
    response.setHeader("Content-Type", "application/json").end(JSON.stringify({ keys }));
  });
  await new Promise((resolve) => provider.listen(0, "127.0.0.1", resolve));
  issuer = `http://127.0.0.1:${provider.address().port}/realms/cove`;
  server = await Server.start({
    env: {
      COVE_AUTH_JWT_ISSUER: issuer,
      COVE_AUTH_JWT_AUDIENCE: audience,
      COVE_AUTH_JWT_JWKS_URL: `${issuer}/protocol/openid-connect/certs`,
      COVE_AUTH_JWT_ROLE_MAP: "cove-admins=admin,cove-auditors=auditor",
    },
  });
});
after(async () => {
  provider.close();
  await server.stop();
});

test("a foreign token is an API key for the official SDK", async () => {
  assert.equal(fetches, 0, "nothing is fetched before a token asks for it");
  const answer = await ask(token(rsa));
  assert.equal(answer.choices.length, 1);
  const stream = await client(token(rsa)).chat.completions.create({
    model: server.model, messages: [{ role: "user", content: "1+1=?" }], max_tokens: 4, stream: true,
  });
  let chunks = 0;
  for await (const chunk of stream) chunks += chunk.choices.length;
  assert.ok(chunks > 0);
  assert.equal(fetches, 1, "the keys are kept");
  assert.match(server.errors, new RegExp(`jwt:${issuer.replaceAll("/", "\\/")}\\|5b1c-77|alice`));
});

test("roles of the token count", async () => {
  const users = (claims) => server.get("/v1/admin/users", { Authorization: `Bearer ${token(rsa, claims)}` });
  assert.equal((await users({})).status, 403);
  assert.equal((await users({ realm_access: { roles: ["cove-admins"] } })).status, 200);
  await assert.rejects(ask(token(rsa, { realm_access: { roles: ["cove-auditors"] } })), PermissionDeniedError);
});

test("bad foreign tokens are refused", async () => {
  const now = Math.floor(Date.now() / 1000);
  const other = { ...rsa, ...generateKeyPairSync("rsa", { modulusLength: 2048 }) };
  for (const bad of [
    token(rsa, { exp: now - 120 }), token(rsa, { nbf: now + 120 }), token(rsa, { aud: "another" }), token(rsa, { iss: issuer + "/x" }),
    token(other), token(rsa, {}, { kid: "../../etc/passwd" }), token(rsa, {}, { alg: "none" }), token(rsa, {}, { alg: "HS256" }),
    token(other, {}, { jwk: other.publicKey.export({ format: "jwk" }) }), token(rsa).slice(0, -4) + "AAAA", token(rsa).split(".").slice(0, 2).join(".") + ".",
  ]) {
    await assert.rejects(ask(bad), AuthenticationError);
  }
});

test("a new key of the issuer is fetched when a token names it", async () => {
  published = [ec];
  const before = fetches;
  await server.until(() => ask(token(ec)).then(() => true, () => false), 30_000);
  assert.ok(fetches > before && fetches - before <= 4, `fetched ${fetches - before} times`);
  await assert.rejects(ask(token(rsa)), AuthenticationError, "a withdrawn key is not believed any more");
});

test("a user's password becomes a token that anybody can verify", async () => {
  await cove(["user", "add", "alice", "--role", "operator"], password + "\n");
  const response = await grant({ grant_type: "password", username: "alice", password });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("cache-control"), "no-store");
  const { access_token: own, token_type: type, expires_in: seconds } = await response.json();
  assert.equal(type, "Bearer");
  assert.equal(seconds, 3600);
  await ask(own);
  const [header, body, signature] = own.split(".");
  const { alg, kid } = JSON.parse(Buffer.from(header, "base64url"));
  assert.equal(alg, "ES256");
  const { keys } = await (await fetch(server.url + "/.well-known/jwks.json")).json();
  const key = createPublicKey({ key: keys.find((k) => k.kid === kid), format: "jwk" });
  assert.ok(verify("sha256", Buffer.from(`${header}.${body}`), { key, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url")));
  assert.equal(JSON.parse(Buffer.from(body, "base64url")).sub, "user:alice");

  const rotated = JSON.parse(await cove(["token", "rotate", "--json"]));
  assert.equal(rotated.length, 2);
  await server.until(async () => {
    const fresh = (await (await grant({ grant_type: "password", username: "alice", password })).json()).access_token;
    return JSON.parse(Buffer.from(fresh.split(".")[0], "base64url")).kid === rotated[0].kid;
  }, 10_000);
  await ask(own);

  await cove(["user", "disable", "alice"]);
  await assert.rejects(ask(own), AuthenticationError);
  assert.equal((await (await grant({ grant_type: "password", username: "alice", password })).json()).error, "invalid_grant");
});

test("client credentials with Basic authentication", async () => {
  const key = JSON.parse(await cove(["apikey", "new", "ci", "--scope", "infer", "--json"]));
  const basic = "Basic " + Buffer.from(`${key.id}:${key.key}`).toString("base64");
  const { access_token: own, scope } = await (await grant({ grant_type: "client_credentials" }, { Authorization: basic })).json();
  assert.equal(scope, "infer");
  await ask(own);
  assert.equal((await server.get("/v1/models", { Authorization: `Bearer ${own}` })).status, 403);
  const wrong = await grant({ grant_type: "client_credentials" }, { Authorization: "Basic " + Buffer.from("1:x").toString("base64") });
  assert.equal(wrong.status, 401);
  assert.equal((await wrong.json()).error, "invalid_client");
});

test("limits: headers, 429 with Retry-After, and a day that survives a restart", async () => {
  const key = (await cove(["apikey", "new", "small", "--limit", "requests_per_day=3", "--limit", "requests_per_minute=2"])).trim();
  const first = await client(key).chat.completions
    .create({ model: server.model, messages: [{ role: "user", content: "1" }], max_tokens: 1 }).withResponse();
  assert.equal(first.response.headers.get("x-ratelimit-limit-requests"), "2");
  assert.equal(first.response.headers.get("x-ratelimit-remaining-requests"), "1");
  await ask(key);
  await assert.rejects(ask(key), (error) => {
    assert.ok(error instanceof RateLimitError);
    assert.equal(error.code, "rate_limit_exceeded");
    assert.ok(Number(error.headers["retry-after"] ?? error.headers.get?.("retry-after")) > 50);
    return true;
  });
  const data = server.data;
  await server.leave();
  server = await Server.start({ data });
  await ask(key);
  await assert.rejects(ask(key), (error) => error instanceof RateLimitError && error.code === "quota_exceeded");
});

// TLS as clients meet it: openssl, curl and the official SDK against the real program; certificates that change under load.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { connect } from "node:tls";
import OpenAI from "openai";
import { Server, cove, tlsEnvironment, trustedCertificate } from "./server.mjs";

const trusted = trustedCertificate(import.meta.url);
const scratch = mkdtempSync(join(tmpdir(), "cove-e2e-tls-"));
const pair = join(scratch, "pair");
let server;

function newPair(folder, host = "localhost") {
  const made = cove(["tls", "new", "--force", "--out", folder, "--host", host]);
  assert.equal(made.status, 0, made.stderr);
}
// Puts the pair of another folder in place, the way an administrator does: key, then certificate.
function install(from) {
  for (const name of ["key.pem", "cert.pem"]) copyFileSync(join(from, name), join(pair, name));
}
function sClient(args, input = "", port = new URL(server.url).port) {
  return spawnSync("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, "-CAfile", join(trusted, "cert.pem"), ...args],
    { input, encoding: "utf8", timeout: 20_000 });
}
const subject = () => /subject=(.*)/.exec(sClient(["-tls1_3"]).stdout)?.[1];

before(async () => {
  cove(["tls", "new", "--out", pair]);
  install(trusted);
  server = await Server.start({ env: tlsEnvironment(pair) });
});
after(async () => {
  await server.stop();
  rmSync(scratch, { recursive: true, force: true });
});

test("1.3 is spoken, 1.2 and older are refused with an alert", () => {
  const fine = sClient(["-tls1_3"]);
  assert.match(fine.stdout, /New, TLSv1\.3/);
  assert.match(fine.stdout, /Verify return code: 0 \(ok\)/);
  for (const version of ["-tls1_2", "-tls1_1"]) {
    const refused = sClient([version, "-cipher", "DEFAULT@SECLEVEL=0"]);
    assert.notEqual(refused.status, 0);
    assert.match(refused.stdout, /Cipher is \(NONE\)/);
    assert.match(refused.stderr, /alert protocol version|SSL alert number 70/, version);
  }
});

test("the banner is https and its curl line works as printed", async () => {
  assert.match(server.url, /^https:\/\/127\.0\.0\.1:/);
  assert.match(server.output, /chat page +https:/);
  const line = server.output.slice(server.output.indexOf("curl -s"), server.output.indexOf("\nnext:"));
  assert.match(line, /--cacert/);
  const answer = spawnSync("bash", ["-c", line], { encoding: "utf8", timeout: 60_000 });
  assert.equal(JSON.parse(answer.stdout).object, "chat.completion", answer.stdout + answer.stderr);
});

test("curl: unknown certificate refused, 1.2 refused, plain HTTP told what to do", () => {
  const curl = (args) => spawnSync("curl", ["-sS", "--max-time", "10", ...args], { encoding: "utf8" });
  const live = server.url + "/livez";
  const ca = ["--cacert", join(trusted, "cert.pem")];
  assert.equal(curl([...ca, live]).stdout, "ok\n");
  assert.equal(curl([live]).status, 60);
  assert.equal(curl([...ca, "--tls-max", "1.2", live]).status, 35);
  const plain = curl(["-w", "%{http_code}", live.replace("https:", "http:")]);
  assert.match(plain.stdout, /use https:\/\/.*400$/);
});

test("the OpenAI SDK works over https, streamed too", async () => {
  const client = new OpenAI({ baseURL: server.url + "/v1", apiKey: server.key, maxRetries: 0 });
  const ask = { model: server.model, messages: [{ role: "user", content: "hi" }], max_tokens: 24, temperature: 0 };
  const whole = await client.chat.completions.create(ask);
  let text = "";
  for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) text += chunk.choices[0].delta.content ?? "";
  assert.equal(text, whole.choices[0].message.content ?? "");
});

test("renegotiation is refused and new keys are not", async () => {
  const talk = async (command) => {
    const client = spawn("openssl", ["s_client", "-tls1_3", "-connect", `127.0.0.1:${new URL(server.url).port}`]);
    let output = "";
    client.stdout.on("data", (bytes) => (output += bytes));
    client.stderr.on("data", (bytes) => (output += bytes));
    client.stdin.on("error", () => {});
    await server.until(() => output.includes("Verify return code"), 10_000);
    client.stdin.write(command + "\n");
    await new Promise((resolve) => setTimeout(resolve, 300));
    client.stdin.write("GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n");
    const closed = new Promise((resolve) => client.on("close", resolve));
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 2_000))]);
    client.kill();
    return output;
  };
  assert.match(await talk("K"), /KEYUPDATE[^]*HTTP\/1\.1 200/);
  assert.doesNotMatch(await talk("R"), /HTTP\/1\.1 200/);
  assert.equal((await server.get("/livez")).status, 200);
});

// One request over the agent's one connection; the answer's text.
function askOver(agent, body) {
  return new Promise((resolve, reject) => {
    const headers = { ...server.headers, "Content-Type": "application/json" };
    const asked = request(server.url + "/v1/chat/completions", { agent, method: "POST", headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part) => (text += part)).on("end", () => resolve(text)).on("error", reject);
    });
    asked.on("error", reject).end(body);
  });
}

test("certificates change under load, and broken ones are not taken", { timeout: 120_000 }, async () => {
  const [second, other] = [join(scratch, "second"), join(scratch, "other")];
  newPair(second, "second.example");
  newPair(other, "other.example");
  let running = true;
  let answered = 0;
  const failures = [];
  // These keep their connections; the others below make new ones all the time.
  const body = JSON.stringify({ messages: [{ role: "user", content: "count" }], max_tokens: 32, stream: true });
  const streams = Array.from({ length: 8 }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (running) {
      const text = await askOver(agent, body).catch((error) => failures.push(error));
      if (/\[DONE\]/.test(text)) ++answered;
      else failures.push(text);
    }
    agent.destroy();
  });
  // Nobody may need a new connection while the server shows certificates that this process does not trust.
  await server.until(() => answered >= 8, 30_000);
  const visits = async () => {
    while (running) {
      await new Promise((resolve) => {
        const socket = connect({ port: new URL(server.url).port, rejectUnauthorized: false, minVersion: "TLSv1.3" }, () => socket.end());
        socket.on("error", (error) => failures.push(error)).on("close", resolve).resume();
      });
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const visitors = [visits(), visits()];

  install(second);
  await server.until(() => subject() === "CN = second.example", 10_000);
  // A key of another certificate: the pair in use stays.
  copyFileSync(join(other, "key.pem"), join(pair, "key.pem"));
  await server.until(() => /tls\.reload_failed.*is not the key of/.test(server.errors), 10_000);
  assert.equal(subject(), "CN = second.example");
  // SIGHUP reads at once.
  copyFileSync(join(other, "cert.pem"), join(pair, "cert.pem"));
  server.process.kill("SIGHUP");
  await server.until(() => subject() === "CN = other.example", 10_000);
  writeFileSync(join(pair, "cert.pem"), "nonsense");
  await server.until(() => /tls\.reload_failed.*holds no PEM certificate/.test(server.errors), 10_000);
  install(trusted);
  await server.until(() => subject() === "CN = localhost", 10_000);

  running = false;
  await Promise.all([...streams, ...visitors]);
  assert.deepEqual(failures, []);
  assert.ok(answered > 8);
  assert.equal((server.errors.match(/tls\.reload_failed/g) ?? []).length, 2, "each broken pair is reported once");
});

test("a thousand idle TLS connections cost little", { timeout: 120_000 }, async (t) => {
  const resident = async () => (await server.metric("cove_process_resident_bytes")) / 1e6;
  const open = (count) => Promise.all(Array.from({ length: count }, () => new Promise((resolve, reject) => {
    const socket = connect({ port: new URL(server.url).port, rejectUnauthorized: false }, () => resolve(socket));
    socket.on("error", reject);
  })));
  const warm = await open(50);
  warm.forEach((socket) => socket.destroy());
  const was = await resident();
  const sockets = [];
  while (sockets.length < 1000) sockets.push(...(await open(50)));
  assert.ok((await server.metric("cove_connections")) >= 1000);
  const grown = (await resident()) - was;
  t.diagnostic(`1000 idle TLS connections: ${grown.toFixed(1)} MB`);
  if (!process.env.COVE_E2E_SANITIZED) assert.ok(grown < 60, `${grown} MB`);
  sockets.forEach((socket) => socket.destroy());
  await server.until(async () => (await server.metric("cove_connections")) < 50, 10_000);
});

test("client certificates can be demanded, and their subject is logged", async () => {
  const client = join(scratch, "client");
  newPair(client, "alice.example");
  const strict = await Server.start({ doNotWait: true,
    env: { ...tlsEnvironment(trusted), COVE_SERVER_TLS_CLIENT_CA: join(client, "cert.pem"), COVE_SERVER_TLS_CLIENT_AUTH: "required" } });
  const curl = (args) => spawnSync("curl", ["-sS", "--cacert", join(trusted, "cert.pem"), "--max-time", "10", ...args], { encoding: "utf8" });
  const withCertificate = (folder) => ["--cert", join(folder, "cert.pem"), "--key", join(folder, "key.pem")];
  await strict.until(() => /^try:/m.test(strict.output));
  assert.notEqual(curl([strict.url + "/livez"]).status, 0);
  assert.notEqual(curl([...withCertificate(trusted), strict.url + "/livez"]).status, 0);
  assert.equal(curl([...withCertificate(client), strict.url + "/livez"]).stdout, "ok\n");
  assert.match(curl([...withCertificate(client), strict.url + "/v1/models"]).stdout, /missing_api_key/, "a certificate is no API key");
  await strict.until(() => strict.errors.includes('client_certificate="CN=alice.example"') || strict.errors.includes("client_certificate=CN=alice.example"), 5_000);
  await strict.stop();
});

test("what is wrong with the files is said at the start", () => {
  const bad = join(scratch, "bad");
  newPair(bad);
  const start = (environment) => cove(["serve", "--port", "0", "--data", join(scratch, "data")], environment);
  const fails = (environment, message) => {
    const ended = start(environment);
    assert.equal(ended.status, 1, ended.stdout);
    assert.match(ended.stderr, message);
  };
  chmodSync(join(bad, "key.pem"), 0o644);
  fails(tlsEnvironment(bad), /key\.pem.*chmod 640/);
  chmodSync(join(bad, "key.pem"), 0o600);
  fails({ ...tlsEnvironment(bad), COVE_SERVER_TLS_KEY: join(trusted, "key.pem") }, /is not the key of the certificate/);
  fails({ COVE_SERVER_TLS_CERT: join(bad, "cert.pem") }, /server\.tls\.key is not/);
  fails({ ...tlsEnvironment(bad), COVE_SERVER_TLS_CERT: join(bad, "none.pem") }, /none\.pem/);
  const old = readFileSync(join(bad, "cert.pem"));
  const aged = spawnSync("openssl", ["x509", "-in", join(bad, "cert.pem"), "-key", join(bad, "key.pem"), "-days", "-1", "-out", join(bad, "cert.pem")]);
  assert.equal(aged.status, 0);
  fails(tlsEnvironment(bad), /cert\.pem' expired on .*renew it/);
  writeFileSync(join(bad, "cert.pem"), old);
  fails({ ...tlsEnvironment(bad), COVE_SERVER_TLS_CLIENT_AUTH: "required" }, /client_ca/);
});

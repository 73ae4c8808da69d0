// A loop of requests raises one alert, and it arrives: at a receiver of our own that is slow and broken first, and at Debian's
// Alertmanager.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Server, cove } from "./server.mjs";

const scratch = mkdtempSync(join(tmpdir(), "cove-e2e-alerts-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

async function loop(server, count) {
  for (let i = 0; i < count; ++i) assert.equal((await server.get("/v1/models")).status, 200);
}

test("one alert, signed, delivered although the receiver fails at first", async (t) => {
  const messages = [];
  let failures = 2;
  const receiver = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    if (failures-- > 0) return response.writeHead(503).end();
    messages.push({ body, signature: request.headers["x-cove-signature"], url: request.url });
    response.writeHead(204).end();
  });
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  t.after(() => receiver.close());
  const secret = "correct horse battery staple";
  writeFileSync(join(scratch, "secret"), secret + "\n", { mode: 0o600 });
  const hook = `http://127.0.0.1:${receiver.address().port}/hook/path-is-a-secret`;
  const server = await Server.start({ env: { COVE_ANOMALY_WEBHOOK: hook, COVE_ANOMALY_WEBHOOK_SECRET_FILE: join(scratch, "secret") } });
  await loop(server, 99);  // the start asked for /v1/models once
  assert.equal((await (await server.get("/v1/admin/alerts")).json()).data.length, 1, "this is the 101st");
  await loop(server, 100);
  await server.until(() => messages.length > 0, 20_000);
  const { alert, event } = JSON.parse(messages[0].body);
  assert.equal(event, "raised");
  assert.equal(alert.rule, "requests_per_minute");
  assert.equal(alert.name, "admin");
  assert.equal(alert.threshold, 100);
  const [, time, hex] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(messages[0].signature);
  assert.ok(Math.abs(Date.now() / 1000 - Number(time)) < 60);
  assert.equal(hex, createHmac("sha256", secret).update(`${time}.${messages[0].body}`).digest("hex"));
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.equal(messages.length, 1, "one alert, not one per request");
  const text = await (await server.get("/metrics")).text();
  assert.match(text, /^cove_alerts_total\{rule="requests_per_minute"\} 1$/m);
  assert.match(text, /^cove_alert_webhook_total\{result="delivered"\} 1$/m);
  assert.match(text, /^cove_alert_webhook_total\{result="failed"\} 2$/m);
  assert.equal((server.errors.match(/anomaly\.alert /g) ?? []).length, 1);
  assert.ok(!server.errors.includes("path-is-a-secret"), "the webhook's path is not logged");
  assert.equal(await server.stop(), 0);
});

test("Alertmanager shows the alert", async (t) => {
  if (spawnSync("prometheus-alertmanager", ["--version"]).error) {
    assert.notEqual(process.env.CI, "true", "prometheus-alertmanager is missing");
    return t.skip("prometheus-alertmanager is not installed");
  }
  writeFileSync(join(scratch, "alertmanager.yml"), "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n");
  const port = 20_000 + (process.pid % 20_000);
  const manager = spawn("prometheus-alertmanager", [`--config.file=${join(scratch, "alertmanager.yml")}`, `--storage.path=${scratch}`,
    `--web.listen-address=127.0.0.1:${port}`, "--cluster.listen-address="], { stdio: "ignore" });
  t.after(() => manager.kill());
  const api = `http://127.0.0.1:${port}/api/v2/alerts`;
  const alerts = async () => (await fetch(api).then((r) => r.json()).catch(() => undefined));
  const server = await Server.start({ env: { COVE_ANOMALY_WEBHOOK: api, COVE_ANOMALY_WEBHOOK_FORMAT: "alertmanager", COVE_ANOMALY_FAILED_LOGINS_ADDRESS: "3" } });
  await server.until(async () => (await alerts()) !== undefined, 20_000);
  await loop(server, 150);
  for (let i = 0; i < 5; ++i) assert.equal((await server.get("/v1/models", { Authorization: "Bearer sk-cove-wrong" })).status, 401);
  await server.until(async () => (await alerts()).length === 2, 20_000);
  const found = Object.fromEntries((await alerts()).map((alert) => [alert.labels.alertname, alert]));
  assert.equal(found.CoveRequestsPerMinute.status.state, "active");
  assert.match(found.CoveRequestsPerMinute.annotations.summary, /more than 100 requests in 60 s by key:1 \(admin\)/);
  assert.equal(found.CoveFailedLoginsAddress.labels.subject, "127.0.0.1");
  await server.stop();
});

test("what is wrong with the webhook's configuration is said at the start", () => {
  const run = (env) => cove(["serve", "--port", "0", "--data", join(scratch, "data")], env);
  writeFileSync(join(scratch, "open"), "0123456789abcdef0123", { mode: 0o644 });
  writeFileSync(join(scratch, "short"), "short\n", { mode: 0o600 });
  const url = { COVE_ANOMALY_WEBHOOK: "http://127.0.0.1:1/" };
  for (const [env, message] of [
    [{ COVE_ANOMALY_WEBHOOK: "alerts.example" }, /anomaly\.webhook must be/],
    [{ COVE_ANOMALY_WEBHOOK_SECRET_FILE: join(scratch, "short") }, /anomaly\.webhook is not/],
    [{ ...url, COVE_ANOMALY_WEBHOOK_SECRET_FILE: join(scratch, "none") }, /webhook_secret_file.*none/],
    [{ ...url, COVE_ANOMALY_WEBHOOK_SECRET_FILE: join(scratch, "open") }, /chmod 600/],
    [{ ...url, COVE_ANOMALY_WEBHOOK_SECRET_FILE: join(scratch, "short") }, /at least 16/],
    [{ ...url, COVE_ANOMALY_WEBHOOK_FORMAT: "xml" }, /anomaly\.webhook_format/],
  ]) {
    const ended = run(env);
    assert.equal(ended.status, 1, ended.stdout);
    assert.match(ended.stderr, message);
  }
});

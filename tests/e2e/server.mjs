// Starts `cove serve` for a test and stops it again. The model is COVE_E2E_MODEL, else models/cove-mini, else a tiny random one made of
// tests/golden with a chat template of its own.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const binary = process.env.COVE_BIN ?? join(root, "build", "release", "cove");
export const cove = (args, env = {}) => spawnSync(binary, args, { encoding: "utf8", env: { ...process.env, ...env }, timeout: 60_000 });

// As R1's: the prompt opens the thinking.
const template = `{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}`;

function randomModel() {
  const folder = mkdtempSync(join(tmpdir(), "cove-e2e-model-"));
  cpSync(join(root, "tests", "golden", "models", "qwen2_tied"), folder, { recursive: true });
  writeFileSync(join(folder, "chat_template.jinja"), template);
  return folder;
}

// The model's folder and whether its answers make sense.
export function chooseModel() {
  const wanted = process.env.COVE_E2E_MODEL ?? join(root, "models", "cove-mini");
  if (existsSync(join(wanted, "model.safetensors")) || wanted.endsWith(".gguf")) return { path: wanted, trained: true };
  if (process.env.COVE_E2E_MODEL) throw new Error(`there is no model at ${wanted}`);
  return { path: randomModel(), trained: false };
}

// A folder with cert.pem and key.pem for localhost that this process trusts. Node.js reads its trust at its start only: the test file
// `url` runs once more, below itself, with the certificate in NODE_EXTRA_CA_CERTS.
export function trustedCertificate(url) {
  if (process.env.COVE_E2E_TLS) return process.env.COVE_E2E_TLS;
  const folder = mkdtempSync(join(tmpdir(), "cove-e2e-tls-"));
  const made = cove(["tls", "new", "--out", folder]);
  if (made.status !== 0) throw new Error(made.stderr);
  const env = { ...process.env, COVE_E2E_TLS: folder, NODE_EXTRA_CA_CERTS: join(folder, "trusted.pem") };
  delete env.NODE_TEST_CONTEXT;
  cpSync(join(folder, "cert.pem"), env.NODE_EXTRA_CA_CERTS);
  const below = spawnSync(process.execPath, ["--test", fileURLToPath(url)], { env, stdio: "inherit" });
  rmSync(folder, { recursive: true, force: true });
  process.exit(below.status ?? 1);
}
export const tlsEnvironment = (folder) => ({ COVE_SERVER_TLS_CERT: join(folder, "cert.pem"), COVE_SERVER_TLS_KEY: join(folder, "key.pem") });

const alarming = /Sanitizer|runtime error:|LeakSanitizer|^[^ ]+ error |CHECK failed/;
// Tests ask more often than people do.
const unlimited = { COVE_LIMITS_REQUESTS_PER_MINUTE: "0" };

export class Server {
  // extra: { args, env, model, data, doNotWait, logBytesMax }
  static async start(extra = {}) {
    const server = new Server();
    const model = extra.model ?? chooseModel();
    Object.assign(server, { trained: model.trained, modelPath: model.path, output: "", errors: "" });
    server.data = extra.data ?? mkdtempSync(join(tmpdir(), "cove-e2e-data-"));
    const args = ["serve", "--model", model.path, "--port", "0", "--data", server.data, ...(extra.args ?? [])];
    server.process = spawn(binary, args, { env: { ...process.env, ...unlimited, ...extra.env }, stdio: ["ignore", "pipe", "pipe"] });
    server.exited = new Promise((resolve) => server.process.on("exit", (code, signal) => resolve(code ?? signal)));
    server.process.stdout.on("data", (text) => (server.output += text));
    server.alarms = [];  // what must never be logged, kept although the log may be cut
    server.process.stderr.on("data", (text) => {
      server.errors += text;
      for (const line of String(text).split("\n")) if (alarming.test(line)) server.alarms.push(line);
      if (server.errors.length > (extra.logBytesMax ?? Infinity)) server.errors = server.errors.slice(-extra.logBytesMax / 2);
    });
    await server.until(() => /listening on (\S+),/.test(server.errors));
    server.url = /listening on (\S+),/.exec(server.errors)[1];
    if (!extra.doNotWait) await server.ready();
    return server;
  }

  async until(condition, limitMs = 120_000) {
    const deadline = Date.now() + limitMs;
    let code;
    this.exited.then((value) => (code = value));
    while (!(await condition())) {
      if (code !== undefined) throw new Error(`cove serve ended with ${code}:\n${this.errors}`);
      if (Date.now() > deadline) throw new Error(`cove serve did not get there:\n${this.errors}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async ready() {
    // The banner comes just after the server turned ready.
    await this.until(() => /^try:/m.test(this.output));
    if (existsSync(join(this.data, "admin.key"))) this.key = readFileSync(join(this.data, "admin.key"), "utf8").trim();
    this.model = (await (await this.get("/v1/models")).json()).data[0].id;
  }

  get headers() {
    return this.key ? { Authorization: `Bearer ${this.key}` } : {};
  }
  get(path, headers = this.headers) {
    return fetch(this.url + path, { headers, redirect: "manual" });
  }
  post(path, body, options = {}) {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return fetch(this.url + path, { method: "POST", body: text, headers: { ...this.headers, "Content-Type": "application/json" }, ...options });
  }
  async metric(name) {
    const text = await (await this.get("/metrics")).text();
    const line = text.split("\n").find((l) => l.startsWith(name + " "));
    return line === undefined ? undefined : Number(line.split(" ")[1]);
  }
  // Every series of one name: [{ labels: { route: "..." }, value }].
  async series(name) {
    const text = await (await this.get("/metrics")).text();
    const lines = [...text.matchAll(new RegExp(`^${name}\\{(.*)\\} (\\S+)$`, "gm"))];
    return lines.map(([, labels, value]) => ({
      labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text])), value: Number(value) }));
  }

  // Ends the program; its data stays for another one.
  async leave(signal = "SIGTERM") {
    this.process.kill(signal);
    return this.exited;
  }

  async stop(signal = "SIGTERM") {
    const code = await this.leave(signal);
    rmSync(this.data, { recursive: true, force: true });
    if (this.modelPath.startsWith(tmpdir())) rmSync(this.modelPath, { recursive: true, force: true });
    return code;
  }
}

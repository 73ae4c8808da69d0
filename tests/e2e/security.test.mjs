// The walk-through of docs/operations/security.md, run as it stands there: all its sh blocks in one shell, and what follows "# ->"
// must be in the output of the block so far.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { binary, chooseModel, root } from "./server.mjs";

const page = readFileSync(join(root, "docs", "operations", "security.md"), "utf8");
const blocks = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, text]) => text);
const expected = (block) => [...block.matchAll(/^# -> (.*)$/gm)].map(([, text]) => text);

function freePort() {
  return new Promise((resolve) => {
    const listener = createServer().listen(0, "127.0.0.1", () => {
      const { port } = listener.address();
      listener.close(() => resolve(port));
    });
  });
}

test("the walk-through works as it is written", async (t) => {
  const model = chooseModel();
  if (!model.trained) return t.skip("it asks questions that only the trained model answers");
  const folder = mkdtempSync(join(tmpdir(), "cove-security-"));
  mkdirSync(join(folder, "bin"));
  symlinkSync(binary, join(folder, "bin", "cove"));
  // One shell runs all blocks; a mark goes out after each, so that the output can be cut into theirs.
  const script = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + blocks.map((block, i) => `${block}\necho; echo "=== end of block ${i}"\n`).join("\n");
  const run = spawnSync("bash", ["-ec", script], {
    cwd: folder, encoding: "utf8", timeout: 300_000,
    env: {
      ...process.env, PATH: `${join(folder, "bin")}:${process.env.PATH}`, MODEL: model.path,
      PORT: String(await freePort()), HOOK_PORT: String(await freePort()),
    },
  });
  const told = `${run.stdout}\n--- standard error\n${run.stderr}`;
  assert.equal(run.status, 0, told);
  assert.ok(blocks.length >= 11, "the page lost its blocks");
  let rest = run.stdout;
  blocks.forEach((block, i) => {
    const end = rest.indexOf(`=== end of block ${i}\n`);
    assert.ok(end >= 0, `block ${i} did not end\n${told}`);
    const output = rest.slice(0, end);
    rest = rest.slice(end);
    for (const text of expected(block)) assert.ok(output.includes(text), `block ${i} did not print ${JSON.stringify(text)}\n${told}`);
  });
  rmSync(folder, { recursive: true, force: true });
});

// Runs the end-to-end tests, or says why it cannot: exit 77 = skipped (ctest shows it so), with CI=true a failure.
// node tests/e2e/run.mjs [FILE...]; COVE_BIN, COVE_E2E_MODEL and COVE_E2E_SOAK_S are read by server.mjs and soak.test.mjs.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

function skip(reason) {
  console.log(`e2e: ${process.env.CI === "true" ? "cannot run" : "skipped"}: ${reason}`);
  process.exit(process.env.CI === "true" ? 1 : 77);
}

const major = Number(process.versions.node.split(".")[0]);
if (major < 18) skip(`Node.js ${process.versions.node} is too old; 18 or newer is needed`);
if (!existsSync(join(here, "node_modules", "openai"))) {
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: here, stdio: "inherit" });
  if (npm.status !== 0) skip("the npm packages could not be installed; try: cd tests/e2e && npm ci");
}
const chosen = process.argv.slice(2);
const files = chosen.length ? chosen : readdirSync(here).filter((name) => name.endsWith(".test.mjs")).sort();
const result = spawnSync(process.execPath, ["--test", ...files.map((name) => join(here, name))], { stdio: "inherit" });
process.exit(result.status ?? 1);

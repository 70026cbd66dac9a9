// The one command before a commit: types, lint and format, unused code, architecture, stale generated docs.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = (name) => join(root, "node_modules", ".bin", name);

const steps = [
  ["types", bin("tsc"), ["-p", "tsconfig.json"]],
  // The declarations of some foreign clients do not stand our strictness.
  ["types of the conformance tests", bin("tsc"), ["-p", "tests/conformance/tsconfig.json"]],
  ["lint and format", bin("biome"), ["check", "--error-on-warnings", "."]],
  ["unused code", bin("knip"), []],
  ["generated docs", process.execPath, ["scripts/generate-docs.ts", "--check"]],
  ["architecture", bin("vitest"), ["run", "tests/architecture"]],
];

let failed = 0;
for (const [name, command, args] of steps) {
  const started = performance.now();
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (result.status === 0) {
    console.log(`ok    ${name} (${seconds} s)`);
  } else {
    failed += 1;
    console.log(`FAIL  ${name} (${seconds} s)\n${result.stdout}${result.stderr}${result.error?.message ?? ""}`);
  }
}
process.exit(failed === 0 ? 0 : 1);

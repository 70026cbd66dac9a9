// Runs the tests and ends with one plain line that a person and a program can read: "Tests: N passed, N failed, N skipped".
// `--long` runs what repeats a hundred times or needs a built executable; further arguments go to Vitest as they are.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const long = process.argv.includes("--long");
const rest = process.argv.slice(2).filter((argument) => argument !== "--long");
const scratch = mkdtempSync(join(tmpdir(), "queen-hive-tests-"));
const report = join(scratch, "report.json");

const config = long ? "vitest.long.config.ts" : "vitest.config.ts";
const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
const args = [vitest, "run", "--config", config, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...rest];
const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));

child.on("exit", (code, signal) => {
  const counts = readCounts();
  rmSync(scratch, { recursive: true, force: true });
  if (counts === null) {
    console.error(`the test runner ended (${signal ?? code}) without a report`);
    process.exit(code === null || code === 0 ? 1 : code);
  }
  const { passed, failed, skipped } = counts;
  console.log(`Tests: ${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  process.exit(code ?? 1);
});

function readCounts() {
  try {
    const result = JSON.parse(readFileSync(report, "utf8"));
    return {
      passed: result.numPassedTests,
      failed: result.numFailedTests,
      skipped: result.numPendingTests + (result.numTodoTests ?? 0),
    };
  } catch {
    return null;
  }
}

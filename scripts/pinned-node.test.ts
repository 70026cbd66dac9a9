import { join } from "node:path";
import { REPOSITORY, runCommand, testEnvironment } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";

/** Each Node that starts says its pid and what it was told. */
const SAYS_FLAGS = `--import=data:text/javascript,${encodeURIComponent("console.error(JSON.stringify([process.pid,process.execArgv]))")}`;
const SEMI_SPACE = "--max-semi-space-size=16";
const POOL = expect.stringMatching(/^--v8-pool-size=[1-4]$/);

async function startsOf(words: readonly string[], nodeOptions = ""): Promise<readonly [pid: number, flags: readonly string[]][]> {
  const env = testEnvironment(REPOSITORY, { NODE_OPTIONS: `${SAYS_FLAGS} ${nodeOptions}` });
  const argv = [process.execPath, join(REPOSITORY, "bin", "queen.mjs"), ...words];
  const result = await runCommand(argv, { env, cwd: REPOSITORY });
  expect([result.exitCode, result.stdout]).toEqual([0, expect.stringContaining("Usage: queen")]);
  return result.stderr
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

it("`queen serve` from a checkout runs with the flags that it is measured with, as `npm start` does, and stays one process", async () => {
  const [asked, given, ...more] = await startsOf(["serve", "--help"]);
  expect(asked?.[1]).toEqual([]);
  expect(given).toEqual([asked?.[0], [SEMI_SPACE, POOL]]);
  expect(more).toEqual([]);
});

it("whoever sets it keeps what they set, and other commands start once", async () => {
  const [, given] = await startsOf(["serve", "--help"], "--max-semi-space-size=8");
  expect(given?.[1]).toEqual([POOL]);
  expect(await startsOf(["serve", "--help"], "--max-semi-space-size=8 --v8-pool-size=2")).toHaveLength(1);
  expect(await startsOf(["status", "--help"])).toHaveLength(1);
});

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isProcessAlive } from "@queen-and-hive/daemon";
import { metricOf, startTestHive, startTestQueen, until } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";

/** Makes a program throw where nobody catches it, at SIGUSR2, and reject where nobody waits, at SIGPIPE. */
const FAULTY = `process.on("SIGUSR2", () => { throw new Error("a fault of this test"); });
process.on("SIGPIPE", () => void Promise.reject(new Error("another fault of this test")));`;
const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(FAULTY)}` };

test("a queen goes on after a fault of her own, which is logged with its stack and counted", async () => {
  await using queen = await startTestQueen({ hives: [], env });
  const { pid } = queen.program.identity;
  const isCounted = async (kind: string) => (await metricOf(queen.url, `queen_faults_total{kind="${kind}"}`)) === 1;
  process.kill(pid, "SIGUSR2");
  await until(() => isCounted("exception"), 20_000, "the exception to be counted");
  process.kill(pid, "SIGPIPE");
  await until(() => isCounted("rejection"), 20_000, "the rejection to be counted");
  expectBothIn(join(queen.stateDir, "logs", "queen.log"));
  expect(isProcessAlive(queen.program.identity)).toBe(true);
}, 60_000);

test("a hive goes on after a fault of its own, which is logged with its stack and counted", async () => {
  await using hive = await startTestHive({ env });
  const { pid } = hive.identity;
  const metrics = async (): Promise<string> =>
    await (await fetch(`${hive.url}/metrics`, { headers: { authorization: `Bearer ${hive.token}` } })).text();
  const isCounted = async (kind: string) => (await metrics()).includes(`hive_faults_total{kind="${kind}"} 1`);
  process.kill(pid, "SIGUSR2");
  await until(() => isCounted("exception"), 20_000, "the exception to be counted");
  process.kill(pid, "SIGPIPE");
  await until(() => isCounted("rejection"), 20_000, "the rejection to be counted");
  expectBothIn(join(hive.stateDir, "logs", "hive.log"));
  expect(await hive.peer.call(HIVE_ENDPOINTS.getHealth)).toMatchObject({ status: "ok", pid });
}, 60_000);

function expectBothIn(log: string): void {
  const faults = readFileSync(log, "utf8")
    .split("\n")
    .filter((line) => line.includes('"fault":'))
    .map((line) => JSON.parse(line));
  expect(faults).toMatchObject([
    {
      level: "error",
      fault: "exception",
      error: { message: "a fault of this test", stack: expect.stringContaining("at process") },
    },
    {
      level: "error",
      fault: "rejection",
      error: { message: "another fault of this test", stack: expect.stringContaining("at process") },
    },
  ]);
}

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

/** A daemon with faults; it prints what it has logged and counted, as JSON, and ends by itself only when it has survived them. */
const PROGRAM = `
import { createMetrics, silentLog, surviveFaults } from ${JSON.stringify(fileURLToPath(new URL("index.ts", import.meta.url)))};
const lines = [];
const metrics = createMetrics();
const log = { ...silentLog, error: (message, fields) => lines.push({ message, stack: String(fields.error?.stack ?? fields.error), fault: fields.fault }) };
const faults = surviveFaults({ program: "hive", log, metrics });
async function job() { throw new Error("of a job"); }
function look() { throw new Error("of a look"); }
void job();
void Promise.reject("no error at all");
setTimeout(look);
setTimeout(() => { for (let i = 0; i < 3; i += 1) setTimeout(look); }, 20);
setTimeout(async () => {
  console.log(JSON.stringify({ lines, text: await metrics.render() }));
  faults[Symbol.dispose]();
  void job();
}, 200);
setTimeout(() => console.log("it lives"), 2_000);
`;

test("a daemon survives what nobody caught, logs it with its stack, once where it comes again, and counts it", async () => {
  const run = promisify(execFile)(process.execPath, ["--input-type=module-typescript", "-e", PROGRAM]);
  const { code, stdout, stderr } = await run.then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { readonly code: number; readonly stdout: string; readonly stderr: string }) => error,
  );
  const { lines, text } = JSON.parse(stdout.split("\n")[0] ?? "");
  expect(lines).toMatchObject([
    { fault: "rejection", stack: expect.stringMatching(/^Error: of a job\n {4}at job/) },
    { fault: "rejection", stack: "no error at all" },
    { fault: "exception", stack: expect.stringMatching(/^Error: of a look\n {4}at .*look/) },
  ]);
  expect(text).toContain('hive_faults_total{kind="rejection"} 2');
  expect(text).toContain('hive_faults_total{kind="exception"} 4');
  // Without this defence the same fault ends the process.
  expect([code, stdout.includes("it lives")]).toEqual([1, false]);
  expect(stderr).toContain("of a job");
}, 30_000);

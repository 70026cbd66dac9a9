import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, symlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readProcessIdentity, signalProcess, silentLog, systemClock } from "@queen-and-hive/daemon";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, test } from "vitest";
import type { ExitStatus } from "../domain/exit-status.ts";
import { watchProcess } from "./process-watch.ts";

test.each([
  ["alive", "cannot be opened", (path: string) => symlinkSync(path, path)],
  ["alive", "is no FIFO", (path: string) => mkdirSync(path)],
  ["exit", "cannot be opened", (path: string) => symlinkSync(path, path)],
  ["exit", "is no file", (path: string) => mkdirSync(path)],
  ["exit", "is a FIFO without a writer", (path: string) => void execFileSync("sh", ["-c", `mkfifo "$0"`, path])],
])(
  "the end of a process is seen also when the sign `%s` of its shim %s",
  async (sign, _what, spoil) => {
    await using directory = await temporaryDirectory();
    const child = spawn("sleep", ["600"], { stdio: "ignore" });
    const closed = once(child, "close");
    try {
      const identity = readProcessIdentity(child.pid ?? 0);
      if (identity === null) return expect.unreachable("it has just been started");
      spoil(directory.join(sign));
      const end = Promise.withResolvers<ExitStatus>();
      using _watch = watchProcess({
        process: { engine: identity, shim: identity },
        alivePath: directory.join("alive"),
        exitPath: directory.join("exit"),
        clock: systemClock,
        log: silentLog,
        onEnd: end.resolve,
      });
      signalProcess(identity, "SIGKILL");
      expect(await end.promise).toMatchObject({ exitCode: null });
    } finally {
      child.kill("SIGKILL");
      await closed;
    }
  },
  30_000,
);

/** A daemon without a free descriptor while its worker ends: it sees nothing then, and has to live on until it can. */
const BLIND_DAEMON = `
const { closeSync, openSync } = await import("node:fs");
const { spawn } = await import("node:child_process");
const { readProcessIdentity, systemClock } = await import("@queen-and-hive/daemon");
const { watchProcess } = await import(process.argv[1]);
const child = spawn("sleep", ["600"], { stdio: "ignore" });
const identity = readProcessIdentity(child.pid);
const seen = Promise.withResolvers();
watchProcess({
  process: { engine: identity, shim: identity },
  alivePath: "/nowhere/alive",
  exitPath: "/nowhere/exit",
  clock: systemClock,
  log: { warn: (message, { error }) => console.log(message, error.code) },
  onEnd: (status) => seen.resolve(status),
});
const held = [];
try {
  for (;;) held.push(openSync("/dev/null", "r"));
} catch {}
child.kill("SIGKILL");
await systemClock.sleep(800);
for (const descriptor of held) closeSync(descriptor);
console.log(JSON.stringify(await seen.promise));
`;

test("a daemon that runs out of descriptors lives on, and sees the end of a worker when it has some again", () => {
  const source = fileURLToPath(new URL("process-watch.ts", import.meta.url));
  const limited = 'ulimit -n 64; exec "$0" --input-type=module --eval "$1" "$2"';
  const cwd = fileURLToPath(new URL(".", import.meta.url));
  const run = spawnSync("sh", ["-c", limited, process.execPath, BLIND_DAEMON, source], { encoding: "utf8", cwd });
  expect(run).toMatchObject({
    status: 0,
    stdout: 'cannot see whether a worker lives EMFILE\n{"exitCode":null,"signal":null}\n',
  });
});

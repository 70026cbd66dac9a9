import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, symlinkSync } from "node:fs";
import { readProcessIdentity, signalProcess, systemClock } from "@queen-and-hive/daemon";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, test } from "vitest";
import type { ExitStatus } from "../domain/exit-status.ts";
import { watchProcess } from "./process-watch.ts";

test.each([
  ["cannot be opened", (path: string) => symlinkSync(path, path)],
  ["is no FIFO", (path: string) => mkdirSync(path)],
])(
  "the end of a process is seen without events too, when its shim's sign %s",
  async (_what, spoil) => {
    await using directory = await temporaryDirectory();
    const child = spawn("sleep", ["600"], { stdio: "ignore" });
    const closed = once(child, "close");
    try {
      const identity = readProcessIdentity(child.pid ?? 0);
      if (identity === null) return expect.unreachable("it has just been started");
      spoil(directory.join("alive"));
      const end = Promise.withResolvers<ExitStatus>();
      using _watch = watchProcess({
        process: { engine: identity, shim: identity },
        alivePath: directory.join("alive"),
        exitPath: directory.join("exit"),
        clock: systemClock,
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

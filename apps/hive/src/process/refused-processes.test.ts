import { execFile, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { isProcessAlive, readProcessIdentity } from "@queen-and-hive/daemon";
import { skipsWithout } from "@queen-and-hive/dev-env";
import { expect, test } from "vitest";

const NOBODY_UID = 65_534;

/** Run as nobody: ends a process of root's and one of its own that is deaf to TERM, and prints how that went. */
const PROGRAM = `
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Deadline, isProcessAlive, readProcessIdentity, signalProcessGroup, systemClock } from "@queen-and-hive/daemon";
import { endProcesses } from ${JSON.stringify(fileURLToPath(new URL("end-processes.ts", import.meta.url)))};
const roots = readProcessIdentity(Number(process.argv[1]));
const child = spawn("sh", ["-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"], { stdio: ["ignore", "pipe", "ignore"] });
await once(child.stdout, "data");
const own = readProcessIdentity(child.pid);
const all = [roots, own].map((identity) => ({ identity, workerId: "worker", pgrp: 0 }));
const steps = [];
const { how, left, refused } = await endProcesses({
  process: null,
  find: () => all.filter(({ identity }) => isProcessAlive(identity)),
  termMs: 100,
  verifyMs: 500,
  deadline: () => Deadline.in(5_000),
  clock: systemClock,
  onStep: ({ step, pids }) => steps.push({ step, pids }),
});
const group = signalProcessGroup(roots, "SIGTERM");
console.log(JSON.stringify({ how, left: left.map(({ identity }) => identity.pid), refused: [...refused], steps, own: own.pid, group }));
child.kill("SIGKILL");
`;

test.skipIf(skipsWithout(process.getuid?.() === 0, "root"))(
  "a process that became another user's is named as left, and keeps none of the others alive (needs root)",
  async () => {
    const stranger = spawn("sleep", ["600"], { stdio: "ignore", detached: true });
    try {
      const pid = stranger.pid ?? 0;
      const argv = ["--input-type=module", "-e", PROGRAM, String(pid)];
      const cwd = fileURLToPath(new URL(".", import.meta.url));
      const { stdout } = await promisify(execFile)(process.execPath, argv, { uid: NOBODY_UID, cwd });
      const told = JSON.parse(stdout);
      expect(told).toMatchObject({ how: "killed", left: [pid], refused: [pid], group: "refused" });
      expect(told.steps).toEqual([
        { step: "term", pids: [told.own] },
        { step: "sweep", pids: [told.own] },
      ]);
      const identity = readProcessIdentity(pid);
      expect(identity !== null && isProcessAlive(identity)).toBe(true);
    } finally {
      stranger.kill("SIGKILL");
    }
  },
  30_000,
);

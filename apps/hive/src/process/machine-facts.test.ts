import { spawn } from "node:child_process";
import { once } from "node:events";
import { readProcessIdentity, signalProcessGroup } from "@queen-and-hive/daemon";
import { expect, test } from "vitest";
import { useOfTree } from "./machine-facts.ts";
import { readProcessTable } from "./process-table.ts";

/** Takes some tenths of a second of CPU time. */
const BURN = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done";

test.each([
  ["a child that has ended", `sh -c '${BURN}'; echo done; read -r _`],
  ["a child in a session of its own", `setsid -w sh -c '${BURN}; echo done; read -r _'`],
])("what a worker has used counts %s", async (_what, script) => {
  const shim = spawn("sh", ["-c", `sh -c "$1"; true`, "shim", script], { detached: true, stdio: ["pipe", "pipe", "ignore"] });
  try {
    const identity = readProcessIdentity(shim.pid ?? 0);
    if (identity === null) return expect.unreachable("it has just been started");
    await once(shim.stdout, "data");
    const use = useOfTree(readProcessTable(), identity.pid);
    expect(use.cpuMs).toBeGreaterThanOrEqual(50);
    expect(use.residentBytes).toBeGreaterThan(0);
    shim.stdin.end();
    await once(shim, "close");
    expect(useOfTree(readProcessTable(), identity.pid)).toEqual({ cpuMs: 0, residentBytes: 0 });
    signalProcessGroup(identity, "SIGKILL");
  } finally {
    shim.kill("SIGKILL");
  }
});

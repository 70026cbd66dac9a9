import { spawn } from "node:child_process";
import { once } from "node:events";
import { type ProcessIdentity, readProcessIdentity, signalProcess } from "@queen-and-hive/daemon";
import { expect, test } from "vitest";
import { useOfTree } from "./machine-facts.ts";
import { readProcessTable, treeOf } from "./process-table.ts";

/** Takes some tenths of a second of CPU time. */
const BURN = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done";
const NOTHING = { cpuMs: 0, residentBytes: 0 };

test.each([
  ["a child that has ended", `sh -c '${BURN}'; echo done; read -r _`],
  ["a child in a session of its own", `setsid -w sh -c '${BURN}; echo done; read -r _'`],
])("what a worker has used counts %s", async (_what, script) => {
  const shim = spawn("sh", ["-c", `sh -c "$1"; true`, "shim", script], { detached: true, stdio: ["pipe", "pipe", "ignore"] });
  let tree: readonly ProcessIdentity[] = [];
  try {
    const identity = readProcessIdentity(shim.pid ?? 0);
    if (identity === null) return expect.unreachable("it has just been started");
    await once(shim.stdout, "data");
    const table = readProcessTable();
    tree = [...treeOf(table, identity)].flatMap((pid) => readProcessIdentity(pid) ?? []);
    expect(tree.length).toBeGreaterThan(0);
    const use = useOfTree(table, identity);
    expect(use.cpuMs).toBeGreaterThanOrEqual(50);
    expect(use.residentBytes).toBeGreaterThan(0);
    // As if its pid had come to somebody else.
    expect(useOfTree(table, { ...identity, start_time: identity.start_time - 1 })).toEqual(NOTHING);
    shim.stdin.end();
    await once(shim, "close");
    expect(useOfTree(readProcessTable(), identity)).toEqual(NOTHING);
  } finally {
    shim.stdin.end();
    shim.kill("SIGKILL");
    for (const process of tree) signalProcess(process, "SIGKILL");
  }
});

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { skipsWithout } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";
import { descendantKeys, processKey, readProcessTable, treeOf } from "./process-table.ts";

it("shows this process with its parent", () => {
  expect(readProcessTable().get(process.pid)?.ppid).toBe(process.ppid);
});

it("shows what is below a process, and nothing below another that has its pid now", () => {
  const table = readProcessTable();
  const parent = { pid: process.ppid, start_time: table.get(process.ppid)?.start_time ?? 0 };
  const own = processKey(process.pid, { start_time: table.get(process.pid)?.start_time ?? 0 });
  expect([descendantKeys(table, [parent]).has(own), treeOf(table, parent).has(process.pid)]).toEqual([true, true]);
  const before = { ...parent, start_time: parent.start_time - 1 };
  expect([descendantKeys(table, [before]).size, treeOf(table, before).size]).toEqual([0, 0]);
});

const MOUNT = "mount -t proc -o hidepid=1 proc /proc";
const canHide = spawnSync("unshare", ["--mount", "sh", "-c", MOUNT]).status === 0;

it.skipIf(skipsWithout(canHide, "the right to mount /proc with hidepid"))("leaves out what other users hide from us", () => {
  const source = fileURLToPath(new URL("process-table.ts", import.meta.url));
  const look = `const { readProcessTable } = await import(${JSON.stringify(source)});
    const table = readProcessTable();
    console.log(table.has(process.pid), table.has(1));`;
  const asNobody = `${MOUNT} && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$0" --input-type=module --eval "$1"`;
  const run = spawnSync("unshare", ["--mount", "sh", "-c", asNobody, process.execPath, look], { encoding: "utf8" });
  expect(run).toMatchObject({ stdout: "true false\n" });
});

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { readProcessTable } from "./process-table.ts";

it("shows this process with its parent", () => {
  expect(readProcessTable().get(process.pid)?.ppid).toBe(process.ppid);
});

const MOUNT = "mount -t proc -o hidepid=1 proc /proc";
const canHide = spawnSync("unshare", ["--mount", "sh", "-c", MOUNT]).status === 0;

it.skipIf(!canHide)("leaves out what other users hide from us", () => {
  const source = fileURLToPath(new URL("process-table.ts", import.meta.url));
  const look = `const { readProcessTable } = await import(${JSON.stringify(source)});
    const table = readProcessTable();
    console.log(table.has(process.pid), table.has(1));`;
  const asNobody = `${MOUNT} && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$0" --input-type=module --eval "$1"`;
  const run = spawnSync("unshare", ["--mount", "sh", "-c", asNobody, process.execPath, look], { encoding: "utf8" });
  expect(run).toMatchObject({ stdout: "true false\n" });
});

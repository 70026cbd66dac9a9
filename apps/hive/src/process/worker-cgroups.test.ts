import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLog } from "@queen-and-hive/daemon";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";
import { WorkerCgroups } from "./worker-cgroups.ts";

// Directories stand for cgroups here: what is made, read and removed is the same. With real ones: supervision-stop.test.ts.

it("empty cgroups that a killed daemon left are removed, but not those that are still asked, used, or another hive's", async () => {
  await using directory = await temporaryDirectory();
  const make = (name: string): string => mkdirSync(directory.join(name), { recursive: true }) ?? name;
  for (const name of ["hive-own-gone", "hive-own-ended", "hive-own-busy/below", "hive-other-gone", "system.slice"]) make(name);
  new WorkerCgroups("own", silentLog, directory.path).removeStrays(new Set(["ended"]));
  expect(readdirSync(directory.path).sort()).toEqual(["hive-other-gone", "hive-own-busy", "hive-own-ended", "system.slice"]);
});

it("a cgroup that an earlier daemon made elsewhere is asked, searched and removed there", async () => {
  await using directory = await temporaryDirectory();
  const [before, now] = [directory.join("session-1.scope"), directory.join("session-2.scope")];
  for (const dir of [join(before, "hive-own-w"), now]) mkdirSync(dir, { recursive: true });
  const groups = new WorkerCgroups("own", silentLog, now);
  writeFileSync(join(before, "hive-own-w", "memory.events"), "low 0\nhigh 0\nmax 9\noom 1\noom_kill 3\noom_group_kill 0\n");
  writeFileSync(join(before, "hive-own-w", "cgroup.procs"), "4711\n4712\n");
  expect([groups.oomKills("w"), [...groups.members()]]).toEqual([null, []]);
  groups.recall("w", join(before, "hive-own-w"));
  expect([groups.oomKills("w"), [...groups.members()]]).toEqual([
    3,
    [
      [4711, "w"],
      [4712, "w"],
    ],
  ]);
  // The next start of the worker is held where we live ourselves.
  groups.hold("w", process.pid);
  expect(existsSync(join(now, "hive-own-w", "cgroup.procs"))).toBe(true);
});

it("no other directory is ever taken over, whatever a damaged note says", async () => {
  await using directory = await temporaryDirectory();
  const groups = new WorkerCgroups("own", silentLog, directory.path);
  for (const name of ["hive-other-w", "hive-own-another", "w"]) {
    mkdirSync(directory.join(name));
    writeFileSync(join(directory.join(name), "cgroup.procs"), "4711\n");
    groups.recall("w", directory.join(name));
  }
  expect(groups.dirOf("w")).toBe(directory.join("hive-own-w"));
});

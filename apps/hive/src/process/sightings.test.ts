import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, readFileSync, rmdirSync, rmSync, statSync } from "node:fs";
import { silentLog } from "@queen-and-hive/daemon";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";
import { type Sighting, Sightings } from "./sightings.ts";

const BOOT = "3f1b9c1e-0000-4000-8000-000000000001";
const seen = (keys: readonly string[], more: Partial<Sighting> = {}): Sighting => ({
  keys,
  cgroup: "/sys/fs/cgroup/a place/hive-1-worker-1",
  oomKills: { machine: 4, worker: null },
  ...more,
});

function linesOf(path: string): number {
  return readFileSync(path, "utf8").split("\n").length - 1;
}

it("what was seen is known to the next daemon of the same boot, and to nobody in another", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.join("seen-1");
  const sightings = new Sightings(path, BOOT, silentLog);
  expect(sightings.recall()).toBeNull();
  sightings.note(seen(["1:10", "2:20"]));
  sightings.note(seen(["2:20", "3:30"], { oomKills: { machine: 5, worker: 1 } }));
  const expected = seen(["1:10", "2:20", "3:30"], { oomKills: { machine: 5, worker: 1 } });
  const next = new Sightings(path, BOOT, silentLog);
  expect(next.recall()).toEqual(expected);
  // It goes on where the other has ended.
  next.note(seen(["3:30", "4:40"], { oomKills: { machine: 5, worker: 1 } }));
  expect(new Sightings(path, BOOT, silentLog).recall()?.keys).toEqual(["1:10", "2:20", "3:30", "4:40"]);
  expect(new Sightings(path, "another-boot", silentLog).recall()).toBeNull();
});

it("nothing is written while nothing new is there, also when processes end", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.join("seen-1");
  const sightings = new Sightings(path, BOOT, silentLog);
  sightings.note(seen(["1:10", "2:20", "3:30"]));
  const { ino, mtimeNs } = statSync(path, { bigint: true });
  for (const keys of [["1:10", "2:20", "3:30"], ["3:30"], [], ["2:20"]]) sightings.note(seen(keys));
  expect(statSync(path, { bigint: true })).toMatchObject({ ino, mtimeNs });
});

it("processes that change at every look cost a line each, and the file is bounded by dropping the dead", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.join("seen-1");
  const sightings = new Sightings(path, BOOT, silentLog);
  let files = 0;
  let ino = 0;
  let most = 0;
  let last: readonly string[] = [];
  for (let look = 0; look < 2_000; look += 1) {
    last = ["1:10", ...Array.from({ length: 5 }, (_, index) => `${100 + index}:${look}`)];
    const before = look === 0 ? 0 : linesOf(path);
    sightings.note(seen(last));
    const added = linesOf(path) - before;
    if (look > 0 && added > 0) expect(added).toBe(5);
    const now = statSync(path).ino;
    if (now !== ino) files += 1;
    ino = now;
    most = Math.max(most, linesOf(path));
  }
  expect(most).toBeLessThanOrEqual(2_048);
  expect(files).toBeLessThanOrEqual(1 + Math.ceil((2_000 * 5) / 2_000));
  const recalled = new Sightings(path, BOOT, silentLog).recall();
  expect(recalled?.keys).toEqual(expect.arrayContaining([...last]));
  expect(recalled?.oomKills).toEqual({ machine: 4, worker: null });
});

it("of very many processes the newest are kept, without writing them again and again", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.join("seen-1");
  const sightings = new Sightings(path, BOOT, silentLog);
  const keys = Array.from({ length: 5_000 }, (_, index) => `${index + 1}:7`);
  sightings.note(seen(keys));
  const { ino, size } = statSync(path);
  sightings.note(seen(keys));
  expect(statSync(path)).toMatchObject({ ino, size });
  expect(new Sightings(path, BOOT, silentLog).recall()?.keys).toEqual(keys.slice(-512));
});

it("what was cut off, or is no key, is left out", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.join("seen-1");
  new Sightings(path, BOOT, silentLog).note(seen(["1:10"]));
  appendFileSync(path, "process 1:\nprocess ../x\nwhat is this\noom_kills 9\nprocess 22:2");
  expect(new Sightings(path, BOOT, silentLog).recall()).toEqual(seen(["1:10"]));
});

it("nobody waits for a FIFO that a worker has put there", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.join("seen-1");
  const sightings = new Sightings(path, BOOT, silentLog);
  sightings.note(seen(["1:10"]));
  rmSync(path);
  execFileSync("mkfifo", [path]);
  expect(new Sightings(path, BOOT, silentLog).recall()).toBeNull();
  for (const keys of [
    ["1:10", "2:20"],
    ["1:10", "2:20", "3:30"],
  ])
    sightings.note(seen(keys));
  expect(new Sightings(path, BOOT, silentLog).recall()?.keys).toEqual(["1:10", "2:20", "3:30"]);
});

it("a disk that refuses is said once, and what was missed is written when it takes something again", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.join("seen-1");
  let warnings = 0;
  const log = {
    warn: () => {
      warnings += 1;
    },
  };
  const sightings = new Sightings(path, BOOT, log);
  mkdirSync(path);
  for (const keys of [["1:10"], ["1:10", "2:20"]]) sightings.note(seen(keys));
  expect(warnings).toBe(1);
  rmdirSync(path);
  sightings.note(seen(["1:10", "2:20"]));
  expect(new Sightings(path, BOOT, log).recall()?.keys).toEqual(["1:10", "2:20"]);
  expect(warnings).toBe(1);
});

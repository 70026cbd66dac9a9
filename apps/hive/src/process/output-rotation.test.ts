import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { setImmediate } from "node:timers/promises";
import { type Log, silentLog } from "@queen-and-hive/daemon";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, test } from "vitest";
import { OutputReader } from "./output-reader.ts";
import { OutputRotation } from "./output-rotation.ts";

test("a rotation moves older parts on and keeps no more than it may, of a flood the end", async () => {
  await using directory = await temporaryDirectory();
  const { path, read, rotation, rotated } = outputIn(directory.path);
  for (const text of ["first", "second", "a flood of more"]) {
    writeFileSync(path, text);
    await rotation.rotate();
  }
  expect([read(""), read(".1"), read(".2")]).toEqual(["", "ore", "second"]);
  await rotation.rotate();
  // Where each part began in what was cut off; the small file was left alone.
  expect(rotated()).toEqual([0, 0, 12]);
});

test("output that cannot be copied is dropped, said once, and the history stays as it was", async () => {
  await using directory = await temporaryDirectory();
  const { path, read, rotation, rotated, said } = outputIn(directory.path);
  writeFileSync(`${path}.1`, "older");
  writeFileSync(`${path}.2`, "oldest");
  mkdirSync(`${path}.copy`);
  for (const text of ["lost", "lost again"]) {
    writeFileSync(path, text);
    await rotation.rotate();
  }
  expect([read(""), read(".1"), read(".2"), said()]).toEqual(["", "older", "oldest", 1]);
  expect(rotated()).toEqual([null, null]);
  rmdirSync(`${path}.copy`);
  writeFileSync(path, "kept");
  await rotation.rotate();
  expect([read(""), read(".1"), read(".2"), said()]).toEqual(["", "kept", "older", 1]);
});

test("a large file is copied beside everything else, and what is written meanwhile is kept", async () => {
  await using directory = await temporaryDirectory();
  const { path, rotation } = outputIn(directory.path, 32 * MIB);
  writeFileSync(path, "begin");
  truncateSync(path, 64 * MIB);
  const whole = rotation.rotate();
  const sizes = new Set<number>();
  while (!existsSync(`${path}.1`)) {
    const { size } = statSync(`${path}.copy`, { throwIfNoEntry: false }) ?? {};
    if (size === undefined) {
      await setImmediate();
      continue;
    }
    if (sizes.size === 0) appendFileSync(path, "end");
    sizes.add(size);
    // The same copy goes on.
    await rotation.rotate();
    await setImmediate();
  }
  await whole;
  expect(sizes.size).toBeGreaterThan(10);
  const part = readFileSync(`${path}.1`, "latin1");
  expect([part.length, part.slice(0, 5), part.slice(-3)]).toEqual([64 * MIB + 3, "begin", "end"]);
  expect(statSync(path).size).toBe(0);
});

test("a file that was put aside for the next start while it was copied stays as it is, and so does the next one's", async () => {
  await using directory = await temporaryDirectory();
  const { path, rotation, rotated } = outputIn(directory.path, MIB);
  writeFileSync(path, Buffer.alloc(4 * MIB));
  const copied = rotation.rotate();
  while (!existsSync(`${path}.copy`)) await setImmediate();
  renameSync(path, directory.join("output-1.log"));
  writeFileSync(path, Buffer.alloc(2 * MIB));
  await copied;
  expect(readdirSync(directory.path).sort()).toEqual(["output-1.log", "output.log"]);
  expect([statSync(directory.join("output-1.log")).size, statSync(path).size]).toEqual([4 * MIB, 2 * MIB]);
  expect(rotated()).toEqual([]);
});

test("whoever reads the output gets each byte once, over rotations that it is told of", async () => {
  await using directory = await temporaryDirectory();
  const path = directory.join("output.log");
  using reader = new OutputReader(path, 0, silentLog);
  const rotation = new OutputRotation(path, { bytesMax: 3, kept: 2 }, silentLog, (from) => reader.rotated(from));
  appendFileSync(path, "ab");
  expect(reader.next()).toBe("ab");
  for (const text of ["cd", "efgh"]) {
    appendFileSync(path, text);
    await rotation.rotate();
  }
  // A character of two bytes, of which the first rotation cuts the second off.
  const [first, second] = Buffer.from("ü");
  appendFileSync(path, Buffer.from([0x69, 0x6a, 0x6b, first ?? 0]));
  await rotation.rotate();
  appendFileSync(path, Buffer.from([second ?? 0]));
  let text = "";
  for (let piece = reader.next(); piece !== ""; piece = reader.next()) text += piece;
  expect(text).toBe("cdefghijkü");
  // Of a flood what was kept, from where it was kept.
  appendFileSync(path, "a flood of more");
  await rotation.rotate();
  expect([reader.next(), reader.next()]).toEqual(["ore", ""]);
});

const MIB = 1_048_576;

function outputIn(folder: string, bytesMax = 3) {
  const path = `${folder}/output.log`;
  let errors = 0;
  const rotated: (number | null)[] = [];
  const log: Log = {
    ...silentLog,
    error: () => {
      errors += 1;
    },
  };
  return {
    path,
    read: (part: string) => readFileSync(`${path}${part}`, "utf8"),
    rotation: new OutputRotation(path, { bytesMax, kept: 2 }, log, (partFrom) => void rotated.push(partFrom)),
    rotated: () => rotated,
    said: () => errors,
  };
}

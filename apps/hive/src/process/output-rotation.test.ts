import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { type Log, silentLog } from "@queen-and-hive/daemon";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, test } from "vitest";
import { OutputRotation } from "./output-rotation.ts";

test("a rotation moves older parts on and keeps no more than it may, of a flood the end", async () => {
  await using directory = await temporaryDirectory();
  const { path, read, rotation } = outputIn(directory.path);
  for (const text of ["first", "second", "a flood of more"]) {
    writeFileSync(path, text);
    expect(rotation.rotate()).toBe(true);
  }
  expect([read(""), read(".1"), read(".2")]).toEqual(["", "ore", "second"]);
  expect(rotation.rotate()).toBe(false);
});

test("output that cannot be copied is dropped, said once, and the history stays as it was", async () => {
  await using directory = await temporaryDirectory();
  const { path, read, rotation, said } = outputIn(directory.path);
  writeFileSync(`${path}.1`, "older");
  writeFileSync(`${path}.2`, "oldest");
  mkdirSync(`${path}.copy`);
  for (const text of ["lost", "lost again"]) {
    writeFileSync(path, text);
    expect(rotation.rotate()).toBe(true);
  }
  expect([read(""), read(".1"), read(".2"), said()]).toEqual(["", "older", "oldest", 1]);
  rmdirSync(`${path}.copy`);
  writeFileSync(path, "kept");
  rotation.rotate();
  expect([read(""), read(".1"), read(".2"), said()]).toEqual(["", "kept", "older", 1]);
});

function outputIn(folder: string) {
  const path = `${folder}/output.log`;
  let errors = 0;
  const log: Log = {
    ...silentLog,
    error: () => {
      errors += 1;
    },
  };
  return {
    path,
    read: (part: string) => readFileSync(`${path}${part}`, "utf8"),
    rotation: new OutputRotation(path, { bytesMax: 3, kept: 2 }, log),
    said: () => errors,
  };
}

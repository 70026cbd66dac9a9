import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { findOurs } from "./find-ours.ts";

const WORKER_ID = "worker-of-this-test";
let workersDir: string;
let children: ChildProcess[];
beforeEach(() => {
  workersDir = realpathSync(mkdtempSync(join(tmpdir(), "qh-find-ours-")));
  mkdirSync(join(workersDir, WORKER_ID));
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(workersDir, { recursive: true, force: true });
});

/** A process without a marker that stands in the worker's directory and writes there. */
async function writerTo(file: string): Promise<number> {
  const cwd = join(workersDir, WORKER_ID);
  const output = openSync(join(cwd, file), "a");
  const child = spawn("sleep", ["600"], { cwd, env: { PATH: process.env["PATH"] }, stdio: ["ignore", output, output] });
  closeSync(output);
  children.push(child);
  await new Promise((resolve, reject) => child.once("spawn", resolve).once("error", reject));
  return child.pid ?? 0;
}

function found(): readonly number[] {
  return findOurs({ stateId: "nobody", workersDir }, new Map()).map(({ identity }) => identity.pid);
}

it.each(["output.log", "output.log.2", "output-3.log", "output-3.log.1"])(
  "a process in a worker's directory that writes to its %s is the worker's, also once that is deleted",
  async (file) => {
    const pid = await writerTo(file);
    expect(found()).toEqual([pid]);
    rmSync(join(workersDir, WORKER_ID, file));
    expect(found()).toEqual([pid]);
  },
);

it.each(["stacks.txt", "my-output.log", "exit-1"])("an operator who writes %s from there is left alone", async (file) => {
  await writerTo(file);
  expect(found()).toEqual([]);
});

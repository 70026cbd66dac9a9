import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, mkdtempSync, openSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readProcessIdentity, signalProcess } from "@queen-and-hive/daemon";
import { afterEach, beforeEach, expect, it } from "vitest";
import { findOurs, type KnownProcesses } from "./find-ours.ts";
import { processKey } from "./process-table.ts";

const WORKER_ID = "worker-of-this-test";
let workersDir: string;
let children: ChildProcess[];
const closing: (() => void)[] = [];
beforeEach(() => {
  workersDir = realpathSync(mkdtempSync(join(tmpdir(), "qh-find-ours-")));
  mkdirSync(join(workersDir, WORKER_ID));
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  for (const close of closing.splice(0)) close();
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

function found(known?: KnownProcesses): readonly number[] {
  const recorded = new Map(known === undefined ? [] : [[WORKER_ID, known]]);
  return findOurs({ stateId: "nobody", workersDir }, recorded).map(({ identity }) => identity.pid);
}

/** A session of somebody whose processes stand in the worker's directory: its leader, and two that it has started. */
async function sessionThere() {
  const cwd = join(workersDir, WORKER_ID);
  const script = "sleep 600 & echo $!; sleep 601 & echo $!; wait";
  const child = spawn("sh", ["-c", script], { cwd, detached: true, env: { PATH: process.env["PATH"] } });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
  });
  while (text.split("\n").length < 3) await once(child.stdout, "data");
  const leader = known(child.pid ?? 0);
  const others = text.trim().split("\n").map(Number).map(known);
  const end = async (): Promise<void> => {
    const ended = once(child, "exit");
    signalProcess(leader, "SIGKILL");
    await ended;
  };
  closing.push(() => {
    for (const identity of [leader, ...others]) signalProcess(identity, "SIGKILL");
  });
  return { leader, others, pids: [leader, ...others].map(({ pid }) => pid), end };
}

function known(pid: number) {
  const identity = readProcessIdentity(pid);
  if (identity === null) throw new Error("it has just been started");
  return identity;
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

it("those in a recorded session are the worker's only while its leader is the recorded one, by start time", async () => {
  const { leader, pids } = await sessionThere();
  const recorded = (startTime: number): KnownProcesses => ({ sessions: new Map([[leader.pid, startTime]]), keys: new Set() });
  expect([...found(recorded(leader.start_time))].sort()).toEqual([...pids].sort());
  // The number was a worker's, and is a stranger's now.
  expect(found(recorded(leader.start_time - 1))).toEqual([]);
});

it("a session whose leader is gone is the worker's only if somebody in it surely is", async () => {
  const { leader, others, end } = await sessionThere();
  await end();
  const sessions = new Map([[leader.pid, leader.start_time - 1]]);
  expect(found({ sessions, keys: new Set() })).toEqual([]);
  // One of them was recorded itself: its session was never another's, and so the other is the worker's too.
  const [one] = others;
  const keys = new Set(one === undefined ? [] : [processKey(one.pid, one)]);
  expect([...found({ sessions, keys })].sort()).toEqual(others.map(({ pid }) => pid).sort());
});

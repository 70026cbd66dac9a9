import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Deadline, isProcessAlive, readProcessIdentity, systemClock } from "@queen-and-hive/daemon";
import { afterEach, expect, test } from "vitest";
import { type EndStep, endProcesses } from "./end-processes.ts";
import type { FoundProcess } from "./find-ours.ts";

const parents: number[] = [];
afterEach(() => {
  for (const pid of parents.splice(0)) tryKill(pid);
});

test("what starts anew whenever it is killed is ended with its cgroup, and each way is told with whom it met", async () => {
  // Its children alone are found, as of a program that forks faster than anybody looks.
  const parent = spawn("sh", ["-c", "while :; do sleep 600; done"], { stdio: "ignore" });
  await once(parent, "spawn");
  const root = parent.pid ?? 0;
  parents.push(root);
  const steps: EndStep[] = [];
  let cgroupKills = 0;
  const { how, left } = await endProcesses({
    process: null,
    find: () => foundOf(root),
    killCgroup: () => {
      cgroupKills += 1;
      // The first one comes between a fork and its child.
      if (cgroupKills === 1) return true;
      const children = childrenOf(root);
      tryKill(root);
      for (const { identity } of children) tryKill(identity.pid);
      return true;
    },
    termMs: 0,
    verifyMs: 20_000,
    deadline: () => Deadline.in(20_000),
    clock: systemClock,
    onStep: (step) => void steps.push(step),
  });
  expect([how, left]).toEqual(["killed", []]);
  expect(cgroupKills).toBeGreaterThan(1);
  expect(steps.map(({ step }) => step)).toEqual(["cgroup", "sweep"]);
  for (const { outcome, pids, durationMs } of steps) {
    expect([outcome, pids.length > 0, durationMs >= 0]).toEqual(["ok", true, true]);
  }
  // One by one was tried first.
  expect(steps.at(-1)?.pids.length).toBeGreaterThan(1);
});

test("a cgroup in which something lives on is told as left", async () => {
  const parent = spawn("sh", ["-c", "while :; do sleep 600; done"], { stdio: "ignore" });
  await once(parent, "spawn");
  const root = parent.pid ?? 0;
  parents.push(root);
  const steps: EndStep[] = [];
  const { left } = await endProcesses({
    process: null,
    find: () => foundOf(root),
    killCgroup: () => true,
    termMs: 0,
    verifyMs: 1_000,
    deadline: () => Deadline.in(1_000),
    clock: systemClock,
    onStep: (step) => void steps.push(step),
  });
  expect(left.length).toBeGreaterThan(0);
  expect(steps.filter(({ step }) => step === "cgroup").map(({ outcome }) => outcome)).toEqual(["left"]);
});

/** Never between the end of one child and the start of the next. */
function foundOf(root: number): readonly FoundProcess[] {
  const parent = readProcessIdentity(root);
  while (parent !== null && isProcessAlive(parent) && childrenOf(root).length === 0) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  }
  return childrenOf(root);
}

function childrenOf(pid: number): readonly FoundProcess[] {
  try {
    const pids = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
    return pids.flatMap((text) => {
      const identity = readProcessIdentity(Number(text));
      return identity === null || !isProcessAlive(identity) ? [] : [{ identity, workerId: "w", pgrp: Number(text) }];
    });
  } catch {
    return [];
  }
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is gone.
  }
}

import { Deadline, isProcessAlive, signalProcess } from "@queen-and-hive/daemon";
import { until } from "../clock/until.ts";
import { describeProcesses, type ProcessSearch, processesOf } from "./processes-of.ts";

const GRACE_MS = 2_000;

/**
 * The end of every test that starts programs: throws, naming them, when processes of the search are still alive. They
 * get a moment, since a process that has just ended may still be on its way out. What is left is killed first, so that
 * one failing test does not disturb the next.
 */
export async function expectNoProcesses(search: ProcessSearch, graceMs = GRACE_MS): Promise<void> {
  const deadline = Deadline.in(graceMs);
  let left = processesOf(search);
  while (left.length > 0 && !deadline.expired) {
    await new Promise<void>((resolve) => setTimeout(resolve, 20));
    left = processesOf(search);
  }
  if (left.length === 0) return;
  await killProcesses(search);
  throw new Error(`cannot call this test clean: it left\n${describeProcesses(left)}`);
}

/** KILLs every process of the search, also those that appear meanwhile, and returns when none is alive. */
export async function killProcesses(search: ProcessSearch): Promise<void> {
  await until(() => killOnce(search) === 0, 10_000, "the end of processes that were killed");
}

/** KILLs what is alive now; returns how many there were. */
export function killOnce(search: ProcessSearch): number {
  const found = processesOf(search).filter(({ identity }) => isProcessAlive(identity));
  for (const { identity } of found) signalProcess(identity, "SIGKILL");
  return found.length;
}

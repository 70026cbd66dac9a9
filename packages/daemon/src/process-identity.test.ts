import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "./clock.ts";
import { Deadline } from "./deadline.ts";
import {
  isProcessAlive,
  type ProcessIdentity,
  parseProcStat,
  readBootId,
  readProcessIdentity,
  readProcStat,
  signalProcess,
  signalProcessGroup,
  waitForProcessEnd,
} from "./process-identity.ts";

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

function start(
  command: string,
  args: readonly string[],
  options: { readonly detached?: boolean } = {},
): [ChildProcess, ProcessIdentity] {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "ignore"], ...options });
  children.push(child);
  const identity = readProcessIdentity(child.pid ?? 0);
  if (identity === null) throw new Error(`${command} did not start`);
  return [child, identity];
}

/** A zombie: the child of a shell that has exec'd something which never waits for it. */
async function zombie(): Promise<ProcessIdentity> {
  const [parent] = start("sh", ["-c", "sleep 0.05 & echo $!; exec sleep 60"]);
  const [line] = await once(parent.stdout ?? process.stdin, "data");
  const pid = Number(String(line).trim());
  const startTime = readProcStat(pid)?.start_time ?? 0;
  while (readProcStat(pid)?.state !== "Z") await systemClock.sleep(2);
  return { pid, start_time: startTime, boot_id: readBootId() };
}

describe("the text of a process's stat", () => {
  it("is read from the last parenthesis, since a command may contain anything", () => {
    const text = "42 (a) R 1 (b c) S 7 8 9 0 -1 4194560 1 2 3 4 15 16 17 18 20 0 1 0 98765 1 2 3\n";
    const times = { utime: 15, stime: 16, cutime: 17, cstime: 18, start_time: 98_765 };
    expect(parseProcStat(text)).toEqual({ state: "S", ppid: 7, pgrp: 8, session: 9, ...times });
  });

  it("is refused when it is none", () => {
    expect(() => parseProcStat("nonsense")).toThrow(/cannot read fields/);
  });
});

describe("a process identity", () => {
  it("is alive while its process runs, and signals reach it", async () => {
    const [child, identity] = start("sleep", ["60"]);
    expect(isProcessAlive(identity)).toBe(true);
    expect(signalProcess(identity, "SIGTERM")).toBe("sent");
    expect(await once(child, "exit")).toEqual([null, "SIGTERM"]);
    expect([isProcessAlive(identity), readProcessIdentity(identity.pid), signalProcess(identity, "SIGTERM")]).toEqual([
      false,
      null,
      "gone",
    ]);
  });

  it("is dead when only a zombie is left of it", async () => {
    const identity = await zombie();
    expect(process.kill(identity.pid, 0)).toBe(true);
    expect(isProcessAlive(identity)).toBe(false);
    expect(readProcessIdentity(identity.pid)).toBeNull();
    expect(signalProcess(identity, "SIGTERM")).toBe("gone");
    expect(await waitForProcessEnd(identity, Deadline.in(0))).toBe(true);
  });

  it("never signals the stranger that got its pid", async () => {
    const [child, stranger] = start("sleep", ["60"], { detached: true });
    const ours = { ...stranger, start_time: stranger.start_time - 1 };
    expect(isProcessAlive(ours)).toBe(false);
    expect([signalProcess(ours, "SIGKILL"), signalProcessGroup(ours, "SIGKILL")]).toEqual(["gone", "gone"]);
    expect(await waitForProcessEnd(ours, Deadline.in(0))).toBe(true);
    expect(child.exitCode).toBeNull();
    expect(isProcessAlive(stranger)).toBe(true);
  });

  it("of another boot is dead, whoever has its pid now", () => {
    const [, identity] = start("sleep", ["60"]);
    const earlier = { ...identity, boot_id: "00000000-0000-0000-0000-000000000000" };
    expect([isProcessAlive(earlier), signalProcess(earlier, "SIGKILL")]).toEqual([false, "gone"]);
    expect(isProcessAlive(identity)).toBe(true);
  });

  it("signals a whole group only when it leads it", async () => {
    const [, member] = start("sleep", ["60"]);
    expect(signalProcessGroup(member, "SIGKILL")).toBe("not_leader");
    expect(isProcessAlive(member)).toBe(true);

    const [leader, identity] = start("sh", ["-c", "sleep 60 & echo $!; wait"], { detached: true });
    const [line] = await once(leader.stdout ?? process.stdin, "data");
    const inGroup = readProcessIdentity(Number(String(line).trim()));
    expect(signalProcessGroup(identity, "SIGKILL")).toBe("sent");
    await once(leader, "exit");
    expect(inGroup === null || (await waitForProcessEnd(inGroup, Deadline.in(5_000)))).toBe(true);
  });
});

describe("waiting for the end of a process", () => {
  it("says true as soon as it is gone", async () => {
    const [child, identity] = start("sleep", ["60"]);
    const waiting = waitForProcessEnd(identity, Deadline.in(10_000));
    child.kill("SIGKILL");
    expect(await waiting).toBe(true);
  });

  it("says false at the deadline while it still runs", async () => {
    const [, identity] = start("sleep", ["60"]);
    expect(await waitForProcessEnd(identity, Deadline.in(20))).toBe(false);
  });

  it("rejects with the signal's reason", async () => {
    const [, identity] = start("sleep", ["60"]);
    const reason = new Error("enough");
    await expect(waitForProcessEnd(identity, Deadline.never(), systemClock, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

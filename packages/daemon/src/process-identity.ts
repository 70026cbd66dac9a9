import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { type Clock, systemClock } from "./clock.ts";
import type { Deadline } from "./deadline.ts";
import { errorCodeOf } from "./error-code.ts";

/** What a process is known by. A pid alone is never trusted and never signalled. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of `/proc/<pid>/stat`: clock ticks after boot. */
  readonly start_time: number;
  /** `/proc/sys/kernel/random/boot_id`. */
  readonly boot_id: string;
}

/** What we use of `/proc/<pid>/stat` (proc_pid_stat(5)); times in clock ticks. */
export interface ProcStat {
  /** One letter; `Z` and `X` are dead. */
  readonly state: string;
  readonly ppid: number;
  readonly pgrp: number;
  readonly session: number;
  readonly utime: number;
  readonly stime: number;
  /** Of children that have ended and were waited for, and of theirs. */
  readonly cutime: number;
  readonly cstime: number;
  readonly start_time: number;
}

/** Whether two identities are of one process. A pid is used again, and so is a hive's epoch when its state is put back. */
export function isSameProcess(one: ProcessIdentity, other: ProcessIdentity): boolean {
  return one.pid === other.pid && one.start_time === other.start_time && one.boot_id === other.boot_id;
}

/** The identity of a live process; null when there is none, or only a zombie. */
export function readProcessIdentity(pid: number): ProcessIdentity | null {
  const stat = readProcStat(pid);
  return stat === null || isDead(stat) ? null : { pid, start_time: stat.start_time, boot_id: readBootId() };
}

/** Whether exactly this process still lives; false for zombies, a reused pid and another boot. */
export function isProcessAlive(identity: ProcessIdentity): boolean {
  const stat = readOwnStat(identity);
  return stat !== null && !isDead(stat);
}

/**
 * Signals a process after checking its identity. `refused`: it lives, and the kernel does not let this user signal it, as
 * after it became another user's (a setuid program, sudo).
 */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): "sent" | "gone" | "refused" {
  return isProcessAlive(identity) ? kill(identity.pid, signal) : "gone";
}

/**
 * Signals the whole process group that this process leads, after checking its identity. A zombie leader counts as present:
 * it still holds the pid, so the group is surely its own. `not_leader` and `refused` (none of the group may be signalled by
 * this user): nothing was sent.
 */
export function signalProcessGroup(
  identity: ProcessIdentity,
  signal: NodeJS.Signals,
): "sent" | "gone" | "refused" | "not_leader" {
  const stat = readOwnStat(identity);
  if (stat === null) return "gone";
  return stat.pgrp === identity.pid ? kill(-identity.pid, signal) : "not_leader";
}

/**
 * Waits until a process is gone or a zombie; false when the deadline came first. An open descriptor on its stat file
 * answers ESRCH for ever after its end, even when the pid is reused, so this cannot be fooled while it waits.
 */
export async function waitForProcessEnd(
  identity: ProcessIdentity,
  deadline: Deadline,
  clock: Clock = systemClock,
  signal?: AbortSignal,
): Promise<boolean> {
  const descriptor = openStat(identity);
  if (descriptor === null) return true;
  try {
    let pauseMs = WAIT_FIRST_MS;
    while (isAliveBehind(descriptor)) {
      if (deadline.expired) return false;
      await clock.sleep(Math.min(pauseMs, deadline.remainingMs()), signal);
      pauseMs = Math.min(pauseMs * 1.5, WAIT_MAX_MS);
    }
    return true;
  } finally {
    closeSync(descriptor);
  }
}

/** The id of this boot of the machine: a process identity of another boot is dead. */
export function readBootId(): string {
  bootId ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return bootId;
}

/** `/proc/<pid>/stat` of a process; null when there is none. */
export function readProcStat(pid: number): ProcStat | null {
  let descriptor: number;
  try {
    descriptor = openSync(`/proc/${pid}/stat`, "r");
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
  try {
    return readStatBehind(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** The text of a stat file -> its fields. The command may contain anything, so fields count from the last `)`. */
export function parseProcStat(text: string): ProcStat {
  const fields = STAT_FIELDS.exec(text.slice(text.lastIndexOf(")") + 1));
  if (fields === null) throw new Error(`cannot read fields 3 to 22 of a process's stat: ${JSON.stringify(text)}`);
  const [, state = "", ppid, pgrp, session, utime, stime, cutime, cstime, start_time] = fields;
  return {
    state,
    ppid: Number(ppid),
    pgrp: Number(pgrp),
    session: Number(session),
    utime: Number(utime),
    stime: Number(stime),
    cutime: Number(cutime),
    cstime: Number(cstime),
    start_time: Number(start_time),
  };
}

/** Fields 3 to 6, 14 to 17 and 22. To cut the whole line into its 52 takes three times as long, for every process at every look. */
const STAT_FIELDS = /^ (\S) (-?\d+) (-?\d+) (-?\d+)(?: -?\d+){7} (\d+) (\d+) (-?\d+) (-?\d+)(?: -?\d+){4} (\d+)(?: |$)/;

const WAIT_FIRST_MS = 2;
const WAIT_MAX_MS = 100;
/** A stat line is about 350 bytes; the command in it has at most 64. */
const STAT_BYTES_MAX = 4_096;
/** One for all reads, which are done before anything else can run: a look at all processes reads hundreds of files. */
const statBuffer = Buffer.alloc(STAT_BYTES_MAX);

let bootId: string | null = null;

function isDead(stat: ProcStat): boolean {
  return stat.state === "Z" || stat.state === "X" || stat.state === "x";
}

function readOwnStat(identity: ProcessIdentity): ProcStat | null {
  if (identity.boot_id !== readBootId()) return null;
  const stat = readProcStat(identity.pid);
  return stat?.start_time === identity.start_time ? stat : null;
}

function kill(target: number, signal: NodeJS.Signals): "sent" | "gone" | "refused" {
  try {
    process.kill(target, signal);
    return "sent";
  } catch (error) {
    if (isGone(error)) return "gone";
    if (errorCodeOf(error) === "EPERM") return "refused";
    throw error;
  }
}

function openStat(identity: ProcessIdentity): number | null {
  if (identity.boot_id !== readBootId()) return null;
  let descriptor: number;
  try {
    descriptor = openSync(`/proc/${identity.pid}/stat`, "r");
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
  let isOwn = false;
  try {
    isOwn = readStatBehind(descriptor)?.start_time === identity.start_time;
    return isOwn ? descriptor : null;
  } finally {
    if (!isOwn) closeSync(descriptor);
  }
}

function isAliveBehind(descriptor: number): boolean {
  const stat = readStatBehind(descriptor);
  return stat !== null && !isDead(stat);
}

function readStatBehind(descriptor: number): ProcStat | null {
  try {
    const length = readSync(descriptor, statBuffer, 0, STAT_BYTES_MAX, 0);
    return length === 0 ? null : parseProcStat(statBuffer.toString("utf8", 0, length));
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  const code = errorCodeOf(error);
  return code === "ENOENT" || code === "ESRCH";
}

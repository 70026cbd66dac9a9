import { readFileSync, readlinkSync } from "node:fs";
import { join, sep } from "node:path";
import { type ProcessIdentity, type ProcStat, readBootId } from "@queen-and-hive/daemon";
import { WORKER_ENV } from "@queen-and-hive/protocol";
import { isOutputFile } from "./output-history.ts";
import { type ProcessTable, processKey, readProcessTable } from "./process-table.ts";

/** What marks a process as one of this state directory. */
export interface OurMarks {
  readonly stateId: string;
  /** The real path under which every worker has its directory. */
  readonly workersDir: string;
  /** Processes in a cgroup that we made for a worker, by pid: only what the worker started can be there. */
  readonly inCgroups?: ReadonlyMap<number, string>;
}

/** What the ledger and earlier looks know of one worker's processes. */
export interface KnownProcesses {
  /**
   * The sessions that its shims lead, and so their groups: the number, which is the leader's pid, and the leader's start time.
   * The number alone may be another's by now.
   */
  readonly sessions: ReadonlyMap<number, number>;
  /** Keys (`pid:start_time`) of the shim, the engine and the descendants that were seen below them. */
  readonly keys: ReadonlySet<string>;
}

/** A process of ours. */
export interface FoundProcess {
  readonly identity: ProcessIdentity;
  readonly workerId: string;
  readonly pgrp: number;
}

/**
 * All live processes of this state directory. One is ours when two of {marker in its environment, working directory,
 * output on our log, recorded session, recorded descendant} agree on a worker, or when it is in that worker's cgroup, and
 * never when its environment names another state directory.
 */
export function findOurs(
  marks: OurMarks,
  known: ReadonlyMap<string, KnownProcesses>,
  table: ProcessTable = readProcessTable(),
): readonly FoundProcess[] {
  const candidates: Candidate[] = [];
  for (const [pid, stat] of table) {
    if (pid === process.pid || stat.state === "Z" || stat.state === "X") continue;
    const environment = environmentMark(pid, marks.stateId);
    if (!environment.isForeign) candidates.push({ pid, stat, votes: votesOf(pid, stat, environment.workerId, marks, known) });
  }
  const sessions = ownSessions(known, table, candidates);
  const boot_id = readBootId();
  return candidates.flatMap(({ pid, stat, votes }): readonly FoundProcess[] => {
    const ofSession = sessions.get(stat.session);
    const winner = [...votes].find(([workerId, count]) => count + (workerId === ofSession ? 1 : 0) >= MARKS_NEEDED);
    if (winner === undefined) return [];
    return [{ identity: { pid, start_time: stat.start_time, boot_id }, workerId: winner[0], pgrp: stat.pgrp }];
  });
}

const MARKS_NEEDED = 2;

/** A process that may be ours, with the marks that it bears of each worker; its session is not among them yet. */
interface Candidate {
  readonly pid: number;
  readonly stat: ProcStat;
  readonly votes: ReadonlyMap<string, number>;
}

function votesOf(
  pid: number,
  stat: ProcStat,
  ofEnvironment: string | null,
  { workersDir, inCgroups }: OurMarks,
  known: ReadonlyMap<string, KnownProcesses>,
): ReadonlyMap<string, number> {
  const votes = new Map<string, number>();
  const vote = (workerId: string | null, count = 1): void => {
    if (workerId !== null) votes.set(workerId, (votes.get(workerId) ?? 0) + count);
  };
  vote(inCgroups?.get(pid) ?? null, MARKS_NEEDED);
  vote(ofEnvironment);
  vote(workerOfPath(workersDir, linkOf(pid, "cwd")));
  vote(workerOfOutput(workersDir, linkOf(pid, "fd/1")) ?? workerOfOutput(workersDir, linkOf(pid, "fd/2")));
  for (const [workerId, { keys }] of known) if (keys.has(processKey(pid, stat))) vote(workerId);
  return votes;
}

/**
 * Whose the recorded sessions are that still exist, by number. A number is given out again only once nobody is in the
 * session any more, so a session is still ours if its leader is the recorded one, or, when that is gone, if somebody in it
 * is ours by other marks.
 */
function ownSessions(
  known: ReadonlyMap<string, KnownProcesses>,
  table: ProcessTable,
  candidates: readonly Candidate[],
): ReadonlyMap<number, string> {
  const own = new Map<number, string>();
  for (const [workerId, { sessions, keys }] of known) {
    for (const [number, startTime] of sessions) {
      const leader = table.get(number);
      const isOurs = ({ pid, stat, votes }: Candidate): boolean =>
        stat.session === number && (keys.has(processKey(pid, stat)) || (votes.get(workerId) ?? 0) >= MARKS_NEEDED);
      if (leader === undefined ? candidates.some(isOurs) : leader.start_time === startTime) own.set(number, workerId);
    }
  }
  return own;
}

interface EnvironmentMark {
  /** Whether it names another hive's state directory. */
  readonly isForeign: boolean;
  readonly workerId: string | null;
}

const NO_MARK: EnvironmentMark = { isForeign: false, workerId: null };

function environmentMark(pid: number, stateId: string): EnvironmentMark {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/environ`, "latin1");
  } catch {
    // It ended, or belongs to another user and so cannot be ours.
    return NO_MARK;
  }
  const own = variableIn(text, WORKER_ENV.stateId);
  if (own === null) return NO_MARK;
  return own === stateId
    ? { isForeign: false, workerId: variableIn(text, WORKER_ENV.workerId) }
    : { isForeign: true, workerId: null };
}

function variableIn(environment: string, name: string): string | null {
  const prefix = `${name}=`;
  return (
    environment
      .split("\0")
      .find((entry) => entry.startsWith(prefix))
      ?.slice(prefix.length) ?? null
  );
}

function linkOf(pid: number, name: string): string | null {
  try {
    return readlinkSync(`/proc/${pid}/${name}`);
  } catch {
    return null;
  }
}

function workerOfPath(workersDir: string, path: string | null): string | null {
  const below = join(workersDir, sep);
  if (path === null || !path.startsWith(below)) return null;
  const name = path.slice(below.length).split(sep)[0] ?? "";
  return name === "" ? null : name.replace(DELETED, "");
}

/** Only the files that we write a worker's output to: an operator may well write into its directory from within. */
function workerOfOutput(workersDir: string, path: string | null): string | null {
  const workerId = workerOfPath(workersDir, path);
  if (workerId === null || path === null) return null;
  return isOutputFile(path.slice(join(workersDir, workerId, sep).length).replace(DELETED, "")) ? workerId : null;
}

/** What the kernel adds to the name of a file or directory that was removed. */
const DELETED = / \(deleted\)$/;

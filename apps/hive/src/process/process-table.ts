import { readdirSync } from "node:fs";
import { errorCodeOf, type ProcessIdentity, type ProcStat, readProcStat } from "@queen-and-hive/daemon";

/** Every process of the machine that can be seen now, by pid. */
export type ProcessTable = ReadonlyMap<number, ProcStat>;

/** Reads all stat files once; processes that end meanwhile are left out, and those that other users hide from us (hidepid). */
export function readProcessTable(): ProcessTable {
  const table = new Map<number, ProcStat>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? statOf(pid) : null;
    if (stat !== null) table.set(pid, stat);
  }
  return table;
}

function statOf(pid: number): ProcStat | null {
  try {
    return readProcStat(pid);
  } catch (error) {
    const code = errorCodeOf(error);
    if (code === "EPERM" || code === "EACCES") return null;
    throw error;
  }
}

/** `pid:start_time`: what a process is known by within one boot. */
export function processKey(pid: number, stat: Pick<ProcStat, "start_time">): string {
  return `${pid}:${stat.start_time}`;
}

/** A process by what it is known by within one boot. */
type Known = Pick<ProcessIdentity, "pid" | "start_time">;

/**
 * Keys of all processes below one of `roots`, themselves left out; a root that is gone has none, whoever has its pid now. A
 * child that was handed to init is not found any more.
 */
export function descendantKeys(table: ProcessTable, roots: readonly Known[]): ReadonlySet<string> {
  const children = childrenIn(table);
  const keys = new Set<string>();
  const queue = roots.filter((root) => isLiveKey(table, processKey(root.pid, root))).map(({ pid }) => pid);
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    for (const child of children.get(pid) ?? []) {
      const stat = table.get(child);
      if (stat === undefined) continue;
      keys.add(processKey(child, stat));
      queue.push(child);
    }
  }
  return keys;
}

/** The children of each process; made once for a table, since each worker asks. */
function childrenIn(table: ProcessTable): ReadonlyMap<number, readonly number[]> {
  const existing = childrenOfTables.get(table);
  if (existing !== undefined) return existing;
  const children = new Map<number, number[]>();
  for (const [pid, { ppid }] of table) {
    const siblings = children.get(ppid);
    if (siblings === undefined) children.set(ppid, [pid]);
    else siblings.push(pid);
  }
  childrenOfTables.set(table, children);
  return children;
}

const childrenOfTables = new WeakMap<ProcessTable, ReadonlyMap<number, readonly number[]>>();

/** Whether the process of a key is in the table. */
export function isLiveKey(table: ProcessTable, key: string): boolean {
  const pid = Number(key.split(":", 1)[0]);
  const stat = table.get(pid);
  return stat !== undefined && processKey(pid, stat) === key;
}

/** The processes of a session and those below its leader, wherever they went, the leader left out; none if it has another leader. */
export function treeOf(table: ProcessTable, leader: Known): ReadonlySet<number> {
  const now = table.get(leader.pid);
  if (now !== undefined && now.start_time !== leader.start_time) return new Set();
  const pids = new Set([...descendantKeys(table, [leader])].map((key) => Number(key.split(":", 1)[0])));
  for (const [pid, { session }] of table) if (session === leader.pid && pid !== leader.pid) pids.add(pid);
  return pids;
}

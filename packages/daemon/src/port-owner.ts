import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** The process that listens on a port. */
export interface PortOwner {
  readonly pid: number;
  /** Its command line, cut to 200 characters. */
  readonly command: string;
}

/** Who listens on a TCP port of this machine; null when nobody does or we may not know (another user's process). */
export function findPortOwner(port: number): PortOwner | null {
  const inodes = new Set([...listeningInodes("/proc/net/tcp", port), ...listeningInodes("/proc/net/tcp6", port)]);
  if (inodes.size === 0) return null;
  for (const name of readable(() => readdirSync("/proc")) ?? []) {
    const pid = Number(name);
    if (Number.isInteger(pid) && holdsSocket(pid, inodes)) return { pid, command: commandOf(pid) };
  }
  return null;
}

const COMMAND_CHARACTERS_MAX = 200;
/** TCP_LISTEN of the kernel's tcp_states.h, as /proc/net/tcp prints it. */
const LISTENING = "0A";

/** Columns of /proc/net/tcp (proc_net(5)): 1 local address:port in hex, 3 state, 9 inode. */
function listeningInodes(table: string, port: number): readonly string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = readable(() => readFileSync(table, "utf8"))?.split("\n") ?? [];
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[1]?.endsWith(suffix) === true && columns[3] === LISTENING)
    .flatMap((columns) => (columns[9] === undefined ? [] : [columns[9]]));
}

function holdsSocket(pid: number, inodes: ReadonlySet<string>): boolean {
  const descriptors = readable(() => readdirSync(`/proc/${pid}/fd`)) ?? [];
  return descriptors.some((descriptor) => {
    const target = readable(() => readlinkSync(`/proc/${pid}/fd/${descriptor}`));
    const inode = /^socket:\[(\d+)\]$/.exec(target ?? "")?.[1];
    return inode !== undefined && inodes.has(inode);
  });
}

function commandOf(pid: number): string {
  const text = readable(() => readFileSync(`/proc/${pid}/cmdline`, "utf8")) ?? "";
  return text.replaceAll("\0", " ").trim().slice(0, COMMAND_CHARACTERS_MAX);
}

/** Processes end and belong to others while we look; what cannot be read is not there. */
function readable<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

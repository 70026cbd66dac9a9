import { readText } from "./read-text.ts";

/** How many connections the listeners on these ports of this machine have open now (proc_net(5)). */
export function openConnections(ports: readonly number[]): number {
  if (ports.length === 0) return 0;
  const suffixes = new Set(ports.map((port) => port.toString(16).toUpperCase().padStart(4, "0")));
  // There is no second one on a machine without IPv6.
  return ["/proc/net/tcp", "/proc/net/tcp6"]
    .flatMap((table) => (readText(table) ?? "").split("\n"))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = "", , state]) => state === ESTABLISHED && suffixes.has(local.slice(local.lastIndexOf(":") + 1))).length;
}

/** TCP_ESTABLISHED of the kernel's tcp_states.h, as /proc/net/tcp prints it. */
const ESTABLISHED = "01";

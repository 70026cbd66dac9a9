import { posix } from "node:path";
import type { HostFacts } from "./host.ts";

/** A path on a host, absolute: `~` is our home directory there, and so is where relative paths start. */
export function hostPath(path: string, { home }: Pick<HostFacts, "home">): string {
  if (path === "~") return home;
  return path.startsWith("~/") ? posix.join(home, path.slice(2)) : posix.resolve(home, path);
}

/** Where a hive keeps its state: unless told, in a directory of that machine's own, for home directories may be shared. */
export function hiveStateDir(
  { id, stateDir }: { readonly id: string; readonly stateDir: string | null },
  { home, machineId }: Pick<HostFacts, "home" | "machineId">,
): string {
  return stateDir === null ? posix.join(home, ".local/state/hive", `${machineId}-${id}`) : hostPath(stateDir, { home });
}

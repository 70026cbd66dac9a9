import { posix } from "node:path";
import type { HostFacts } from "./host.ts";

/** A path on a host, absolute: `~` is our home directory there, and so is where relative paths start. */
export function hostPath(path: string, { home }: Pick<HostFacts, "home">): string {
  if (path === "~") return home;
  return path.startsWith("~/") ? posix.join(home, path.slice(2)) : posix.resolve(home, path);
}

/** Where a hive keeps its state unless told; home directories may be shared between machines. */
export function defaultHiveStateDir(hiveId: string, { home, machineId }: Pick<HostFacts, "home" | "machineId">): string {
  return posix.join(home, ".local/state/hive", `${machineId}-${hiveId}`);
}

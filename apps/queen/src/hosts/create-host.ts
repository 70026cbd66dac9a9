import type { Clock } from "@queen-and-hive/daemon";
import type { SshReach } from "../config/ssh-reach.ts";
import type { Host } from "./host.ts";
import { createLocalHost } from "./local-host.ts";
import { SshHost } from "./ssh-host.ts";

/** The machine that a hive's configuration means; nothing is connected before it is used. */
export function createHost(reach: SshReach | null, clock?: Clock): Host {
  return reach === null ? createLocalHost() : new SshHost(reach, clock);
}

import type { FoundProcess, SshTestHost } from "@queen-and-hive/dev-env";

/** The hive daemons of a host; what a queen runs there to look and to start is not meant. */
export function daemonsOf(host: SshTestHost): readonly FoundProcess[] {
  return host.processes().filter(({ command }) => /(main\.ts|hive) run( |$)/.test(command));
}

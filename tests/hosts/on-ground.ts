import type { Peer } from "@queen-and-hive/daemon";
import { type FoundProcess, type SshGround, type SshTestHost, until } from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";

const READY_WITHIN_MS = 30_000;

/** The first host of a ground. */
export function firstOf({ hosts }: SshGround): SshTestHost {
  const [host] = hosts;
  if (host === undefined) throw new Error("a ground has a host");
  return host;
}

/** Waits until a queen has so many ready workers, and returns them. */
export function readyWorkers(queen: Peer, count: number): Promise<readonly WorkerRecord[]> {
  return until(
    async () => {
      const { workers } = await queen.call(QUEEN_ENDPOINTS.listWorkers);
      const ready = workers.filter(({ state }) => state === "ready");
      return ready.length >= count ? ready : null;
    },
    READY_WITHIN_MS,
    `${count} ready workers`,
  );
}

/** The hive daemons of a host; what a queen runs there to look and to start is not meant. */
export function daemonsOf(host: SshTestHost): readonly FoundProcess[] {
  return host.processes().filter(({ command }) => /(main\.ts|hive) run( |$)/.test(command));
}

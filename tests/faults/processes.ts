import { readFileSync } from "node:fs";
import { type FoundProcess, processesOf } from "@queen-and-hive/dev-env";
import { WORKER_ENV } from "@queen-and-hive/protocol";

/** The hive daemons of a state directory; `flock` becomes the daemon, so that each is one process. */
export function daemonsOf(stateDir: string): readonly FoundProcess[] {
  return processesOf({ folder: stateDir }).filter(
    ({ command }) => /\brun --state-dir\b/.test(command) && command.includes(` ${stateDir} `) && !command.startsWith("flock"),
  );
}

/** The engines of all workers below a folder, without their shims. */
export function enginesOf(folder: string): readonly FoundProcess[] {
  return processesOf({ folder }).filter(({ command }) => /^\S*node\S* .*fake-worker/.test(command));
}

/** Whatever of a hive lives below its state directory; commands that look at it or order something of it are not of it. */
export function leftOf(stateDir: string): readonly FoundProcess[] {
  return processesOf({ folder: stateDir }).filter(({ command }) => !/ (start|stop|status) --json /.test(command));
}

/** Which worker an engine is. */
export function workerIdOf({ identity }: FoundProcess): string {
  const prefix = `${WORKER_ENV.workerId}=`;
  return (
    environmentOf(identity.pid)
      .find((word) => word.startsWith(prefix))
      ?.slice(prefix.length) ?? `nobody (${identity.pid})`
  );
}

/** A process that has just ended has no environment any more. */
function environmentOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  } catch {
    return [];
  }
}

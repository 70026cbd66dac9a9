import { closeSync, constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { type Clock, Deadline, isProcessAlive, type Log, untilNextRound, waitForProcessEnd } from "@queen-and-hive/daemon";
import type { ExitStatus } from "../domain/exit-status.ts";
import type { WorkerProcess } from "../domain/worker-states.ts";
import { readExitStatus } from "./exit-file.ts";
import { SHIM_END_MS } from "./shim.ts";

/** Which process to watch, and where its shim leaves its signs. */
export interface WatchOptions {
  readonly process: WorkerProcess;
  readonly alivePath: string;
  readonly exitPath: string;
  readonly clock: Clock;
  readonly log: Pick<Log, "warn">;
  /** Called once, when the engine is gone by identity; never after the watch was disposed. */
  readonly onEnd: (status: ExitStatus) => void;
}

/**
 * Hears of the end of a process, our child or not. End of file on the FIFO that its shim holds means "look now"; only the
 * identity decides. Since a FIFO can be lost, it is also looked at now and then. A look that fails (no descriptors are
 * left, say) tells nothing and is made again.
 */
export function watchProcess({ process, alivePath, exitPath, clock, log, onEnd }: WatchOptions): Disposable {
  const controller = new AbortController();
  let isEnding = false;
  let isBlind = false;
  let timer: Disposable | null = null;
  const pipe = openAlivePipe(alivePath, () => look());

  function look(): void {
    if (controller.signal.aborted) return;
    if (!isGone()) {
      timer?.[Symbol.dispose]();
      const isTold = pipe !== null && !pipe.destroyed;
      timer = clock.after(untilNextRound(isTold ? LOOK_EVERY_WITH_PIPE_MS : LOOK_EVERY_MS, clock), look);
      return;
    }
    if (isEnding) return;
    isEnding = true;
    void end();
  }

  function isGone(): boolean {
    try {
      const isAlive = isProcessAlive(process.engine);
      isBlind = false;
      return !isAlive;
    } catch (error) {
      if (!isBlind) log.warn("cannot see whether a worker lives", { error, pid: process.engine.pid });
      isBlind = true;
      return false;
    }
  }

  async function end(): Promise<void> {
    try {
      // The shim writes the status a moment after the engine has ended.
      await waitForProcessEnd(process.shim, Deadline.in(SHIM_END_MS, clock), clock);
    } catch (error) {
      log.warn("cannot wait for a worker's exit status", { error, pid: process.shim.pid });
    }
    if (controller.signal.aborted) return;
    stop();
    onEnd(readExitStatus(exitPath, log));
  }

  function stop(): void {
    controller.abort();
    timer?.[Symbol.dispose]();
    pipe?.destroy();
  }

  look();
  return { [Symbol.dispose]: stop };
}

/** How often an identity is looked at when no event has come; a look is one small read. */
const LOOK_EVERY_MS = 250;
/** The same while the FIFO is open: the shim alone holds it, and ends right after the engine. */
const LOOK_EVERY_WITH_PIPE_MS = 1_000;

function openAlivePipe(path: string, onEndOfFile: () => void): Socket | null {
  const pipe = openPipe(path);
  pipe?.on("error", onEndOfFile);
  pipe?.on("close", onEndOfFile);
  pipe?.resume();
  return pipe;
}

/** Null without a FIFO (a machine without mkfifo) or a descriptor for it: the looks alone tell then. */
function openPipe(path: string): Socket | null {
  let descriptor: number | null = null;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return new Socket({ fd: descriptor, readable: true, writable: false });
  } catch {
    if (descriptor !== null) closeSync(descriptor);
    return null;
  }
}

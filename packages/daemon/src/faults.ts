import { type Clock, systemClock } from "./clock.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";

/** Where faults of ours are told. */
export interface FaultOptions {
  readonly program: "queen" | "hive";
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock?: Clock;
}

/**
 * The last line of defence of a daemon, until the result is disposed: a promise that is rejected and that nobody holds, or an
 * exception that nobody catches, is logged as a fault with its stack and counted in `<program>_faults_total{kind}`, and the
 * daemon goes on. Every part has one writer of its own, so that what a fault leaves half done is one worker's or one
 * request's; ending the daemon would take the supervision from all workers and cut all streams for it, and would do so again
 * at every start where the fault lies in what is kept on disk. The same fault again within ten seconds is only counted.
 */
export function surviveFaults({ program, log, metrics, clock = systemClock }: FaultOptions): Disposable {
  const counter = metrics.counter(`${program}_faults_total`, "Faults of ours that nobody caught; see the log.", ["kind"]);
  for (const kind of KINDS) counter.inc({ kind }, 0);
  const said = new Map<string, Said>();

  function tell(kind: Kind, error: unknown): void {
    counter.inc({ kind });
    const key = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const nowMs = clock.monotonicMs();
    const before = said.get(key);
    if (before !== undefined && nowMs - before.atMs < SAME_MS) {
      before.silent += 1;
      return;
    }
    if (said.size >= FAULTS_KEPT) said.clear();
    said.set(key, { atMs: nowMs, silent: 0 });
    const again = before === undefined || before.silent === 0 ? {} : { not_logged: before.silent };
    log.error(`a fault of ours: ${WHAT[kind]}; the ${program} goes on, please report it`, { error, fault: kind, ...again });
  }

  const onRejection = (reason: unknown): void => tell("rejection", reason);
  const onException = (error: unknown): void => tell("exception", error);
  process.on("unhandledRejection", onRejection);
  process.on("uncaughtException", onException);
  return {
    [Symbol.dispose]: () => {
      process.off("unhandledRejection", onRejection);
      process.off("uncaughtException", onException);
    },
  };
}

const KINDS = ["rejection", "exception"] as const;
type Kind = (typeof KINDS)[number];

const WHAT: Readonly<Record<Kind, string>> = {
  rejection: "something failed and nobody waited for it",
  exception: "something failed outside of everything that is waited for",
};

interface Said {
  readonly atMs: number;
  /** How often it came since without being logged. */
  silent: number;
}

/** For how long the same fault is not logged again: one that comes with every look would fill the log. */
const SAME_MS = 10_000;
/** Different faults that are remembered. */
const FAULTS_KEPT = 100;

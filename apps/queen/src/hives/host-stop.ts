import type { Deadline } from "@queen-and-hive/daemon";
import { type HiveIdentity, type HiveStopAnswer, QhError, unreachable } from "@queen-and-hive/protocol";
import type { HiveCommands } from "../hosts/hive-commands.ts";
import type { Host } from "../hosts/host.ts";

/** How a stop went: what `hive stop` proved, that another queen owns the hive, or why nothing could be proven. */
export type HiveStopOutcome =
  | { readonly kind: "answered"; readonly answer: HiveStopAnswer }
  | { readonly kind: "not_ours" | "unreachable"; readonly message: string };

/** What is stopped, and for whom. */
export interface HostStop {
  readonly host: Host;
  readonly commands: HiveCommands;
  readonly queenId: string;
  /** The daemon last known there. */
  readonly known: HiveIdentity | null;
}

/** Runs `hive stop` on a host and checks by identity that the daemon is gone; never throws. */
export async function stopOnHost(
  { host, commands, queenId, known }: HostStop,
  workers: "stop" | "keep",
  deadline: Deadline,
): Promise<HiveStopOutcome> {
  try {
    const answer = await commands.stop({ keepWorkers: workers === "keep", queenId }, deadline);
    const stillAlive = known !== null && host.isAlive(known) === true;
    const left = stillAlive && answer.left.length === 0 ? [`the hive daemon, pid ${known.pid}`] : answer.left;
    return { kind: "answered", answer: { ...answer, left } };
  } catch (error) {
    const isOthers = error instanceof QhError && error.kind === "owned_by_another_queen";
    return { kind: isOthers ? "not_ours" : "unreachable", message: error instanceof Error ? error.message : String(error) };
  }
}

/** What may be left of ours after a stop; empty when nothing is. */
export function leftAfter(outcome: HiveStopOutcome): readonly string[] {
  switch (outcome.kind) {
    case "answered":
      return outcome.answer.left;
    case "not_ours":
      return [];
    case "unreachable":
      return [outcome.message];
    default:
      return unreachable(outcome);
  }
}

/** Two stops of one hive, at two places, as one. */
export function bothStops(first: HiveStopOutcome | null, second: HiveStopOutcome): HiveStopOutcome {
  if (first === null || first.kind !== "answered") return second;
  if (second.kind !== "answered") return second;
  const { answer: a } = first;
  const { answer: b } = second;
  return {
    kind: "answered",
    answer: {
      hive_id: b.hive_id ?? a.hive_id,
      was_running: a.was_running || b.was_running,
      workers_kept: a.workers_kept + b.workers_kept,
      stopped: [...a.stopped, ...b.stopped],
      left: [...a.left, ...b.left],
    },
  };
}

import type { Deadline, ProcessIdentity } from "@queen-and-hive/daemon";
import type { HiveFate, HiveStopAnswer, QueenShutdown, QueenShutdownAnswer, WorkerRecord } from "@queen-and-hive/protocol";
import type { HiveStopOutcome } from "./host-stop.ts";

/** A hive that can be stopped. */
export interface StoppableHive {
  readonly hiveId: string;
  readonly onQueenExit: "stop" | "keep";
  stop(workers: "stop" | "keep", deadline: Deadline): Promise<HiveStopOutcome>;
  /** Lets go of it without touching it. */
  letGo(): Promise<void>;
  /** Its workers as the registry knows them. */
  workers(): readonly WorkerRecord[];
  /** Whether a process of its host lives; null when that cannot be known from here. */
  isAlive(identity: ProcessIdentity): boolean | null;
  /** Hears what came of a stop. */
  readonly onFate?: (fate: HiveFate) => void;
}

/** Stops or keeps every hive, all at once within one deadline, and proves what it says by process identity. */
export async function stopHives(
  hives: readonly StoppableHive[],
  how: QueenShutdown["hives"],
  deadline: Deadline,
  onFate: (fate: HiveFate) => void,
): Promise<QueenShutdownAnswer> {
  const fates = await Promise.all(
    hives.map(async (hive) => {
      const keep = how === "keep" || (how === "by_config" && hive.onQueenExit === "keep");
      const fate = keep ? await keepHive(hive) : await stopHive(hive, "stop", deadline);
      if (!keep) await hive.letGo();
      onFate(fate);
      return fate;
    }),
  );
  return { hives: fates, clean: fates.every(isCleanFate) };
}

/** Whether nothing that was to be stopped may be left. */
export function isCleanFate({ fate }: HiveFate): boolean {
  return fate !== "left" && fate !== "unreachable";
}

/** A fate as one line for people. */
export function describeFate(fate: HiveFate): string {
  const workers = [
    fate.workers_stopped > 0 ? `${fate.workers_stopped} stopped` : "",
    fate.workers_killed > 0 ? `${fate.workers_killed} killed` : "",
    fate.workers_kept > 0 ? `${fate.workers_kept} kept` : "",
  ].filter((part) => part !== "");
  const detail = workers.length === 0 ? "no workers" : `workers: ${workers.join(", ")}`;
  return `${fate.hive_id}: ${fate.fate.replaceAll("_", " ")} (${detail})${fate.message === undefined ? "" : `: ${fate.message}`}`;
}

async function keepHive(hive: StoppableHive): Promise<HiveFate> {
  const kept = hive.workers().filter((worker) => worker.pid !== null).length;
  await hive.letGo();
  return { hive_id: hive.hiveId, fate: "kept", workers_stopped: 0, workers_killed: 0, workers_kept: kept };
}

/** Stops one hive, with its workers or without them, and proves it by process identity. */
export async function stopHive(
  hive: Omit<StoppableHive, "letGo" | "onQueenExit">,
  how: "stop" | "keep",
  deadline: Deadline,
): Promise<HiveFate> {
  const known = hive.workers();
  const outcome = await hive.stop(how, deadline);
  const survivors = known
    .filter((worker) => isStillAlive(hive, worker))
    .map((worker) => `worker ${worker.worker_id}, pid ${worker.pid}`);
  const fate =
    outcome.kind === "answered"
      ? fateOf(hive.hiveId, how, outcome.answer, survivors)
      : fateUnproven(hive.hiveId, outcome, survivors);
  hive.onFate?.(fate);
  return fate;
}

function fateUnproven(
  hiveId: string,
  outcome: Exclude<HiveStopOutcome, { kind: "answered" }>,
  survivors: readonly string[],
): HiveFate {
  // What another queen owns is hers to stop: of ours only a worker that we once started there can be left.
  const fate = outcome.kind === "not_ours" && survivors.length > 0 ? "left" : outcome.kind;
  const message = [outcome.message, ...survivors].join("; ");
  return { hive_id: hiveId, fate, workers_stopped: 0, workers_killed: 0, workers_kept: survivors.length, message };
}

/** What `hive stop` printed, and what we found still alive -> the fate. */
function fateOf(hiveId: string, how: "stop" | "keep", answer: HiveStopAnswer, survivors: readonly string[]): HiveFate {
  const workers = answer.stopped.filter(({ what }) => what !== "hive");
  const killed = workers.filter(({ how }) => how === "killed").length;
  // Whoever stops its workers too has not done so while its host has kept some.
  const kept = how === "stop" && answer.workers_kept > 0 ? [`${answer.workers_kept} workers, which were kept`] : [];
  const left = [...answer.left, ...kept, ...survivors];
  const daemonKilled = answer.stopped.some(({ what, how }) => what === "hive" && how === "killed");
  const counts = { workers_stopped: workers.length - killed, workers_killed: killed, workers_kept: answer.workers_kept };
  if (left.length > 0) return { hive_id: hiveId, fate: "left", ...counts, message: `may still run: ${left.join("; ")}` };
  if (!answer.was_running && answer.stopped.length === 0) return { hive_id: hiveId, fate: "already_stopped", ...counts };
  return { hive_id: hiveId, fate: daemonKilled ? "killed" : "stopped", ...counts };
}

function isStillAlive(hive: Pick<StoppableHive, "isAlive">, { pid, start_time, boot_id }: WorkerRecord): boolean {
  if (pid === null || start_time === null || boot_id === null) return false;
  return hive.isAlive({ pid, start_time, boot_id }) === true;
}

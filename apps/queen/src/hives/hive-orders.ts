import { type Clock, Deadline, type Log, type ProcessIdentity } from "@queen-and-hive/daemon";
import { type HiveFate, type HiveRecord, QhError, type WorkerRecord } from "@queen-and-hive/protocol";
import type { QueenSettings } from "../config/settings.ts";
import type { WorkerFleet } from "../workers/worker-fleet.ts";
import { forgetWorkers } from "./forget-workers.ts";
import type { FleetMember, HiveFleet } from "./hive-fleet.ts";
import { readHiveLog } from "./hive-log.ts";
import type { LeavingHive } from "./leaving-hives.ts";
import { describeFate, isCleanFate, stopHive } from "./stop-cascade.ts";
import { createWorkerOutput, type WorkerOutput } from "./worker-output.ts";

/**
 * What operators may order of hives. Every method throws `hive_not_found` for a hive that is not there; every order throws
 * `shutting_down` while the queen stops.
 */
export interface HiveOrders extends WorkerOutput {
  record(hiveId: string): HiveRecord;
  /** Takes a hive that the configuration has got since the start. Throws `invalid_config`. */
  take(hiveId: string, actor: string): Promise<HiveRecord>;
  /** Starts it; returns before it runs. Throws `storage_failed`. */
  start(hiveId: string, actor: string): Promise<HiveRecord>;
  /** Stops it for good: until an operator starts it again. */
  stop(hiveId: string, workers: "stop" | "keep", actor: string): Promise<HiveFate>;
  /**
   * Ends its daemon, proven, and starts it again; its workers go on. Throws `stop_failed` when the end is not proven (what
   * runs is then taken as it is), `request_cancelled` when a stop was ordered meanwhile, `storage_failed`.
   */
  restart(hiveId: string, actor: string): Promise<HiveRecord>;
  /** Sends it nothing new, under a later queen too. */
  drain(hiveId: string, actor: string): Promise<HiveRecord>;
  /** Takes it into use again. */
  resume(hiveId: string, actor: string): Promise<HiveRecord>;
  /** Brings to their end the orders that an earlier queen was given and has not finished. */
  finishOrders(): void;
  /**
   * Has its workers finish what they serve, within `drain`; then stops it and forgets it. Throws `stop_failed` while something
   * of it may be left, unless forced; then it is still there.
   */
  remove(hiveId: string, force: boolean, actor: string): Promise<HiveFate>;
  /** The last lines of its daemon's log. Throws `host_unreachable`, `deadline_exceeded`. */
  logs(hiveId: string, lines: number, signal: AbortSignal): Promise<string>;
}

/** What the orders work on. */
export interface HiveOrdersOptions {
  readonly settings: QueenSettings;
  readonly reload: () => QueenSettings;
  readonly hives: HiveFleet;
  readonly workers: WorkerFleet;
  readonly isStopping: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** The operators' orders, each carried out on the hive's one keeper. */
export function createHiveOrders(options: HiveOrdersOptions): HiveOrders {
  const { hives, workers, settings, reload, clock, log } = options;
  const record = (hiveId: string): HiveRecord => hives.member(hiveId).keeper.record(workers.countOf(hiveId));
  const requireServing = (what: string): void => {
    if (options.isStopping()) throw new QhError("shutting_down", `cannot ${what} a hive: the queen stops`);
  };
  const stop = async (hiveId: string, how: "stop" | "keep", actor: string): Promise<HiveFate> => {
    requireServing("stop");
    const deadline = Deadline.in(settings.shutdown.budgetMs, clock);
    const fate = await stopMember(hives.member(hiveId), how, { actor, workers, deadline });
    if (how === "stop" && isCleanFate(fate)) forgetWorkers(workers, hiveId, log);
    log.info(`an operator stopped a hive: ${describeFate(fate)}`, { hive_id: hiveId, actor });
    return fate;
  };
  /** Its workers do not count any more; whether they still run is what its fate says. */
  const removeLeaving = async (leaving: LeavingHive, force: boolean, actor: string): Promise<HiveFate> => {
    requireServing("remove");
    const deadline = Deadline.in(settings.shutdown.budgetMs, clock);
    const fate = await stopHive(leaving.stoppable(actor), "stop", deadline);
    if (!isCleanFate(fate)) {
      if (!force) throw notEnded("remove", fate);
      leaving.forget(actor);
    }
    // Where its end could not be recorded it is still to be tried again, over the connection that it has.
    if (hives.leaving(leaving.hiveId) === null) await leaving.release();
    return fate;
  };
  const finish = ({ settings: hive, keeper }: FleetMember): void => {
    const order = keeper.unfinishedOrder;
    if (order === null) return;
    const end = order === "restart" ? orders.restart(hive.id, "queen") : stop(hive.id, order, "queen");
    end.catch((error: unknown) => log.error("cannot finish what was ordered of a hive", { error, hive_id: hive.id, order }));
  };
  const orders: HiveOrders = {
    record,
    stop,
    async take(hiveId, actor) {
      requireServing("take");
      const found = reload().hives.find((hive) => hive.id === hiveId);
      if (found === undefined) {
        throw new QhError(
          "hive_not_found",
          `cannot take the hive ${JSON.stringify(hiveId)}: ${settings.file ?? "the configuration"} has none of this name that this queen can start; write it there first`,
        );
      }
      log.info("taking a hive from the configuration", { hive_id: hiveId, actor });
      const isNew = await hives.add(found, () => requireServing("take"));
      // It may have left the file before an order was finished.
      if (isNew) finish(hives.member(hiveId));
      return record(hiveId);
    },
    async start(hiveId, actor) {
      requireServing("start");
      await hives.member(hiveId).keeper.startFor(actor);
      return record(hiveId);
    },
    async restart(hiveId, actor) {
      requireServing("restart");
      const { fate, isOvertaken } = await restartMember(
        hives.member(hiveId),
        actor,
        Deadline.in(settings.shutdown.budgetMs, clock),
      );
      log.info(`an operator restarts a hive: ${describeFate(fate)}`, { hive_id: hiveId, actor });
      if (isOvertaken) throw overtaken(hiveId, fate, options.isStopping());
      if (!isCleanFate(fate)) throw notEnded("restart", fate);
      return record(hiveId);
    },
    async drain(hiveId, actor) {
      requireServing("drain");
      await hives.member(hiveId).keeper.orderFor(actor, "drain_requested");
      return record(hiveId);
    },
    async resume(hiveId, actor) {
      requireServing("resume");
      await hives.member(hiveId).keeper.orderFor(actor, "resume_requested");
      return record(hiveId);
    },
    finishOrders() {
      for (const member of hives.members()) finish(member);
    },
    async remove(hiveId, force, actor) {
      const leaving = hives.leaving(hiveId);
      if (leaving !== null) return await removeLeaving(leaving, force, actor);
      requireServing("remove");
      const { keeper } = hives.member(hiveId);
      try {
        await keeper.orderFor(actor, "drain_requested", true);
        await workers.drainHive(hiveId, "hive_removed");
        const fate = await stop(hiveId, "stop", actor);
        if (!isCleanFate(fate)) {
          if (!force) throw notEnded("remove", fate);
          // Nobody will ask for its workers any more, whether they still run or not.
          forgetWorkers(workers, hiveId, log);
        }
        await hives.remove(hiveId, actor);
        return fate;
      } catch (error) {
        // It is still there, as an operator wanted it before.
        if (!keeper.isDrainedByOperator) await keeper.orderFor(actor, "resume_requested");
        throw error;
      }
    },
    logs: async (hiveId, lines, signal) => {
      const { host, settings: hive } = hives.member(hiveId);
      return await readHiveLog(host, hive, lines, Deadline.in(settings.health.timeoutMs, clock), signal);
    },
    ...createWorkerOutput(
      () => workers.list(),
      (hiveId) => hives.member(hiveId).keeper.calls,
    ),
  };
  return orders;
}

function notEnded(what: string, fate: HiveFate): QhError {
  const why = fate.message ?? fate.fate;
  return new QhError("stop_failed", `cannot ${what} the hive ${fate.hive_id}: ${why}; try again when its host answers`, {
    details: { fate },
  });
}

function overtaken(hiveId: string, fate: HiveFate, queenStops: boolean): QhError {
  return new QhError(
    queenStops ? "shutting_down" : "request_cancelled",
    `cannot restart the hive ${hiveId}: ${queenStops ? "the queen stops" : "a stop of it was ordered meanwhile"}, so it was not started again`,
    { details: { fate } },
  );
}

/** Ends the daemon alone and starts it again; its workers go on and are not looked at. */
async function restartMember(
  { settings, host, keeper }: FleetMember,
  actor: string,
  deadline: Deadline,
): Promise<{ readonly fate: HiveFate; readonly isOvertaken: boolean }> {
  let isOvertaken = false;
  const hive = {
    hiveId: settings.id,
    stop: async () => {
      const restarted = await keeper.restartFor(actor, deadline);
      ({ isOvertaken } = restarted);
      return restarted.outcome;
    },
    workers: () => [],
    isAlive: (identity: ProcessIdentity) => host.isAlive(identity),
  };
  return { fate: await stopHive(hive, "keep", deadline), isOvertaken };
}

/** With its workers, or the daemon alone: then its workers go on and are not looked at. */
function stopMember(
  { settings, host, keeper }: FleetMember,
  how: "stop" | "keep",
  order: { readonly actor: string; readonly workers: WorkerFleet; readonly deadline: Deadline },
): Promise<HiveFate> {
  const { actor, workers, deadline } = order;
  const ofHive = (): readonly WorkerRecord[] => workers.list().filter((worker) => worker.hive_id === settings.id);
  const hive = {
    hiveId: settings.id,
    stop: () => keeper.stopFor(actor, how, deadline),
    workers: how === "stop" ? ofHive : () => [],
    isAlive: (identity: ProcessIdentity) => host.isAlive(identity),
  };
  return stopHive(hive, how, deadline);
}

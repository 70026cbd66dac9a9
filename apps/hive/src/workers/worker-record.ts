import type { WorkerRecord } from "@queen-and-hive/protocol";
import { processOf, stateOf, type WorkerLife } from "../domain/worker-states.ts";
import type { ProcessUse } from "../process/sampler.ts";
import { type WorkerFacts, workerUrl } from "./worker-facts.ts";

/** What of this host belongs into a record. */
export interface RecordPlace {
  readonly hiveId: string;
  readonly workerHost: string;
  readonly slotsMax: number;
}

/** A worker as every list of ours shows it. */
export function recordOf(life: WorkerLife, facts: WorkerFacts, use: ProcessUse | null, place: RecordPlace): WorkerRecord {
  const { phase } = life;
  const engine = processOf(phase)?.engine ?? null;
  const port = engine === null ? null : (facts.ports[0] ?? null);
  const readyUrl = "facts" in phase ? phase.facts.url : null;
  return {
    worker_id: facts.workerId,
    incarnation: life.incarnation,
    hive_id: place.hiveId,
    queen_id: facts.queenId,
    model: facts.spec.model.id,
    runtime: facts.spec.runtime.name,
    state: stateOf(phase),
    pid: engine?.pid ?? null,
    start_time: engine?.start_time ?? null,
    boot_id: engine?.boot_id ?? null,
    port,
    url: readyUrl ?? (port === null ? null : workerUrl(place.workerHost, port)),
    slots: slotsOf(life, facts, place.slotsMax),
    in_flight: null,
    restarts: life.restarts,
    since: timeText(facts.sinceMs),
    spawned_at: facts.spawnedAtMs === null ? null : timeText(facts.spawnedAtMs),
    ready_at: facts.readyAtMs === null ? null : timeText(facts.readyAtMs),
    progress: phase.name === "loading" || phase.name === "starting" ? facts.progress : null,
    ...(life.lastExit === null ? {} : { exit: life.lastExit }),
    ...(facts.devices.length === 0 ? {} : { devices: [...facts.devices] }),
    ...(engine === null || use === null ? {} : { cpu_ratio: use.cpuRatio, resident_bytes: use.residentBytes }),
  };
}

/** Unix time in ms -> ISO 8601 in UTC. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

function slotsOf({ phase }: WorkerLife, { spec }: WorkerFacts, slotsMax: number): number | null {
  if (spec.slots !== "auto") return Math.min(spec.slots, slotsMax);
  const said = "facts" in phase ? phase.facts.slots : undefined;
  return said === undefined ? null : Math.min(said, slotsMax);
}

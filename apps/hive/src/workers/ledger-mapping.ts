import type { WorkerId } from "@queen-and-hive/protocol";
import { processOf, type WorkerLife, type WorkerPhase } from "../domain/worker-states.ts";
import { type LedgerEntry, type LedgerPhase, policyOf } from "../store/ledger-entry.ts";
import type { WorkerFacts } from "./worker-facts.ts";
import { timeText } from "./worker-record.ts";

/** A worker -> what the ledger keeps of it. */
export function entryOf(life: WorkerLife, facts: WorkerFacts, bootId: string): LedgerEntry {
  const { phase, history } = life;
  return {
    version: 1,
    worker_id: facts.workerId,
    queen_id: facts.queenId,
    spec: facts.spec,
    phase: ledgerPhase(phase),
    stop_wanted: facts.stopWanted,
    stop_reason: phase.name === "stopping" ? phase.reason : null,
    incarnation: life.incarnation,
    restarts: life.restarts,
    history: {
      restarts_at_ms: history.restartsAtMs,
      unready_in_a_row: history.unreadyInARow,
      attempt: history.attempt,
    },
    last_exit: life.lastExit,
    since: timeText(facts.sinceMs),
    spawned_at: facts.spawnedAtMs === null ? null : timeText(facts.spawnedAtMs),
    ready_at: facts.readyAtMs === null ? null : timeText(facts.readyAtMs),
    retry_at_ms: facts.retryAtMs,
    boot_id: bootId,
    ports: facts.ports,
    devices: facts.devices,
    claim_bytes: facts.claimBytes,
    memory_key: facts.memoryKey,
    log_offset: facts.logOffset,
    token_sha256: facts.tokenSha256,
    old_tokens_sha256: facts.oldTokensSha256,
    process: processOf(phase),
    ready: "facts" in phase ? phase.facts : phase.name === "loading" ? (phase.warming?.facts ?? null) : null,
  };
}

/** What the ledger kept -> the facts of the worker. */
export function factsOf(entry: LedgerEntry, workerId: WorkerId): WorkerFacts {
  return {
    workerId,
    queenId: entry.queen_id,
    spec: entry.spec,
    sinceMs: Date.parse(entry.since),
    spawnedAtMs: entry.spawned_at === null ? null : Date.parse(entry.spawned_at),
    readyAtMs: entry.ready_at === null ? null : Date.parse(entry.ready_at),
    retryAtMs: entry.retry_at_ms,
    ports: entry.ports,
    devices: entry.devices ?? entry.spec.devices,
    claimBytes: entry.claim_bytes ?? null,
    memoryKey: entry.memory_key ?? null,
    descendants: [],
    logOffset: entry.log_offset,
    tokenSha256: entry.token_sha256,
    oldTokensSha256: entry.old_tokens_sha256,
    progress: null,
    stopWanted: entry.stop_wanted,
  };
}

/** What the ledger kept -> the worker's life, in the given phase. */
export function lifeOf(entry: LedgerEntry, phase: WorkerPhase): WorkerLife {
  return {
    policy: policyOf(entry),
    warmup: entry.spec.start.warmup,
    incarnation: entry.incarnation,
    restarts: entry.restarts,
    history: {
      restartsAtMs: entry.history.restarts_at_ms,
      unreadyInARow: entry.history.unready_in_a_row,
      attempt: entry.history.attempt,
    },
    lastExit: entry.last_exit,
    phase,
  };
}

function ledgerPhase(phase: WorkerPhase): LedgerPhase {
  switch (phase.name) {
    case "crashed":
      // What it left behind is looked for again after a crash of ours.
      return phase.decision.verdict === "restart" ? "backing_off" : "failed";
    case "stopped":
      return "stopping";
    default:
      return phase.name;
  }
}

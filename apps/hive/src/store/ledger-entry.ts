import {
  field,
  lazyValidator,
  processIdentityProperties,
  type RestartPolicySpec,
  type Validator,
  type WorkerExit,
  type WorkerSpec,
  workerExitSchema,
  workerSpecSchema,
} from "@queen-and-hive/protocol";
import { type ReadyFacts, STOP_REASONS, type StopReason, type WorkerProcess } from "../domain/worker-states.ts";

/** The phases that are worth finding again; `crashed` is found by looking. */
export type LedgerPhase = (typeof LEDGER_PHASES)[number];

const LEDGER_PHASES = ["starting", "loading", "ready", "hung", "draining", "stopping", "backing_off", "failed"] as const;

/** What the ledger keeps of one worker: enough to find it, judge it and go on after any crash of the hive. */
export interface LedgerEntry {
  readonly version: 1;
  readonly worker_id: string;
  readonly queen_id: string;
  readonly spec: WorkerSpec;
  readonly phase: LedgerPhase;
  /** The operator's word; it outlives everything. */
  readonly stop_wanted: boolean;
  /** Why the process is being ended; null while it is not. Entries of older hives lack it. */
  readonly stop_reason?: StopReason | null;
  readonly incarnation: number;
  readonly restarts: number;
  readonly history: {
    readonly restarts_at_ms: readonly number[];
    readonly unready_in_a_row: number;
    readonly attempt: number;
  };
  readonly last_exit: WorkerExit | null;
  /** When `phase` began, ISO 8601. */
  readonly since: string;
  readonly spawned_at: string | null;
  readonly ready_at: string | null;
  /** When the next start is due, Unix time in ms; null for never or not waiting. */
  readonly retry_at_ms: number | null;
  /** The boot of the machine in which this was written. */
  readonly boot_id: string;
  readonly ports: readonly number[];
  /** The devices that it was given, and what it was promised on each. Entries of older hives lack these three. */
  readonly devices?: readonly string[];
  readonly claim_bytes?: number | null;
  readonly memory_key?: string | null;
  /** Keys (`pid:start_time`) of its live processes, as older hives noted them here; now they are in a file of their own. */
  readonly descendants?: readonly string[];
  /** Where this incarnation's output begins in the worker's file. */
  readonly log_offset: number;
  /** Of the callback token of this incarnation, and of the last ones before it, newest first. */
  readonly token_sha256: string | null;
  readonly old_tokens_sha256: readonly string[];
  readonly process: WorkerProcess | null;
  readonly ready: ReadyFacts | null;
}

/** The restart policy of an entry. */
export function policyOf(entry: LedgerEntry): RestartPolicySpec {
  return entry.spec.restart;
}

const identity = {
  type: "object",
  properties: processIdentityProperties,
  required: ["pid", "start_time", "boot_id"],
} as const;
const nullableTime = { type: ["string", "null"], maxLength: 40 } as const;
const sha256 = { type: "string", pattern: "^[0-9a-f]{64}$" } as const;

const ledgerEntrySchema = {
  type: "object",
  properties: {
    version: { const: 1 },
    worker_id: field.workerId,
    queen_id: field.queenId,
    spec: workerSpecSchema,
    phase: { enum: LEDGER_PHASES },
    stop_wanted: { type: "boolean" },
    stop_reason: { enum: [...STOP_REASONS, null] },
    incarnation: field.incarnation,
    restarts: { type: "integer", minimum: 0 },
    history: {
      type: "object",
      properties: {
        restarts_at_ms: { type: "array", items: { type: "number" } },
        unready_in_a_row: { type: "integer", minimum: 0 },
        attempt: { type: "integer", minimum: 0 },
      },
      required: ["restarts_at_ms", "unready_in_a_row", "attempt"],
    },
    last_exit: { anyOf: [workerExitSchema, { type: "null" }] },
    since: field.time,
    spawned_at: nullableTime,
    ready_at: nullableTime,
    retry_at_ms: { type: ["number", "null"] },
    boot_id: field.bootId,
    ports: { type: "array", items: { type: "integer", minimum: 1, maximum: 65_535 } },
    devices: { type: "array", items: { type: "string" } },
    claim_bytes: { type: ["integer", "null"], minimum: 0 },
    memory_key: { type: ["string", "null"] },
    descendants: { type: "array", items: { type: "string", pattern: "^[0-9]+:[0-9]+$" } },
    log_offset: { type: "integer", minimum: 0 },
    token_sha256: { anyOf: [sha256, { type: "null" }] },
    old_tokens_sha256: { type: "array", items: sha256 },
    process: {
      anyOf: [
        { type: "object", properties: { engine: identity, shim: identity }, required: ["engine", "shim"] },
        { type: "null" },
      ],
    },
    ready: {
      anyOf: [
        {
          type: "object",
          properties: {
            url: field.url,
            model_ref: { type: "string" },
            backend: { type: "string" },
            device: { type: "string" },
            slots: { type: "integer", minimum: 1 },
            memory_bytes: { type: "integer", minimum: 0 },
          },
          required: ["url", "model_ref", "backend", "device"],
        },
        { type: "null" },
      ],
    },
  },
  required: [
    "version",
    "worker_id",
    "queen_id",
    "spec",
    "phase",
    "stop_wanted",
    "incarnation",
    "restarts",
    "history",
    "last_exit",
    "since",
    "spawned_at",
    "ready_at",
    "retry_at_ms",
    "boot_id",
    "ports",
    "log_offset",
    "token_sha256",
    "old_tokens_sha256",
    "process",
    "ready",
  ],
} as const;

/** Checks an entry that was read from disk; fields of a newer hive are no damage. */
export const validateLedgerEntry: Validator<LedgerEntry> = lazyValidator<LedgerEntry>(ledgerEntrySchema, "ignore");

import {
  type HiveIdentity,
  type HiveReady,
  hiveReadySchema,
  type JsonSchema,
  lazyValidator,
  type Validator,
  type WorkerExited,
  type WorkerReady,
  workerExitedSchema,
  workerReadySchema,
} from "@queen-and-hive/protocol";

/** What only the delivery knows: which daemon says it, under which number, for the how-manieth time. */
type Stamped = "hive_id" | "hive_epoch" | "sequence" | "delivery_attempt";

/** A message to the queen, as it waits: everything but what the delivery adds. */
export type OutboxMessage =
  | { readonly kind: "hive_ready" }
  | { readonly kind: "worker_ready"; readonly body: Omit<WorkerReady, Stamped> }
  | { readonly kind: "worker_exited"; readonly body: Omit<WorkerExited, Stamped> };

/** One message in the outbox. */
export interface OutboxEntry {
  /** Grows over the life of the state directory. */
  readonly sequence: number;
  /** Unix time in milliseconds. */
  readonly created_at_ms: number;
  /** For whom it is; it waits while another queen owns the hive. */
  readonly queen_id: string;
  readonly message: OutboxMessage;
}

/** Who delivers. */
export interface Sender {
  readonly identity: HiveIdentity;
  readonly sequence: number;
  /** 1 for the first try of this daemon. */
  readonly attempt: number;
}

/** Messages of one lane keep their order: one lane per worker, one for the hive itself. */
export function laneOf(entry: OutboxEntry): string {
  return entry.message.kind === "hive_ready" ? "hive" : entry.message.body.worker_id;
}

/** The body of a hive ready message. */
export function hiveReadyBody(queenId: string, { identity, sequence }: Sender): HiveReady {
  return { queen_id: queenId, sequence, ...identity };
}

/** The body of a worker ready message. */
export function workerReadyBody(body: Omit<WorkerReady, Stamped>, { identity, sequence, attempt }: Sender): WorkerReady {
  return { ...body, hive_id: identity.hive_id, hive_epoch: identity.hive_epoch, sequence, delivery_attempt: attempt };
}

/** The body of a worker exited message. */
export function workerExitedBody(body: Omit<WorkerExited, Stamped>, { identity, sequence }: Sender): WorkerExited {
  return { ...body, hive_id: identity.hive_id, hive_epoch: identity.hive_epoch, sequence };
}

/** Whether a value read from disk is an entry: a message that would be refused by every queen is damage. */
export const validateEntry: Validator<OutboxEntry> = lazyValidator<OutboxEntry>(
  {
    type: "object",
    properties: {
      sequence: { type: "integer", minimum: 0 },
      created_at_ms: { type: "number" },
      queen_id: hiveReadySchema.properties.queen_id,
      message: {
        type: "object",
        required: ["kind"],
        discriminator: { propertyName: "kind" },
        oneOf: [
          message("hive_ready", null),
          message("worker_ready", unstamped(workerReadySchema)),
          message("worker_exited", unstamped(workerExitedSchema)),
        ],
      },
    },
    required: ["sequence", "created_at_ms", "queen_id", "message"],
  },
  "ignore",
);

function message(kind: OutboxMessage["kind"], body: JsonSchema | null): JsonSchema {
  return {
    type: "object",
    properties: { kind: { const: kind }, ...(body === null ? {} : { body }) },
    required: body === null ? ["kind"] : ["kind", "body"],
  };
}

function unstamped(schema: typeof workerReadySchema | typeof workerExitedSchema): JsonSchema {
  const stamped: ReadonlySet<string> = new Set([
    "hive_id",
    "hive_epoch",
    "sequence",
    "delivery_attempt",
  ] satisfies readonly Stamped[]);
  return {
    type: "object",
    properties: Object.fromEntries(Object.entries(schema.properties).filter(([name]) => !stamped.has(name))),
    required: schema.required.filter((name) => !stamped.has(name)),
  };
}

import { join } from "node:path";
import { peekStateFile, readProcessIdentity, readStateFile, writeFileDurableSync } from "@queen-and-hive/daemon";
import {
  compileValidator,
  field,
  newQueenId,
  parseQueenId,
  processIdentityProperties,
  QhError,
  type QueenId,
} from "@queen-and-hive/protocol";

/** Who runs on a state directory; may be of a dead queen, so it is always checked against /proc. */
export interface QueenIdentity {
  readonly queen_id: string;
  readonly queen_epoch: number;
  readonly pid: number;
  readonly start_time: number;
  readonly boot_id: string;
  /** Null until she listens. */
  readonly url: string | null;
  readonly version: string;
}

/** The name and the number of this start. */
export interface QueenLife {
  readonly queenId: QueenId;
  readonly queenEpoch: number;
  /** What was lost with a damaged file, or null. */
  readonly loss: string | null;
}

interface KeptLife {
  readonly queen_id: string;
  readonly queen_epoch: number;
}

const validateLife = compileValidator<KeptLife>(
  {
    type: "object",
    properties: { queen_id: field.queenId, queen_epoch: field.epoch },
    required: ["queen_id", "queen_epoch"],
    additionalProperties: false,
  },
  "ignore",
);

const validateIdentity = compileValidator<QueenIdentity>(
  {
    type: "object",
    properties: {
      queen_id: field.queenId,
      queen_epoch: field.epoch,
      ...processIdentityProperties,
      url: { type: ["string", "null"] },
      version: field.version,
    },
    required: ["queen_id", "queen_epoch", "pid", "start_time", "boot_id", "url", "version"],
    additionalProperties: false,
  },
  "ignore",
);

/**
 * The queen's id, made once per state directory, and her epoch: one more than at the last start, on disk before it is used.
 * A damaged file is set aside; she is then who the identity of her last start says that she is, else somebody new. Throws
 * `storage_failed`, also when the file is there and cannot be read: then nothing is known to be lost.
 */
export function beginQueenLife(stateDir: string): QueenLife {
  const path = join(stateDir, "queen-id.json");
  const kept = readStateFile(path, validateLife);
  const last = kept.kind === "value" ? kept.value : kept.kind === "damaged" ? lastLife(stateDir) : null;
  const queenId = (last === null ? null : parseQueenId(last.queen_id)) ?? newQueenId();
  const queenEpoch = (last?.queen_epoch ?? 0) + 1;
  writeFileDurableSync(path, `${JSON.stringify({ queen_id: queenId, queen_epoch: queenEpoch })}\n`);
  const loss = kept.kind === "damaged" ? describeLoss(path, kept.keptAs ?? path, last) : null;
  return { queenId, queenEpoch, loss };
}

/** Who the last start's identity says that she was. One more start may have been counted, but never came as far as any hive. */
function lastLife(stateDir: string): KeptLife | null {
  const identity = readQueenIdentity(stateDir);
  return identity === null ? null : { queen_id: identity.queen_id, queen_epoch: identity.queen_epoch + 1 };
}

function describeLoss(path: string, keptAs: string, last: KeptLife | null): string {
  const outcome =
    last === null
      ? "she has a new one, and hives of the old one refuse her until they are taken over"
      : "it was found again in the identity of her last start";
  return `the queen's name in ${path} was damaged (kept aside as ${keptAs}): ${outcome}`;
}

/** Writes down who runs here; again once the address is known. */
export function writeQueenIdentity(stateDir: string, life: QueenLife, url: string | null, version: string): void {
  const own = readProcessIdentity(process.pid);
  if (own === null) throw new QhError("internal", "cannot read our own process identity in /proc");
  const identity: QueenIdentity = { queen_id: life.queenId, queen_epoch: life.queenEpoch, ...own, url, version };
  writeFileDurableSync(join(stateDir, "identity.json"), `${JSON.stringify(identity)}\n`);
}

/** Who ran here last, or null. Throws `storage_failed` when the file is there and cannot be read. */
export function readQueenIdentity(stateDir: string): QueenIdentity | null {
  const content = peekStateFile(join(stateDir, "identity.json"), validateIdentity);
  return content.kind === "value" ? content.value : null;
}

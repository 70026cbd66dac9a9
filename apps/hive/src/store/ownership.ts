import { Broadcast, peekStateFile, readStateFile, writeFileDurableSync } from "@queen-and-hive/daemon/basics";
import { lazyValidator, QhError, type QueenAddress, queenAddressSchema } from "@queen-and-hive/protocol";
import type { StatePaths } from "./state-paths.ts";

/** The queen that a hive belongs to, and where her callbacks go. */
export type Owner = Omit<QueenAddress, "take_over">;

const validateOwner = lazyValidator<QueenAddress>(queenAddressSchema, "ignore");

/** Throws why a claim is refused: `owned_by_another_queen`, `stale_epoch`. Nobody's hive is anybody's. */
export function checkClaim(owner: Owner | null, claim: QueenAddress): void {
  if (owner === null) return;
  if (owner.queen_id !== claim.queen_id) {
    if (claim.take_over === true) return;
    throw ownedByAnother(owner, claim.queen_id);
  }
  if (claim.queen_epoch < owner.queen_epoch) {
    throw new QhError(
      "stale_epoch",
      `cannot take an order of epoch ${claim.queen_epoch}: ${owner.queen_id} has reached epoch ${owner.queen_epoch}; this queen was replaced and should end`,
      { details: { queen_id: owner.queen_id, queen_epoch: owner.queen_epoch } },
    );
  }
}

/** The refusal of every queen but the owner. */
export function ownedByAnother(owner: Owner, queenId: string): QhError {
  return new QhError(
    "owned_by_another_queen",
    `cannot serve ${queenId}: this hive belongs to ${owner.queen_id} at ${owner.queen_url}; stop that one or take the hive over`,
    { details: { owner: owner.queen_id, owner_epoch: owner.queen_epoch, owner_url: owner.queen_url } },
  );
}

/** The owner when there is one; for commands that only look. Throws `storage_failed`. */
export function peekOwner(paths: StatePaths): Owner | null {
  const content = peekStateFile(paths.owner, validateOwner);
  return content.kind === "value" ? content.value : null;
}

/** Writes the owner down before a daemon starts. Throws `storage_failed`. */
export function writeOwner(paths: StatePaths, { queen_id, queen_epoch, queen_url }: Owner): void {
  writeFileDurableSync(paths.owner, `${JSON.stringify({ queen_id, queen_epoch, queen_url })}\n`);
}

/** Who owns the running hive; on disk before anybody acts on it. The newest address of the highest epoch wins. */
export class Ownership {
  /** Every accepted claim, also one that changes nothing: its queen is there and wants to hear. */
  readonly claims = new Broadcast<Owner>();
  /** What was lost with a damaged file, as a sentence; null in a healthy start. */
  readonly loss: string | null;
  readonly #paths: StatePaths;
  #owner: Owner | null;

  /** Reads the owner. A damaged file is set aside: the next queen with the token becomes the owner. Throws `storage_failed`. */
  constructor(paths: StatePaths) {
    this.#paths = paths;
    const content = readStateFile(paths.owner, validateOwner);
    this.#owner = content.kind === "value" ? content.value : null;
    this.loss =
      content.kind === "damaged"
        ? `the owner in ${paths.owner} was damaged (kept as ${content.keptAs}); the next queen that calls owns this hive`
        : null;
  }

  /** The owner now; null while no queen has claimed this hive. */
  get current(): Owner | null {
    return this.#owner;
  }

  /** Takes a claim or throws `owned_by_another_queen`, `stale_epoch`, `storage_failed`. */
  claim(claim: QueenAddress): void {
    checkClaim(this.#owner, claim);
    const owner: Owner = { queen_id: claim.queen_id, queen_epoch: claim.queen_epoch, queen_url: claim.queen_url };
    if (!isSame(this.#owner, owner)) writeOwner(this.#paths, owner);
    this.#owner = owner;
    this.claims.publish(owner);
  }
}

function isSame(left: Owner | null, right: Owner): boolean {
  return left?.queen_id === right.queen_id && left.queen_epoch === right.queen_epoch && left.queen_url === right.queen_url;
}

import { isProcessAlive, peekStateFile, writeFileDurableSync } from "@queen-and-hive/daemon/basics";
import { type HiveIdentity, hiveIdentitySchema, lazyValidator } from "@queen-and-hive/protocol";
import type { StatePaths } from "./state-paths.ts";

/** What the file says: who runs here, and whether it is on its way out. */
interface IdentityFile {
  readonly identity: HiveIdentity;
  readonly ending: boolean;
}

const validateFile = lazyValidator<IdentityFile>(
  {
    type: "object",
    properties: { identity: hiveIdentitySchema, ending: { type: "boolean" } },
    required: ["identity", "ending"],
    additionalProperties: false,
  },
  "ignore",
);

/** Says who runs here, in one atomic step. Throws `storage_failed`. */
export function writeIdentity(paths: StatePaths, identity: HiveIdentity): void {
  write(paths, { identity, ending: false });
}

/** Says that it is about to end: whoever wants a daemon waits for the lock instead of taking this one. Throws `storage_failed`. */
export function writeEnding(paths: StatePaths, identity: HiveIdentity): void {
  write(paths, { identity, ending: true });
}

/** The daemon that ran here last, alive or not; null when none ever did or its file is damaged. Throws `storage_failed`. */
export function readLastIdentity(paths: StatePaths): HiveIdentity | null {
  return read(paths)?.identity ?? null;
}

/** The daemon whose process lives now, checked against the process table; null when there is none. Throws `storage_failed`. */
export function readLiveIdentity(paths: StatePaths): HiveIdentity | null {
  const identity = readLastIdentity(paths);
  return identity !== null && isProcessAlive(identity) ? identity : null;
}

/** The same, without one that is about to end. Throws `storage_failed`. */
export function readServingIdentity(paths: StatePaths): HiveIdentity | null {
  const content = read(paths);
  return content !== null && !content.ending && isProcessAlive(content.identity) ? content.identity : null;
}

function read(paths: StatePaths): IdentityFile | null {
  const content = peekStateFile(paths.identity, validateFile);
  return content.kind === "value" ? content.value : null;
}

function write(paths: StatePaths, content: IdentityFile): void {
  writeFileDurableSync(paths.identity, `${JSON.stringify(content)}\n`);
}

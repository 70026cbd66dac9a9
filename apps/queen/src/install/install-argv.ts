import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Argv } from "../hosts/host.ts";

const INSTALL_SCRIPT = readFileSync(new URL("./install.sh", import.meta.url), "utf8");

/** What is installed in a directory, and whether a daemon runs on a state directory. */
export function lookArgv(installDir: string, stateDir: string): Argv {
  return script("look", installDir, stateDir);
}

/** Makes an uploaded version the current one. */
export function adoptArgv(installDir: string, sha256: string, keep: number): Argv {
  return script("adopt", installDir, sha256, String(keep), newToken());
}

/** Notes that the hand-shake of a version went well. */
export function proveArgv(installDir: string, sha256: string): Argv {
  return script("prove", installDir, sha256);
}

/** Makes an earlier version the current one again; `target` as `adopt` said it. */
export function backArgv(installDir: string, target: string): Argv {
  return script("back", installDir, target, newToken());
}

/** Unpacks the uploaded bundle of the embedded worker beside a version. */
export function unpackArgv(installDir: string, sha256: string, workerSha256: string): Argv {
  return script("unpack", installDir, sha256, workerSha256, newToken());
}

/** Removes what an upload that failed has left of its directories. */
export function discardArgv(installDir: string, sha256: string): Argv {
  return script("discard", installDir, sha256);
}

/** Where a version's executable lies. */
export function executablePath(installDir: string, sha256: string): string {
  return `${installDir}/versions/${sha256}/hive`;
}

/** Where the worker's bundle is uploaded to before it is unpacked. */
export function workerArchivePath(installDir: string, sha256: string, workerSha256: string): string {
  return `${installDir}/versions/${sha256}/.hive-worker-${workerSha256}.tar.gz`;
}

function script(verb: string, installDir: string, ...words: readonly string[]): Argv {
  return ["sh", "-c", INSTALL_SCRIPT, "queen-install", verb, installDir, ...words];
}

/** Names of temporary things, so that two installations at the same time do not meet. */
function newToken(): string {
  return randomBytes(4).toString("hex");
}

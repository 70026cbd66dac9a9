import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { errorCodeOf } from "@queen-and-hive/daemon";
import { ARCHITECTURES } from "../hosts/architectures.ts";
import type { InstalledFiles } from "../store/store.ts";

/** A file of ours that can be installed. */
export interface Installable {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** What this queen has to install on hosts of one architecture. */
export interface Installables {
  /** Null when it was not built. */
  readonly hive: Installable | null;
  readonly worker: Installable | null;
  /** Where they were looked for, for messages. */
  readonly hiveFile: string;
  readonly workerFile: string;
}

/** Where a checkout builds them. */
const DIST = fileURLToPath(new URL("../../../../dist", import.meta.url));

/** The executable and the worker's bundle for an architecture as Node calls it; checksums are kept while a file stays as it is. */
export async function findInstallables(from: string | null, arch: string): Promise<Installables> {
  const folder = from ?? DIST;
  const hiveFile = join(folder, `hive-linux-${arch}`);
  const workerFile = join(folder, `hive-worker-linux-${arch}.tar.gz`);
  const [hive, worker] = await Promise.all([installableOf(hiveFile), installableOf(workerFile)]);
  return { hive, worker, hiveFile, workerFile };
}

/** Whether files on a host are what this queen would install there, whatever its architecture. */
export async function isUpToDate(from: string | null, { hive, worker }: InstalledFiles, withWorker: boolean): Promise<boolean> {
  const all = await Promise.all(Object.values(ARCHITECTURES).map((arch) => findInstallables(from, arch)));
  const ours = all.find((one) => one.hive?.sha256 === hive);
  return ours !== undefined && (!withWorker || ours.worker === null || ours.worker.sha256 === worker);
}

const known = new Map<string, Promise<Installable>>();

async function installableOf(file: string): Promise<Installable | null> {
  try {
    const { size, mtimeMs, ino } = await stat(file);
    const key = `${file} ${ino} ${size} ${mtimeMs}`;
    // Many hosts at the same time need it read once.
    const found = known.get(key) ?? readInstallable(file, size);
    known.set(key, found);
    return await found;
  } catch (error) {
    if (errorCodeOf(error) === "ENOENT") return null;
    throw error;
  }
}

async function readInstallable(file: string, bytes: number): Promise<Installable> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return { file, bytes, sha256: hash.digest("hex") };
}

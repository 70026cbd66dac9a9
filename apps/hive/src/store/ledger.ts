import { existsSync, mkdirSync, readdirSync, realpathSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { ensurePrivateDir, errorCodeOf, readStateFile, setAside, writeFileDurable } from "@queen-and-hive/daemon";
import { parseWorkerId, QhError, type Validator, type WorkerId } from "@queen-and-hive/protocol";
import { type LedgerEntry, validateLedgerEntry } from "./ledger-entry.ts";

/** Where everything of one worker lies. */
export interface WorkerPaths {
  /** The worker's working directory. */
  readonly dir: string;
  readonly entry: string;
  /** The output of the present start; that of earlier ones lies beside it as `output-<incarnation>.log`. */
  readonly output: string;
  /** The FIFO whose write end the shim of this incarnation holds. */
  readonly alive: (incarnation: number) => string;
  /** What the shim of this incarnation left about the end of the engine. */
  readonly exit: (incarnation: number) => string;
  /** The kernel's count of kills for lack of memory when the engine of this incarnation was killed. */
  readonly oomKills: (incarnation: number) => string;
  /** What was seen of the processes of this incarnation. */
  readonly seen: (incarnation: number) => string;
}

/** What the ledger held when the daemon started. */
export interface LedgerContent {
  readonly entries: readonly (LedgerEntry & { readonly worker_id: WorkerId })[];
  /** Sentences for people about what could not be read. */
  readonly losses: readonly string[];
}

/** The hive's record of its workers: one file each, replaced atomically and durably, beside what its worker leaves there. */
export class Ledger {
  /** The real path under which every worker has its directory. */
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  /** Opens the ledger below `stateDir/workers`. Throws `storage_failed`. */
  static open(stateDir: string): Ledger {
    const dir = join(stateDir, "workers");
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      return new Ledger(realpathSync(dir));
    } catch (cause) {
      throw new QhError(
        "storage_failed",
        `cannot open the ledger ${dir}: ${errorCodeOf(cause) ?? "unknown error"}; check its owner and mode`,
        { cause },
      );
    }
  }

  /** Where everything of this worker lies. */
  pathsOf(workerId: WorkerId): WorkerPaths {
    const dir = join(this.dir, workerId);
    return {
      dir,
      entry: join(dir, "ledger.json"),
      output: join(dir, "output.log"),
      alive: (incarnation) => join(dir, `alive-${incarnation}`),
      exit: (incarnation) => join(dir, `exit-${incarnation}`),
      oomKills: (incarnation) => join(dir, `oom-kills-${incarnation}`),
      seen: (incarnation) => join(dir, `seen-${incarnation}`),
    };
  }

  /** Reads every entry. Damaged and unreadable ones are set aside and said; the rest goes on. Throws `storage_failed`. */
  load(): LedgerContent {
    const entries: (LedgerEntry & { readonly worker_id: WorkerId })[] = [];
    const losses: string[] = [];
    for (const workerId of this.#workerIds()) {
      const path = this.pathsOf(workerId).entry;
      try {
        const content = readStateFile(path, validatorOf(workerId));
        if (content.kind === "value") entries.push({ ...content.value, worker_id: workerId });
        if (content.kind === "damaged") losses.push(lossOf(workerId, "was damaged", content.keptAs));
      } catch (error) {
        losses.push(lossOf(workerId, `cannot be read (${reasonOf(error)})`, asideIfPossible(path)));
      }
    }
    return { entries, losses };
  }

  /** Makes the worker's directory. Throws `storage_failed`. */
  async prepare(workerId: WorkerId): Promise<void> {
    await ensurePrivateDir(this.pathsOf(workerId).dir);
  }

  /** Replaces a worker's entry; on disk when this resolves. Throws `storage_failed`. */
  async write(workerId: WorkerId, entry: LedgerEntry): Promise<void> {
    await writeFileDurable(this.pathsOf(workerId).entry, `${JSON.stringify(entry)}\n`);
  }

  /** Forgets a worker with everything it left; a directory that keeps a damaged entry stays for a person to look at. */
  async remove(workerId: WorkerId): Promise<void> {
    const { dir, entry } = this.pathsOf(workerId);
    await rm(entry, { recursive: true, force: true });
    const keepsDamage = existsSync(dir) && readdirSync(dir).some((name) => name.includes(".damaged-"));
    if (!keepsDamage) await rm(dir, { recursive: true, force: true });
  }

  /**
   * Removes directories of workers that have no entry, such as after a crash while one was being forgotten. Returns a sentence
   * about each that cannot be removed: what one worker left keeps no hive from starting. Throws `storage_failed`.
   */
  async removeStrays(): Promise<readonly string[]> {
    const losses: string[] = [];
    for (const workerId of this.#workerIds()) {
      const { dir, entry } = this.pathsOf(workerId);
      if (existsSync(entry)) continue;
      try {
        await this.remove(workerId);
      } catch (error) {
        losses.push(`cannot remove ${dir}, which belongs to no worker any more (${reasonOf(error)}); remove it by hand`);
      }
    }
    return losses;
  }

  /** Removes what an earlier incarnation left: the signs of its shim, and what was seen of it. */
  async removeTraces(workerId: WorkerId, incarnation: number): Promise<void> {
    const paths = this.pathsOf(workerId);
    const traces = [paths.alive, paths.exit, paths.oomKills, paths.seen];
    for (const pathOf of traces) await rm(pathOf(incarnation), { recursive: true, force: true });
  }

  #workerIds(): readonly WorkerId[] {
    try {
      return readdirSync(this.dir)
        .sort()
        .flatMap((name) => parseWorkerId(name) ?? []);
    } catch (cause) {
      throw new QhError("storage_failed", `cannot read the ledger ${this.dir}: ${reasonOf(cause)}; check its owner and mode`, {
        cause,
      });
    }
  }
}

function validatorOf(workerId: WorkerId): Validator<LedgerEntry> {
  return (value) => {
    const checked = validateLedgerEntry(value);
    return checked.ok && checked.value.worker_id !== workerId
      ? { ok: false, problems: [{ path: "/worker_id", expected: `must be ${workerId}` }] }
      : checked;
  };
}

function lossOf(workerId: WorkerId, what: string, keptAs: string | null): string {
  const where = keptAs === null ? "" : ` (kept as ${keptAs})`;
  return `the record of ${workerId} ${what}${where}; its processes, if any, were ended and the queen starts it anew if she wants it`;
}

/** Out of the way of a new record, where the disk lets us; null where it does not. */
function asideIfPossible(path: string): string | null {
  try {
    return setAside(path);
  } catch {
    return null;
  }
}

function reasonOf(error: unknown): string {
  const cause = error instanceof QhError ? error.cause : error;
  return errorCodeOf(cause) ?? String(error);
}

import { type Clock, type Log, untilNextRound } from "@queen-and-hive/daemon";
import type { HiveIdentity } from "@queen-and-hive/protocol";
import { readLiveIdentity, writeEnding, writeIdentity } from "./identity-file.ts";
import type { StatePaths } from "./state-paths.ts";

/** What a daemon needs to say who it is. */
export interface KeptIdentityOptions {
  readonly paths: StatePaths;
  readonly clock: Clock;
  readonly log: Log;
}

/** A daemon that nobody can name is beyond every command, so it looks at its file again so often; a look is one small read. */
const LOOK_EVERY_MS = 1_000;

/** The identity.json of the daemon that runs: written anew for as long as it lives whenever the file is lost or damaged. */
export class KeptIdentity implements Disposable {
  readonly #options: KeptIdentityOptions;
  #write: () => void = () => undefined;
  #timer: Disposable | null = null;
  #isUnwritable = false;

  constructor(options: KeptIdentityOptions) {
    this.#options = options;
  }

  /** Says who runs here, and goes on saying so. Throws `storage_failed`. */
  sayRunning(identity: HiveIdentity): void {
    this.#write = () => writeIdentity(this.#options.paths, identity);
    this.#write();
    this.#lookLater();
  }

  /** From here on a start waits for the next daemon. Ending goes on when the disk is full. */
  sayEnding(identity: HiveIdentity): void {
    this.#write = () => writeEnding(this.#options.paths, identity);
    try {
      this.#write();
    } catch (error) {
      this.#options.log.error("cannot say in identity.json that this hive ends", { error });
    }
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  #lookLater(): void {
    const { clock } = this.#options;
    this.#timer = clock.after(untilNextRound(LOOK_EVERY_MS, clock), () => {
      this.#look();
      this.#lookLater();
    });
  }

  #look(): void {
    const { paths, log } = this.#options;
    try {
      // Whoever else lives and says that it runs here is left to say so.
      if (readLiveIdentity(paths) !== null) return;
      this.#write();
      this.#isUnwritable = false;
      log.warn("identity.json was lost or damaged and is written anew", { path: paths.identity });
    } catch (error) {
      if (!this.#isUnwritable) log.error("cannot write the lost or damaged identity.json anew", { error, path: paths.identity });
      this.#isUnwritable = true;
    }
  }
}

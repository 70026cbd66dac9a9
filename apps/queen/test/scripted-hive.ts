import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { HiveStopAnswer } from "@queen-and-hive/protocol";

/** What `hive stop` prints where nothing is left. */
export const NOTHING_LEFT: HiveStopAnswer = { hive_id: "gpu1", was_running: true, workers_kept: 0, stopped: [], left: [] };

/** The program of an installed hive that writes down what it is asked, and answers what a test has put there. */
export class ScriptedHive {
  readonly installDir: string;
  readonly #calls: string;
  readonly #answer: string;
  readonly #held: string;

  constructor(folder: string) {
    this.installDir = folder;
    this.#calls = join(folder, "calls");
    this.#answer = join(folder, "answer");
    this.#held = join(folder, "held");
    mkdirSync(join(folder, "current"), { recursive: true });
    const program = join(folder, "current", "hive");
    const wait = `while [ -e '${this.#held}' ]; do sleep 0.02; done`;
    writeFileSync(program, `#!/bin/sh\necho "$*" >> '${this.#calls}'\n${wait}\ncat '${this.#answer}'\n`);
    chmodSync(program, 0o755);
  }

  /** What every call prints from now on; null: nothing that makes sense. */
  answer(answer: object | null): void {
    if (answer === null) rmSync(this.#answer, { force: true });
    else writeFileSync(this.#answer, JSON.stringify(answer));
  }

  /** Every call waits from now on, also those to come, until it is let go. */
  hold(): void {
    writeFileSync(this.#held, "");
  }

  letGo(): void {
    rmSync(this.#held, { force: true });
  }

  /** The words of every call so far that begins so. */
  calls(command: string): readonly string[] {
    if (!existsSync(this.#calls)) return [];
    return readFileSync(this.#calls, "utf8")
      .split("\n")
      .filter((line) => line.startsWith(`${command} `));
  }
}

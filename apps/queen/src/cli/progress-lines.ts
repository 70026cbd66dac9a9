import { formatBytes } from "@queen-and-hive/protocol";
import { cutLines } from "./table.ts";

/** Where progress is shown. */
export interface ProgressScreen {
  readonly isTerminal: boolean;
  readonly columns: number;
  write(text: string): void;
}

/** Control sequences of ECMA-48: up by lines, clear to the end of the line. */
const up = (lines: number): string => `\u001b[${lines}A`;
const CLEAR_LINE = "\u001b[K";

/**
 * One line for each of several pieces of work that go on at the same time: on a terminal they change in place, elsewhere a
 * line is printed whenever a piece has something new to say.
 */
export class ProgressLines {
  readonly #screen: ProgressScreen;
  readonly #lines = new Map<string, string>();
  #drawn = 0;

  constructor(screen: ProgressScreen = standardError()) {
    this.#screen = screen;
  }

  /** Says how far a piece of work is; saying the same again changes nothing. */
  set(name: string, text: string): void {
    if (this.#lines.get(name) === text) return;
    this.#lines.set(name, text);
    if (this.#screen.isTerminal) this.#draw();
    else this.#screen.write(`${name}: ${text}\n`);
  }

  /** The work is over: what did not fit into its line is said whole. */
  end(): void {
    if (!this.#screen.isTerminal) return;
    for (const [name, text] of this.#lines) {
      if (this.#lineOf(name, text).length > this.#screen.columns) this.#screen.write(`\n${name}: ${text}\n`);
    }
  }

  #draw(): void {
    const lines = [...this.#lines].map(([name, text]) => cutLines(this.#lineOf(name, text), this.#screen.columns));
    const back = this.#drawn === 0 ? "" : up(this.#drawn);
    this.#screen.write(`${back}${lines.map((line) => `${line}${CLEAR_LINE}\n`).join("")}`);
    this.#drawn = lines.length;
  }

  #lineOf(name: string, text: string): string {
    const width = Math.max(...[...this.#lines.keys()].map((one) => one.length));
    return `${name.padEnd(width)}  ${text}`;
  }
}

/** How wide a bar is, signs. */
const BAR_WIDTH = 20;

/** How much of something is done: `[#########...........]  45 % of 44.1MiB`. */
export function progressBar(done: number, total: number): string {
  const ratio = total === 0 ? 1 : Math.min(1, done / total);
  const full = Math.floor(ratio * BAR_WIDTH);
  const percent = String(Math.floor(ratio * 100)).padStart(3);
  return `[${"#".repeat(full)}${".".repeat(BAR_WIDTH - full)}] ${percent} % of ${formatBytes(total)}`;
}

function standardError(): ProgressScreen {
  const { stderr } = process;
  // Lines that would wrap cannot be changed in place: a terminal that does not say how wide it is gets them one by one.
  const columns = stderr.isTTY ? stderr.columns : 0;
  return { isTerminal: columns > 0, columns, write: (text) => stderr.write(text) };
}

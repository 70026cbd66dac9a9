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

  #draw(): void {
    const width = Math.max(...[...this.#lines.keys()].map((name) => name.length));
    const lines = [...this.#lines].map(([name, text]) => cutLines(`${name.padEnd(width)}  ${text}`, this.#screen.columns));
    const back = this.#drawn === 0 ? "" : up(this.#drawn);
    this.#screen.write(`${back}${lines.map((line) => `${line}${CLEAR_LINE}\n`).join("")}`);
    this.#drawn = lines.length;
  }
}

/** A line that says how much of something is done: `43 % of 44.1MiB`. */
export function percentOf(done: number, total: number, totalText: string): string {
  return `${total === 0 ? 100 : Math.floor((done / total) * 100)} % of ${totalText}`;
}

function standardError(): ProgressScreen {
  const { stderr } = process;
  return { isTerminal: stderr.isTTY, columns: stderr.isTTY ? stderr.columns : 0, write: (text) => stderr.write(text) };
}

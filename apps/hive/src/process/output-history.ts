import { readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { outputTail } from "./output-log.ts";

/**
 * Puts the output of the start before aside (`output.log` becomes `output-<incarnation>.log`, its rotated parts likewise)
 * and removes what is older than the last `startsKept` starts, the one that begins now included. The process that wrote it
 * is gone by then.
 */
export function archiveOutput(output: string, incarnation: number, startsKept: number): void {
  for (const { name, start, part } of filesOf(output)) {
    const path = join(dirname(output), name);
    if (start === null) renameSync(path, join(dirname(output), `output-${incarnation}.log${part === 0 ? "" : `.${part}`}`));
  }
  for (const { name, start } of filesOf(output)) {
    if (start !== null && start <= incarnation + 1 - startsKept) rmSync(join(dirname(output), name), { force: true });
  }
}

/** The last lines of a worker's output, over its rotated parts and its earlier starts as far as they are kept. */
export function historyTail(output: string, lines: number): readonly string[] {
  let tail: readonly string[] = [];
  for (const { name } of filesOf(output)) {
    if (tail.length >= lines) break;
    tail = [...outputTail(join(dirname(output), name), lines - tail.length), ...tail];
  }
  return tail;
}

/** Whether a file of a worker's directory holds its output, of whatever start. */
export function isOutputFile(name: string): boolean {
  return NAME.test(name);
}

interface OutputFile {
  readonly name: string;
  /** The start whose output it is; null for the present one. */
  readonly start: number | null;
  /** 0 is written to, higher numbers are older. */
  readonly part: number;
}

/** Newest first. */
function filesOf(output: string): readonly OutputFile[] {
  const files = namesIn(dirname(output)).flatMap((name): OutputFile[] => {
    const match = NAME.exec(name);
    if (match === null) return [];
    return [{ name, start: match[1] === undefined ? null : Number(match[1]), part: Number(match[2] ?? 0) }];
  });
  const age = ({ start }: OutputFile): number => (start === null ? Number.NEGATIVE_INFINITY : -start);
  return files.sort((one, other) => age(one) - age(other) || one.part - other.part);
}

const NAME = /^output(?:-(\d+))?\.log(?:\.(\d+))?$/;

function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

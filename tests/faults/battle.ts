import { expect } from "vitest";
import { type ClientLoad, startClientLoad } from "./client-load.ts";
import type { FaultGround } from "./fault-ground.ts";
import { badEnds, duplicates, errorsIn, isWithin, type Span, settled } from "./invariants.ts";
import { type ActiveFault, type Fault, SeededRandom } from "./nemesis.ts";
import { type QuietPoint, quietPointOf, unexplained } from "./quiet-point.ts";

/** What a nemesis is given. */
export interface Battle {
  readonly ground: FaultGround;
  readonly faults: readonly Fault[];
  readonly seed: number;
  readonly minutes: number;
  /** Workers that there are at every quiet point. */
  readonly workersMin: number;
}

const CLIENTS = 6;
const HUNG_MS = 60_000;
/** How long nothing strikes at a quiet point. */
const QUIET_MS = 1_500;
/** Of the answered requests at most this part may be an error: only what had begun to stream on what was struck is lost. */
const ERRORS_MAX = 0.05;

/** A battle that goes on. */
interface Fight extends Battle {
  readonly random: SeededRandom;
  readonly load: ClientLoad;
  /** Every fault, as a line. */
  readonly story: string[];
  /** When the queen could not answer. */
  readonly outages: Span[];
  /** When operators had taken every hive out of use, so that nobody could answer. */
  readonly deserted: Span[];
  /** When nothing was wrong. */
  readonly quiet: Span[];
}

/** Strikes a cluster under load for so long, judges the invariants at every quiet point, and all requests at the end. */
export async function fight(battle: Battle): Promise<void> {
  const { ground, seed, minutes, workersMin } = battle;
  await settled(ground, workersMin);
  await using load = startClientLoad({ url: ground.queen.url, model: "fake", clients: CLIENTS, hungMs: HUNG_MS });
  const now: Fight = { ...battle, load, random: new SeededRandom(seed), story: [], outages: [], deserted: [], quiet: [] };
  const report = (): string =>
    `seed ${seed}; the last faults were:\n${now.story.slice(-8).join("\n")}\n${ground.queen.program.output().slice(-8_000)}`;
  const endMs = performance.now() + minutes * 60_000;
  let before = await rest(now);
  while (performance.now() < endMs) {
    try {
      const faults = await strike(now);
      const after = await rest(now);
      const strange = unexplained(before, after, faults);
      expect(strange, strange.join("; ")).toEqual([]);
      before = after;
    } catch (error) {
      throw new Error(`${String(error)}\n${report()}`, { cause: error });
    }
  }
  await load.stop();
  const { ends } = load;
  const count = (kind: string): number => ends.filter((end) => end.kind === kind).length;
  const errors = ends.filter(({ kind }) => kind === "error");
  const codes = [...Map.groupBy(errors, ({ detail }) => detail)].map(([code, of]) => `${of.length} ${code}`).join(", ");
  console.log(
    `${now.story.length} faults, ${ends.length} requests: ${count("complete")} whole, ${errors.length} with an error (${codes}), ${count("refused") + count("cut")} while the queen was dead`,
  );
  expect(badEnds(ends, now.outages), report()).toEqual([]);
  expect(errorsIn(ends, now.quiet), `errors while nothing was wrong; ${report()}`).toEqual([]);
  expect(count("complete")).toBeGreaterThan(0);
  const unexcused = errors.filter((end) => !isWithin(end, now.deserted));
  expect(
    unexcused.filter(({ detail }) => detail === "no_hive_available"),
    report(),
  ).toEqual([]);
  expect(unexcused.length, report()).toBeLessThanOrEqual((count("complete") + unexcused.length) * ERRORS_MAX);
}

/** Waits for a quiet point, leaves it quiet for a moment, and looks at what there is. */
async function rest({ ground, workersMin, quiet }: Fight): Promise<QuietPoint> {
  await settled(ground, workersMin);
  const fromMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  const point = await quietPointOf(ground);
  quiet.push({ fromMs, toMs: performance.now() });
  return point;
}

/** One to three faults, some at the same time, all of them healed at the end: what an operator ordered last of all. */
async function strike({ ground, faults, random, story, outages, deserted }: Fight): Promise<readonly ActiveFault[]> {
  const active: ActiveFault[] = [];
  const began = performance.now();
  for (let left = random.between(1, 3); left > 0; left -= 1) {
    const fault = await random.pick(faults)?.(ground, random, active);
    const pauseMs = random.between(0, 3_000);
    if (fault !== null && fault !== undefined) {
      active.push(fault);
      story.push(`${fault.what}, then ${pauseMs} ms`);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    expect(duplicates(ground), story.slice(-8).join("\n")).toEqual([]);
    if (fault?.cutsClients === true) break;
  }
  const isOrder = ({ ordered }: ActiveFault): boolean => ordered !== undefined;
  for (const fault of [...active.filter((one) => !isOrder(one)), ...active.filter(isOrder)])
    await fault.heal(active.filter((other) => other !== fault));
  const span = { fromMs: began, toMs: performance.now() };
  if (active.some(({ cutsClients }) => cutsClients === true)) outages.push(span);
  const out = active.filter(({ takesOut }) => takesOut === true).map(({ ordered }) => ordered);
  if ((ground.queen.config.hives ?? []).every(({ id }) => out.includes(id))) deserted.push(span);
  return active;
}

/** Limits short enough that a fault shows and heals within seconds. */
export const FAST = {
  health: { interval: "2s", failures: 2, timeout: "2s", beat: "500ms", suspect_grace: "3s", retry: "500ms" },
  restart: { first: "200ms", max: "2s", jitter: 0, breaker: { restarts: 1_000, window: "5m", unready_in_a_row: 1_000 } },
  stream: { first_byte: "8s", idle: "8s", commit_after: "1s" },
  queue: { max_waiting: 100, max_wait: "30s", load_wait: "30s" },
} as const;

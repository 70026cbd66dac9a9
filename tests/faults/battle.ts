import { expect } from "vitest";
import { startClientLoad } from "./client-load.ts";
import type { FaultGround } from "./fault-ground.ts";
import { badEnds, duplicates, type Outage, settled } from "./invariants.ts";
import { type ActiveFault, type Fault, SeededRandom } from "./nemesis.ts";

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

/** Strikes a cluster under load for so long, judges the invariants at every quiet point, and all requests at the end. */
export async function fight({ ground, faults, seed, minutes, workersMin }: Battle): Promise<void> {
  const random = new SeededRandom(seed);
  const story: string[] = [];
  const outages: Outage[] = [];
  const report = (): string =>
    `seed ${seed}; the last faults were:\n${story.slice(-8).join("\n")}\n${ground.queen.program.output().slice(-8_000)}`;
  await settled(ground, workersMin);
  await using load = startClientLoad({ url: ground.queen.url, model: "fake", clients: CLIENTS, hungMs: HUNG_MS });
  const endMs = performance.now() + minutes * 60_000;
  while (performance.now() < endMs) {
    await strike({ ground, faults, random, story, outages });
    await settled(ground, workersMin).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${report()}`, { cause: error });
    });
  }
  await load.stop();
  expect(badEnds(load.ends, outages), report()).toEqual([]);
  const count = (kind: string): number => load.ends.filter((end) => end.kind === kind).length;
  console.log(
    `${story.length} faults, ${load.ends.length} requests: ${count("complete")} whole, ${count("error")} with an error, ${count("refused") + count("cut")} while the queen was dead`,
  );
  expect(count("complete")).toBeGreaterThan(0);
}

interface Strike {
  readonly ground: FaultGround;
  readonly faults: readonly Fault[];
  readonly random: SeededRandom;
  readonly story: string[];
  readonly outages: Outage[];
}

/** One to three faults, some at the same time, all of them healed at the end. */
async function strike({ ground, faults, random, story, outages }: Strike): Promise<void> {
  const active: ActiveFault[] = [];
  const began = performance.now();
  for (let left = random.between(1, 3); left > 0; left -= 1) {
    const fault = await random.pick(faults)?.(ground, random);
    const pauseMs = random.between(0, 3_000);
    if (fault !== null && fault !== undefined) {
      active.push(fault);
      story.push(`${fault.what}, then ${pauseMs} ms`);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    expect(duplicates(ground), story.slice(-8).join("\n")).toEqual([]);
    if (fault?.cutsClients === true) break;
  }
  for (const fault of active.toReversed()) await fault.heal();
  if (active.some(({ cutsClients }) => cutsClients)) outages.push({ fromMs: began, toMs: performance.now() });
}

/** Limits short enough that a fault shows and heals within seconds. */
export const FAST = {
  health: { interval: "2s", failures: 2, timeout: "2s", beat: "500ms", suspect_grace: "3s", retry: "500ms" },
  restart: { first: "200ms", max: "2s", jitter: 0, breaker: { restarts: 1_000, window: "5m", unready_in_a_row: 1_000 } },
  stream: { first_byte: "8s", idle: "8s", commit_after: "1s" },
  queue: { max_waiting: 100, max_wait: "30s", load_wait: "30s" },
} as const;

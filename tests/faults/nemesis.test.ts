import { expectNoProcesses, startTestCluster, type TestCluster } from "@queen-and-hive/dev-env";
import { expect, test } from "vitest";
import { startClientLoad } from "./client-load.ts";
import { badEnds, duplicates, type Outage, settled } from "./invariants.ts";
import { type ActiveFault, PROCESS_FAULTS, SeededRandom } from "./nemesis.ts";

/** Run again with the seed that a failure names: FAULT_SEED=N FAULT_MINUTES=M npm run test:long -- tests/faults */
const SEED = Number(process.env["FAULT_SEED"] ?? Date.now() % 1_000_000);
const MINUTES = Number(process.env["FAULT_MINUTES"] ?? 5);
const CLIENTS = 6;
const WORKERS = 3;

test(
  `a cluster under load comes through random faults (seed ${SEED}, ${MINUTES} minutes)`,
  async () => {
    const random = new SeededRandom(SEED);
    const story: string[] = [];
    const outages: Outage[] = [];
    await using cluster = await startTestCluster({
      hives: ["north", "south"],
      workers: { min: WORKERS, max: WORKERS + 1 },
      workerFlags: ["--token-rate", "60", "--tokens", "12"],
      config: FAST,
    });
    await settled(cluster, WORKERS);
    {
      await using load = startClientLoad({ url: cluster.queen.url, model: "fake", clients: CLIENTS, hungMs: 60_000 });
      const endMs = performance.now() + MINUTES * 60_000;
      while (performance.now() < endMs) {
        await strike(cluster, random, story, outages);
        await settled(cluster, WORKERS).catch((error: unknown) => {
          throw new Error(`${String(error)}\n${report(story)}\n${cluster.queen.program.output().slice(-8_000)}`, {
            cause: error,
          });
        });
      }
      await load.stop();
      expect(badEnds(load.ends, outages), `${report(story)}\n${cluster.queen.program.output().slice(-8_000)}`).toEqual([]);
      const count = (kind: string): number => load.ends.filter((end) => end.kind === kind).length;
      console.log(
        `${story.length} rounds of faults, ${load.ends.length} requests: ${count("complete")} whole, ${count("error")} with an error, ${count("refused") + count("cut")} while the queen was dead`,
      );
      expect(count("complete")).toBeGreaterThan(0);
    }
    expect((await cluster.queen.command(["down", "--json"])).exitCode).toBe(0);
    await cluster.queen.program.ended();
    await expectNoProcesses({ folder: cluster.queen.folder });
  },
  (MINUTES + 5) * 60_000,
);

/** One to three faults, some at the same time, all of them healed at the end. */
async function strike(cluster: TestCluster, random: SeededRandom, story: string[], outages: Outage[]): Promise<void> {
  const active: ActiveFault[] = [];
  const began = performance.now();
  for (let left = random.between(1, 3); left > 0; left -= 1) {
    const fault = await random.pick(PROCESS_FAULTS)?.(cluster, random);
    const pauseMs = random.between(0, 3_000);
    if (fault !== null && fault !== undefined) {
      active.push(fault);
      story.push(`${fault.what}, then ${pauseMs} ms`);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    expect(duplicates(cluster), report(story)).toEqual([]);
    if (fault?.cutsClients === true) break;
  }
  for (const fault of active.toReversed()) await fault.heal();
  if (active.some(({ cutsClients }) => cutsClients)) outages.push({ fromMs: began, toMs: performance.now() });
}

function report(story: readonly string[]): string {
  return `seed ${SEED}; the last faults were:\n${story.slice(-8).join("\n")}`;
}

/** Limits short enough that a fault shows and heals within seconds. */
const FAST = {
  health: { interval: "2s", failures: 2, timeout: "2s", beat: "500ms", suspect_grace: "3s", retry: "500ms" },
  restart: { first: "200ms", max: "2s", jitter: 0, breaker: { restarts: 1_000, window: "5m", unready_in_a_row: 1_000 } },
  stream: { first_byte: "8s", idle: "8s", commit_after: "1s" },
  queue: { max_waiting: 100, max_wait: "30s", load_wait: "30s" },
} as const;

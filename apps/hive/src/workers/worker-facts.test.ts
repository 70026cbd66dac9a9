import { newQueenId, newWorkerId, type WorkerSpec } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { newWorkerLife, nextWorker } from "../domain/worker-machine.ts";
import type { WorkerEvent, WorkerLife } from "../domain/worker-states.ts";
import { entryOf } from "./ledger-mapping.ts";
import { factsAfter, newWorkerFacts, type WorkerFacts } from "./worker-facts.ts";

const spec: WorkerSpec = {
  model: { id: "tiny" },
  runtime: { name: "test" },
  args: [],
  env: {},
  devices: [],
  slots: "auto",
  start: { silence_s: 20, total_s: 20, warmup: false },
  restart: {
    ...{ first_s: 1, factor: 2, max_s: 60, jitter: 0.2, retry_open_every_s: 300 },
    breaker: { restarts: 3, window_s: 300, unready_in_a_row: 3 },
  },
  labels: {},
};
const identity = { pid: 2, start_time: 1, boot_id: "boot" };
const incarnation = 1;
const LAUNCHED: WorkerEvent = { type: "launched", incarnation, process: { engine: identity, shim: identity } };
const facts = { url: "http://127.0.0.1:17900", model_ref: "tiny", backend: "test", device: "cpu" };
const READY: WorkerEvent = { type: "ready", incarnation, facts, atMs: 1_000 };
const exit = { exit_code: 0, signal: null, cause: "finished" as const, log_tail: [] };
const ENDED: WorkerEvent = { type: "process_ended", incarnation, exit, atMs: 2_000, random: 0 };

test("that a drained worker has ended is recorded as the operator's word, so that no crash of ours starts it again", () => {
  const { life, facts: after } = play([LAUNCHED, READY, { type: "drain_requested" }, ENDED]);
  expect(life.phase).toMatchObject({ name: "stopping", process: null });
  expect(entryOf(life, after, "boot")).toMatchObject({ phase: "stopping", stop_wanted: true, stop_reason: "operator" });
});

test("why a worker is ended by the hive itself is recorded, and is no operator's word", () => {
  const { life, facts: after } = play([
    LAUNCHED,
    READY,
    { type: "went_mute", incarnation },
    { type: "stayed_mute", incarnation },
  ]);
  const entry = entryOf(life, after, "boot");
  expect(entry).toMatchObject({ phase: "stopping", stop_wanted: false, stop_reason: "hung" });
  expect(entry.ready_at).toBe(new Date(1_000).toISOString());
});

function play(events: readonly WorkerEvent[]): { readonly life: WorkerLife; readonly facts: WorkerFacts } {
  let { life } = newWorkerLife(spec.restart, false);
  let after = newWorkerFacts(newWorkerId(), newQueenId(), spec, 0);
  for (const event of events) {
    const { life: next } = nextWorker(life, event);
    after = factsAfter(after, event, { from: life, to: next, nowMs: 5_000 });
    life = next;
  }
  return { life, facts: after };
}

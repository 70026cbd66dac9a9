import { Broadcast, type Clock, sleepOn } from "@queen-and-hive/daemon";
import { newWorkerId, parseHiveId, QhError } from "@queen-and-hive/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ReadyWorker, WorkerDirectory } from "../workers/worker-directory.ts";
import { ModelQueue } from "./model-queue.ts";
import type { Lease } from "./ticket.ts";
import { incarnationKey, WorkerOccupancy } from "./worker-occupancy.ts";

/** Time that stands still until it is moved. */
class HandClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }

  after(ms: number, run: () => void): Disposable {
    const timer = { atMs: this.#nowMs + ms, run };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers].filter((timer) => timer.atMs <= endMs).sort((one, other) => one.atMs - other.atMs);
      if (next === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      this.#timers.delete(next);
      next.run();
    }
    this.#nowMs = endMs;
  }

  get timers(): number {
    return this.#timers.size;
  }
}

interface Waiter {
  readonly number: number;
  readonly gone: AbortController;
  state: "waiting" | "granted" | "refused" | "released";
  error: unknown;
  lease: Lease | null;
  settlements: number;
}

/** A queue with 2 workers of 2 slots that come and go, and requests whose fate is written down. */
class World {
  readonly clock = new HandClock();
  readonly occupancy = new WorkerOccupancy();
  readonly waiters: Waiter[] = [];
  workers: readonly ReadyWorker[] = [];
  readonly limits = { maxWaiting: 5, maxWaitMs: 100, loadWaitMs: 1_000, retryWaitMs: 50 };
  readonly directory: WorkerDirectory = {
    ready: () => this.workers,
    starting: () => 0,
    want: () => undefined,
    failure: () => null,
    changes: new Broadcast<string>(),
    report: () => undefined,
  };
  readonly queue = new ModelQueue({
    modelId: "m",
    directory: this.directory,
    occupancy: this.occupancy,
    limits: this.limits,
    clock: this.clock,
    depthChanged: () => undefined,
  });

  arrive(): void {
    const number = this.waiters.length;
    const waiter: Waiter = { number, gone: new AbortController(), state: "waiting", error: null, lease: null, settlements: 0 };
    this.waiters.push(waiter);
    this.queue.lease(number, { excluded: new Set(), place: null, lastError: null, signal: waiter.gone.signal }).then(
      (lease) => Object.assign(waiter, { lease, state: "granted", settlements: waiter.settlements + 1 }),
      (error: unknown) => Object.assign(waiter, { error, state: "refused", settlements: waiter.settlements + 1 }),
    );
  }

  release(): void {
    const granted = this.waiters.find((waiter) => waiter.state === "granted");
    if (granted === undefined) return;
    granted.state = "released";
    granted.lease?.release(10);
  }

  leave(pick: number): void {
    const waiting = this.waiters.filter((waiter) => waiter.state === "waiting");
    waiting[pick % Math.max(1, waiting.length)]?.gone.abort(new QhError("client_closed", "cannot go on: left"));
  }

  addWorker(): void {
    const hiveId = parseHiveId("local");
    if (hiveId === null || this.workers.length === 2) return;
    const lost = new AbortController().signal;
    this.workers = [
      ...this.workers,
      {
        workerId: newWorkerId(),
        incarnation: 1,
        hiveId,
        url: "http://x",
        basePath: "/v1",
        model: "m",
        key: null,
        slots: 2,
        lost,
      },
    ];
    this.queue.changed();
  }

  loseWorker(): void {
    this.workers = this.workers.slice(1);
    this.queue.changed();
  }
}

type Step = "arrive" | "release" | "addWorker" | "loseWorker" | { readonly leave: number } | { readonly advanceMs: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Step>("arrive") },
  { weight: 3, arbitrary: fc.constantFrom<Step>("release", "addWorker", "loseWorker") },
  { weight: 1, arbitrary: fc.record({ leave: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ advanceMs: fc.integer({ min: 1, max: 80 }) }) },
);

/** Lets promises settle. */
const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe("ModelQueue", () => {
  it("settles each request once, in order, never above slots, length and age, whatever happens in which order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const world = new World();
        const granted: number[] = [];
        for (const next of steps) {
          if (typeof next === "string") world[next]();
          else if ("leave" in next) world.leave(next.leave);
          else world.clock.advance(next.advanceMs);
          await settle();
          for (const waiter of world.waiters)
            if (waiter.lease !== null && !granted.includes(waiter.number)) granted.push(waiter.number);
          const waiting = world.waiters.filter((waiter) => waiter.state === "waiting");
          expect(waiting.length).toBe(world.queue.waiting);
          expect(waiting.length).toBeLessThanOrEqual(world.limits.maxWaiting);
          for (const worker of world.workers)
            expect(world.occupancy.of(incarnationKey(worker))).toBeLessThanOrEqual(worker.slots);
          const free = world.workers.some((worker) => world.occupancy.of(incarnationKey(worker)) < worker.slots);
          if (free) expect(waiting).toEqual([]);
          expect(world.clock.timers).toBe(waiting.length > 0 ? 1 : 0);
        }
        expect(granted).toEqual([...granted].sort((one, other) => one - other));
        world.clock.advance(10_000);
        await settle();
        for (const waiter of world.waiters) expect(waiter.settlements).toBe(1);
        expect(world.clock.timers).toBe(0);
      }),
      { numRuns: 150 },
    );
  });
});

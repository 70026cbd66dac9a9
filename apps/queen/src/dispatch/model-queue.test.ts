import { Broadcast } from "@queen-and-hive/daemon";
import { ManualClock } from "@queen-and-hive/dev-env";
import { newWorkerId, parseHiveId, QhError } from "@queen-and-hive/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ReadyWorker, WorkerDirectory } from "../workers/worker-directory.ts";
import { ModelQueue } from "./model-queue.ts";
import type { QueueLimits } from "./queue-parts.ts";
import type { Lease, QueueOutlook } from "./ticket.ts";
import { incarnationKey, WorkerOccupancy } from "./worker-occupancy.ts";

interface Waiter {
  readonly number: number;
  readonly client: string;
  outlook: (() => QueueOutlook | null) | null;
  readonly gone: AbortController;
  state: "waiting" | "granted" | "refused" | "released";
  error: unknown;
  lease: Lease | null;
  settlements: number;
}

/** A queue with 2 workers of 2 slots that come and go, and requests whose fate is written down. */
class World {
  readonly clock = new ManualClock();
  readonly occupancy = new WorkerOccupancy(this.clock);
  readonly waiters: Waiter[] = [];
  workers: readonly ReadyWorker[] = [];
  readonly limits: QueueLimits;
  readonly directory: WorkerDirectory = {
    ready: () => this.workers,
    starting: () => 0,
    want: () => undefined,
    failure: () => null,
    changes: new Broadcast<string>(),
    report: () => undefined,
    standing: () => "trusted",
    isDoubted: () => false,
    idle: () => undefined,
  };
  readonly queue: ModelQueue;

  constructor(limits: Partial<QueueLimits> = {}) {
    this.limits = { maxWaiting: 5, maxWaitMs: 100, loadWaitMs: 1_000, retryWaitMs: 50, sessionsKept: 4, ...limits };
    this.queue = new ModelQueue({
      modelId: "m",
      directory: this.directory,
      occupancy: this.occupancy,
      limits: this.limits,
      clock: this.clock,
      depthChanged: () => undefined,
      freed: () => this.queue.pump(),
    });
  }

  arrive(client = "one"): void {
    const number = this.waiters.length;
    const gone = new AbortController();
    const waiter: Waiter = { number, client, gone, outlook: null, state: "waiting", error: null, lease: null, settlements: 0 };
    this.waiters.push(waiter);
    const wish = { client, session: () => number % 3, excluded: new Set<string>(), place: null, lastError: null };
    const onQueued = (outlook: () => QueueOutlook | null): void => void Object.assign(waiter, { outlook });
    this.queue.lease(number, { ...wish, signal: waiter.gone.signal, onQueued }).then(
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
        overflow: false,
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

type Step =
  | { readonly client: string }
  | "release"
  | "addWorker"
  | "loseWorker"
  | { readonly leave: number }
  | { readonly advanceMs: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ client: fc.constantFrom("one", "two", "three") }) },
  { weight: 3, arbitrary: fc.constantFrom<Step>("release", "addWorker", "loseWorker") },
  { weight: 1, arbitrary: fc.record({ leave: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ advanceMs: fc.integer({ min: 1, max: 80 }) }) },
);

/** Lets promises settle. */
const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe("ModelQueue", () => {
  it("settles each request once, each client's in order, never above slots, length and age, whatever happens in which order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const world = new World();
        const granted: number[] = [];
        for (const next of steps) {
          if (typeof next === "string") world[next]();
          else if ("client" in next) world.arrive(next.client);
          else if ("leave" in next) world.leave(next.leave);
          else await world.clock.advance(next.advanceMs);
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
          const positions = waiting.map((waiter) => waiter.outlook?.()?.position);
          expect(positions.sort()).toEqual(waiting.map((_, index) => index + 1));
          expect(world.clock.pending).toBe(waiting.length > 0 ? 1 : 0);
        }
        for (const client of ["one", "two", "three"]) {
          const own = granted.filter((number) => world.waiters[number]?.client === client);
          expect(own).toEqual([...own].sort((one, other) => one - other));
        }
        await world.clock.advance(10_000);
        await settle();
        for (const waiter of world.waiters) expect(waiter.settlements).toBe(1);
        expect(world.clock.pending).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  it("lets clients take turns: who sends one request does not wait for another's fifty", async () => {
    const world = new World({ maxWaiting: 100 });
    world.addWorker();
    for (let count = 0; count < 50; count += 1) world.arrive("greedy");
    world.arrive("modest");
    await settle();
    expect(world.waiters[50]?.outlook?.()).toEqual({ position: 2, waitsFor: "slot", estimateMs: null });
    world.release();
    world.release();
    await settle();
    expect(world.waiters[50]?.state).toBe("granted");
    expect(world.waiters[2]?.state).toBe("granted");
    expect(world.waiters[3]?.outlook?.()).toEqual({ position: 1, waitsFor: "slot", estimateMs: 5 });
  });

  it("is full for the client that fills it, not for others: its newest has to go", async () => {
    const world = new World({ maxWaiting: 5 });
    for (let count = 0; count < 6; count += 1) world.arrive("greedy");
    world.arrive("modest");
    await settle();
    expect(world.waiters.map((waiter) => waiter.state)).toEqual([
      ...Array.from({ length: 4 }, () => "waiting"),
      "refused",
      "refused",
      "waiting",
    ]);
    expect(world.waiters[4]?.error).toMatchObject({ kind: "queue_full", retryAfterS: 10 });
  });

  it("keeps conversations at home and moves one whose home is busy", async () => {
    const world = new World();
    world.addWorker();
    world.addWorker();
    // Conversations by number modulo 3: each gets the worker with the fewest.
    for (let number = 0; number < 3; number += 1) {
      world.arrive();
      await settle();
      world.release();
    }
    const homes = world.waiters.map((waiter) => waiter.lease?.worker);
    expect(homes[0]).not.toBe(homes[1]);
    for (let number = 3; number < 6; number += 1) {
      world.arrive();
      await settle();
      expect(world.waiters[number]?.lease?.worker).toBe(homes[number % 3]);
      world.release();
    }
    const fillers = [6, 9, 12].map((number) => {
      while (world.waiters.length < number) world.waiters.push({ ...gone(), number: world.waiters.length });
      world.arrive();
      return number;
    });
    await settle();
    expect(world.waiters[fillers[0] ?? 0]?.lease?.worker).toBe(homes[0]);
    expect(world.waiters[fillers[1] ?? 0]?.lease?.worker).toBe(homes[0]);
    expect(world.waiters[fillers[2] ?? 0]?.lease?.worker).not.toBe(homes[0]);
  });
});

/** A place in the list of waiters that nobody takes. */
function gone(): Waiter {
  const nobody = { client: "nobody", gone: new AbortController(), outlook: null, error: null, lease: null };
  return { ...nobody, number: -1, state: "released", settlements: 1 };
}

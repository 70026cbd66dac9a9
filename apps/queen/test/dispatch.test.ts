import { ManualClock } from "@queen-and-hive/dev-env";
import { QhError } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { Dispatcher } from "../src/dispatch/dispatcher.ts";
import type { Lease, LeaseRequest } from "../src/dispatch/ticket.ts";
import { incarnationKey } from "../src/dispatch/worker-occupancy.ts";
import { FleetWorld } from "./fleet-world.ts";
import { HandMadeDirectory } from "./gateway-directory.ts";

const URL = "http://127.0.0.1:1";
const LIMITS = { maxWaiting: 10, maxWaitMs: 60_000, loadWaitMs: 60_000, retryWaitMs: 1_000, sessionsKept: 10 };

/** A dispatcher before a directory that is made by hand. */
class World implements Disposable {
  readonly clock = new ManualClock();
  readonly directory = new HandMadeDirectory();
  readonly #dispatcher = new Dispatcher({
    directory: this.directory,
    limits: LIMITS,
    clock: this.clock,
    depthChanged: () => undefined,
  });

  lease(model: string, more: Partial<LeaseRequest> = {}): Promise<Lease> {
    const { signal } = new AbortController();
    return this.#dispatcher.lease(model, {
      ...{ client: "one", session: () => null, excluded: new Set<string>(), place: null, lastError: null, signal },
      ...more,
    });
  }

  waiting(model: string): number {
    return this.#dispatcher.waiting(model);
  }

  [Symbol.dispose](): void {
    this.#dispatcher[Symbol.dispose]();
  }
}

describe("the slots of an upstream", () => {
  it("serve all of its models: one that is given back wakes whoever waits for another model", async () => {
    using world = new World();
    const upstream = world.directory.add("a", { url: URL, slots: 1 });
    world.directory.add("b", { url: URL, slots: 1, sameAs: upstream });
    const first = await world.lease("a");
    const second = world.lease("b");
    expect(world.waiting("b")).toBe(1);
    first.release(10);
    expect((await second).worker.workerId).toBe(upstream.workerId);
  });

  it("go to whose request came first, whichever its model", async () => {
    using world = new World();
    const upstream = world.directory.add("a", { url: URL, slots: 1 });
    world.directory.add("b", { url: URL, slots: 1, sameAs: upstream });
    const served: string[] = [];
    const ask = (model: string, name: string): Promise<Lease> =>
      world.lease(model).then((lease) => {
        served.push(name);
        return lease;
      });
    const requests = [ask("a", "first"), ask("a", "second"), ask("b", "third"), ask("a", "fourth"), ask("b", "fifth")];
    for (const request of requests) (await request).release(10);
    expect(served).toEqual(["first", "second", "third", "fourth", "fifth"]);
  });
});

describe("a request whose worker has failed it", () => {
  it("is told of that failure once no other worker is on its way, also when one was at first", async () => {
    using world = new World();
    const worker = world.directory.add("a", { url: URL });
    world.directory.startingCount = 1;
    const lastError = new QhError("engine_failed", "cannot finish the answer: it broke");
    let said: unknown = null;
    const request = world.lease("a", { excluded: new Set([incarnationKey(worker)]), lastError }).catch((error: unknown) => {
      said = error;
    });
    await world.clock.advance(5_000);
    expect(said).toBeNull();
    world.directory.startingCount = 0;
    world.directory.changes.publish("a");
    await world.clock.advance(1);
    expect(said).toBe(lastError);
    await request;
  });
});

describe("a worker whose hive may be lost", () => {
  it("is doubted and gets no requests, until its hive is back", async () => {
    const model = { id: "one", runtime: "fake", path: "/m", workers: { min: 1, max: 1 }, place: { memory: "1GiB" } };
    await using world = await FleetWorld.start({ models: [model] }, { bytes: 1_099_511_627_776 });
    const { directory } = world.fleet;
    world.fleet.onHiveState("local");
    await world.clock.advance(5_000);
    const [worker] = directory.ready("one");
    if (worker === undefined) throw new Error("no worker is ready");
    const seen: (readonly [boolean, number])[] = [];
    using _changes = directory.changes.subscribe(
      () => void seen.push([directory.isDoubted(worker), directory.ready("one").length]),
    );
    world.hive.setInDoubt(true);
    world.fleet.onHiveState("local");
    expect(seen.at(-1)).toEqual([true, 0]);
    world.hive.setInDoubt(false);
    world.fleet.onHiveState("local");
    expect(seen.at(-1)).toEqual([false, 1]);
  });
});

describe("a worker that has failed many requests in a row", () => {
  it("is tried by who waits as soon as its pause is over, without any other event", async () => {
    const model = { id: "one", runtime: "fake", path: "/m", place: { memory: "1GiB" }, workers: { min: 2, max: 2 } };
    await using world = await FleetWorld.start({ models: [model] }, { bytes: 1_099_511_627_776 });
    world.fleet.onHiveState("local");
    await world.clock.advance(5_000);
    const [failing] = world.fleet.directory.ready("one");
    if (failing === undefined) throw new Error("no worker is ready");
    for (let count = 0; count < 3; count += 1) world.fleet.directory.report(failing, "server_error");
    expect(world.fleet.directory.standing(failing)).toBe("shunned");
    // The other worker has two slots.
    const requests = [1, 2, 3].map(() => world.ask("one", 600_000));
    await world.clock.advance(900);
    expect(requests.map((request) => request.startedAtMs !== null)).toEqual([true, true, false]);
    await world.clock.advance(200);
    expect(requests.map((request) => request.startedAtMs !== null)).toEqual([true, true, true]);
    expect(world.dispatcher.inFlight(failing.workerId)).toBe(1);
  });
});

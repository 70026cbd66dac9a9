import { systemClock } from "@queen-and-hive/daemon";
import { expect, test } from "vitest";
import { SlotPool } from "./slot-pool.ts";

const any = <Slot>(free: readonly Slot[]): Slot => {
  const [first] = free;
  if (first === undefined) throw new Error("nothing is free");
  return first;
};
const nobody = new AbortController().signal;
const pool = (slots: number, maxWaiting: number, maxWaitMs = 60_000) =>
  new SlotPool(
    Array.from({ length: slots }, (_, index) => index),
    { maxWaiting, maxWaitMs },
    systemClock,
  );

test("requests beyond the slots wait, and are served in their order", async () => {
  const slots = pool(1, 10);
  const first = await slots.acquire(any, nobody);
  const order: string[] = [];
  const second = slots.acquire(any, nobody).then((lease) => {
    order.push("second");
    lease[Symbol.dispose]();
  });
  const third = slots.acquire(any, nobody).then(() => order.push("third"));
  expect(slots.waiting).toBe(2);
  first[Symbol.dispose]();
  await Promise.all([second, third]);
  expect(order).toEqual(["second", "third"]);
});

test("a slot that is given back twice is free once", async () => {
  const slots = pool(1, 10);
  const lease = await slots.acquire(any, nobody);
  lease[Symbol.dispose]();
  const next = await slots.acquire(any, nobody);
  lease[Symbol.dispose]();
  expect(slots.busy).toBe(1);
  next[Symbol.dispose]();
  expect(slots.busy).toBe(0);
});

test("one more than may wait is refused at once", async () => {
  const slots = pool(1, 1);
  await slots.acquire(any, nobody);
  const waiting = slots.acquire(any, AbortSignal.timeout(60_000));
  await expect(slots.acquire(any, nobody)).rejects.toMatchObject({ kind: "queue_full", status: 429 });
  expect(slots.waiting).toBe(1);
  waiting.catch(() => undefined);
});

test("a request that waits too long ends with queue_timeout and leaves the queue", async () => {
  const slots = pool(1, 1, 5);
  await slots.acquire(any, nobody);
  await expect(slots.acquire(any, nobody)).rejects.toMatchObject({ kind: "queue_timeout" });
  expect(slots.waiting).toBe(0);
});

test("a client that leaves while waiting takes no slot", async () => {
  const slots = pool(1, 1);
  const lease = await slots.acquire(any, nobody);
  const leaving = new AbortController();
  const waiting = slots.acquire(any, leaving.signal);
  leaving.abort(new Error("gone"));
  await expect(waiting).rejects.toThrow("gone");
  lease[Symbol.dispose]();
  expect(slots.busy).toBe(0);
  expect(slots.waiting).toBe(0);
});

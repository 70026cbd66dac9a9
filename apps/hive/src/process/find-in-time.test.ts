import { readProcessIdentity, systemClock } from "@queen-and-hive/daemon";
import { expect, test } from "vitest";
import { findInTime } from "./find-in-time.ts";
import type { FoundProcess } from "./find-ours.ts";

const EMFILE = Object.assign(new Error("too many open files"), { code: "EMFILE" });

test("processes that could not be looked for at first are found when it can be done", async () => {
  const identity = readProcessIdentity(process.pid);
  if (identity === null) return expect.unreachable("we live");
  const found: readonly FoundProcess[] = [{ identity, workerId: "w", pgrp: 1 }];
  let looks = 0;
  const find = (): readonly FoundProcess[] => {
    looks += 1;
    if (looks < 3) throw EMFILE;
    return found;
  };
  expect(await findInTime(find, 60_000, systemClock)).toEqual({ found });
  expect(looks).toBe(3);
});

test("why they cannot be looked for is said when the time is over, and nothing is thrown", async () => {
  let looks = 0;
  const find = (): never => {
    looks += 1;
    throw EMFILE;
  };
  expect(await findInTime(find, 100, systemClock)).toEqual({ error: EMFILE });
  expect(looks).toBeGreaterThan(1);
});

import { DatabaseSync } from "node:sqlite";
import { systemClock } from "@queen-and-hive/daemon";
import { temporaryDirectory } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";
import { openSqliteStore } from "./sqlite-store.ts";
import type { RequestRow } from "./store.ts";

const ROW: RequestRow = {
  ...{ request_id: "r-1", model: "m", route: "chat.completions", status: 200, worker_id: null, hive_id: null },
  ...{ attempts: 1, queue_ms: 0, ttft_ms: 1, duration_ms: 2 },
};

it("has request rows in the system's hands after a flush, beside what is committed meanwhile, and keeps both", async () => {
  await using folder = await temporaryDirectory("qh-store");
  const path = folder.join("queen.db");
  const store = openSqliteStore({ path, clock: systemClock, onRequestsLost: (_rows, error) => expect(error).toBeNull() });
  store.recordRequest(ROW);
  store.commit({ events: [{ kind: "config.applied", actor: "test" }] });
  store.recordRequest({ ...ROW, request_id: "r-2" });
  store.flushRequests();
  // Another reader sees them although the store is open: whoever comes after a kill -9 finds the same.
  expect(requestIds(path)).toEqual(["r-1", "r-2"]);
  store.recordRequest({ ...ROW, request_id: "r-3" });
  store[Symbol.dispose]();
  expect(requestIds(path)).toEqual(["r-1", "r-2", "r-3"]);
  using again = openSqliteStore({ path, clock: systemClock, onRequestsLost: () => undefined });
  expect(again.losses).toEqual([]);
  expect(again.journalNewest(10)).toMatchObject([{ kind: "config.applied", actor: "test" }]);
});

it.each([1, 15, 16, 17, 31, 32, 33, 65, 1_203])("stores %i request rows whole and in the order of their ends", async (count) => {
  await using folder = await temporaryDirectory("qh-store");
  const path = folder.join("queen.db");
  let nowMs = Date.UTC(2030, 0, 1);
  const clock = { ...systemClock, nowMs: () => nowMs };
  using store = openSqliteStore({ path, clock, onRequestsLost: (_rows, error) => expect(error).toBeNull() });
  const expected: unknown[] = [];
  for (let index = 0; index < count; index++) {
    const row: RequestRow = {
      ...{ request_id: `r-${index}`, model: index % 3 === 0 ? null : `m-${index}`, route: `route-${index}`, status: 200 + index },
      ...{ worker_id: `w-${index}`, hive_id: `h-${index}`, attempts: index, queue_ms: index + 0.25, ttft_ms: index + 0.5 },
      ...{ duration_ms: index + 0.75, error_kind: `kind-${index}`, prompt_tokens: index + 1, completion_tokens: index + 2 },
    };
    store.recordRequest(row);
    expected.push({ time: new Date(nowMs).toISOString(), ...row });
    nowMs += 301;
  }
  store.flushRequests();
  expect(requestRows(path)).toEqual(expected);
});

it("tells how many request rows are lost with a group that the database does not take", async () => {
  await using folder = await temporaryDirectory("qh-store");
  const lost: number[] = [];
  const path = folder.join("queen.db");
  using store = openSqliteStore({ path, clock: systemClock, onRequestsLost: (rows) => lost.push(rows) });
  for (let index = 0; index < 40; index++) store.recordRequest(index === 35 ? { ...ROW, status: 0.5 } : ROW);
  store.flushRequests();
  store.recordRequest({ ...ROW, request_id: "after" });
  store.flushRequests();
  expect(lost).toEqual([40]);
  expect(requestIds(path)).toEqual(["after"]);
});

function requestRows(path: string): unknown[] {
  using database = new DatabaseSync(path, { readOnly: true });
  const rows = database.prepare("SELECT * FROM requests ORDER BY number").all();
  return rows.map(({ number: _, ...row }) => row);
}

function requestIds(path: string): unknown[] {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    return database
      .prepare("SELECT request_id FROM requests ORDER BY number")
      .all()
      .map((row) => row["request_id"]);
  } finally {
    database.close();
  }
}

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

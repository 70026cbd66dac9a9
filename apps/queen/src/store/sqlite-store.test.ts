import { once } from "node:events";
import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { systemClock } from "@queen-and-hive/daemon";
import { runCommand, temporaryDirectory, testEnvironment, until } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";
import { COLUMNS, pushValues, type RowValue } from "./request-rows.ts";
import { RequestWriter } from "./request-writer.ts";
import { openSqliteStore } from "./sqlite-store.ts";
import type { RequestRow } from "./store.ts";

/** How long rows wait for others (store/request-group.ts). */
const GROUP_MS = 100;
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

it("goes on while another program holds the database, and writes the rows when it lets go", async () => {
  await using folder = await temporaryDirectory("qh-store");
  const path = folder.join("queen.db");
  const lost: number[] = [];
  using store = openSqliteStore({ path, clock: systemClock, onRequestsLost: (rows) => lost.push(rows) });
  {
    // Whoever wrote in this thread would not come to let go of it.
    using held = holdDatabase(path);
    store.recordRequest(ROW);
    await sleep(3 * GROUP_MS);
    held.letGo();
  }
  store.flushRequests();
  expect(lost).toEqual([]);
  expect(requestIds(path)).toEqual(["r-1"]);
});

it("lets only so many rows wait for the disk and tells how many are lost", async () => {
  await using folder = await temporaryDirectory("qh-store");
  const path = folder.join("queen.db");
  let lost = 0;
  using store = openSqliteStore({
    path,
    clock: systemClock,
    onRequestsLost: (rows) => {
      lost += rows;
    },
  });
  {
    using held = holdDatabase(path);
    for (let index = 0; index < 21_000; index++) store.recordRequest({ ...ROW, request_id: `r-${index}` });
    held.letGo();
  }
  store.flushRequests();
  expect(lost).toBe(1_000);
  const ids = requestIds(path);
  expect([ids.length, ids[0], ids.at(-1)]).toEqual([20_000, "r-0", "r-19999"]);
});

it("copies the write-ahead log of lifecycle changes into the database although no request comes", async () => {
  await using folder = await temporaryDirectory("qh-store");
  const path = folder.join("queen.db");
  using store = openSqliteStore({ path, clock: systemClock, onRequestsLost: (_rows, error) => expect(error).toBeNull() });
  const details = { message: "x".repeat(10_000) };
  for (let commits = 1; commits <= 300; commits++) {
    store.commit({ events: [{ kind: "config.applied", actor: "test", details }] });
    if (commits % 50 === 0) store.flushRequests();
  }
  // 300 changes of three pages and more each are 3.7 MB.
  expect(statSync(`${path}-wal`).size).toBeLessThan(2_500_000);
  expect(store.journalNewest(1_000)).toHaveLength(300);
});

it("copies the write-ahead log of request rows into the database although nothing else changes", async () => {
  await using folder = await temporaryDirectory("qh-store");
  const path = folder.join("queen.db");
  using store = openSqliteStore({ path, clock: systemClock, onRequestsLost: (_rows, error) => expect(error).toBeNull() });
  for (let rows = 1; rows <= 40_000; rows++) {
    store.recordRequest(ROW);
    if (rows % 5_000 === 0) store.flushRequests();
  }
  // 40,000 rows are 4 MB.
  expect(statSync(`${path}-wal`).size).toBeLessThan(2_500_000);
});

it("tells what is lost when there is no database to write to, and does not hang", () => {
  const lost: [rows: number, error: unknown][] = [];
  const values = COLUMNS.map(() => 1);
  const writer = new RequestWriter("/nonexistent/queen.db", (rows, error) => lost.push([rows, error]));
  writer.write(values);
  writer.write([...values, ...values]);
  writer.settle();
  const cannotOpen = expect.objectContaining({ message: expect.stringContaining("unable to open") });
  expect(lost).toEqual([
    [1, cannotOpen],
    [2, cannotOpen],
  ]);
  writer[Symbol.dispose]();
});

// The other one is a row that the database would not take.
it.each([200, 0.5])("writes nothing of what it has told to be lost at its end, and tells it once (%d)", async (status) => {
  await using folder = await temporaryDirectory("qh-store");
  const path = folder.join("queen.db");
  using _store = openSqliteStore({ path, clock: systemClock, onRequestsLost: () => undefined });
  const lost: number[] = [];
  const begun = once(process, "worker");
  const writer = new RequestWriter(path, (rows) => lost.push(rows), 200);
  {
    using held = holdDatabase(path);
    for (const id of ["r-1", "r-2"]) {
      const values: RowValue[] = [];
      pushValues(values, "2030-01-01T00:00:00.000Z", { ...ROW, request_id: id, status });
      writer.write(values);
    }
    writer[Symbol.dispose]();
    expect(lost).toEqual([2]);
    held.letGo();
  }
  const [thread]: Worker[] = await begun;
  if (thread?.threadId !== -1) await once(thread as Worker, "exit");
  await sleep(20);
  expect(requestIds(path)).toEqual([]);
  expect(lost).toEqual([2]);
});

it("takes no rows once it is closed, whether it had any before or not", () => {
  const lost: unknown[] = [];
  const writer = new RequestWriter("/nonexistent/queen.db", (rows, error) => lost.push([rows, error]));
  writer[Symbol.dispose]();
  writer.write(COLUMNS.map(() => 1));
  expect(lost).toEqual([[1, expect.objectContaining({ message: "the store is closed" })]]);
});

it("tells what is lost with a thread that fails, and goes on with another", async () => {
  await using folder = await temporaryDirectory("qh-store");
  const path = folder.join("queen.db");
  const lost: number[] = [];
  using store = openSqliteStore({ path, clock: systemClock, onRequestsLost: (rows) => lost.push(rows) });
  const begun = once(process, "worker");
  store.recordRequest(ROW);
  store.flushRequests();
  const [thread]: Worker[] = await begun;
  {
    using held = holdDatabase(path);
    store.recordRequest(ROW);
    store.recordRequest(ROW);
    await sleep(2 * GROUP_MS);
    const ended = thread?.terminate();
    held.letGo();
    await ended;
  }
  // With none for a while, lest one that cannot begin is begun ten times a second.
  store.recordRequest(ROW);
  store.flushRequests();
  await until(() => {
    store.recordRequest({ ...ROW, request_id: "after" });
    store.flushRequests();
    return requestIds(path).includes("after");
  });
  expect(lost.slice(0, 2)).toEqual([2, 1]);
  expect(requestIds(path).filter((id) => id !== "after")).toEqual(["r-1"]);
});

it("does not throw where no thread can be begun: changes are kept, rows told to be lost, the log stays bounded", async () => {
  await using folder = await temporaryDirectory("qh-store");
  const script = `
    const { openSqliteStore } = await import(${JSON.stringify(new URL("./sqlite-store.ts", import.meta.url).href)});
    const { systemClock } = await import("@queen-and-hive/daemon");
    let lost = 0;
    const options = { path: process.argv[1], clock: systemClock, onRequestsLost: (rows) => { lost += rows; } };
    using store = openSqliteStore(options);
    let told = 0;
    store.journaled.subscribe(() => { told += 1; });
    const details = { message: "x".repeat(100_000) };
    for (let index = 0; index < 300; index++) store.commit({ events: [{ kind: "config.applied", actor: "test", details }] });
    for (let index = 0; index < 500; index++) store.recordRequest(${JSON.stringify(ROW)});
    store.flushRequests();
    const { statSync } = await import("node:fs");
    // Without a bound it would be 30 MB and more.
    const isBounded = statSync(process.argv[1] + "-wal").size < 20_000_000;
    console.log(JSON.stringify([told, store.journalNewest(1000).length, lost, isBounded]));`;
  // Without --allow-worker, Node refuses to begin a thread.
  const flags = ["--permission", "--allow-fs-read=*", "--allow-fs-write=*", "--input-type=module", "-e", script];
  const argv = [process.execPath, ...flags, folder.join("queen.db")];
  const result = await runCommand(argv, { cwd: import.meta.dirname, env: testEnvironment(folder.path) });
  expect([result.exitCode, result.stdout.trim()]).toEqual([0, "[300,300,500,true]"]);
});

/** Holds it as a program does that writes to it. */
function holdDatabase(path: string): Disposable & { letGo(): void } {
  const database = new DatabaseSync(path);
  database.exec("BEGIN IMMEDIATE");
  return { letGo: () => database.exec("COMMIT"), [Symbol.dispose]: () => database.close() };
}

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

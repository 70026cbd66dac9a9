import { readFileSync, statSync, watch, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { createMetrics, Deadline, type Metrics, silentLog, systemClock } from "@queen-and-hive/daemon";
import {
  type RecordedRequest,
  startRecordingServer,
  type TemporaryDirectory,
  temporaryDirectory,
  until,
} from "@queen-and-hive/dev-env";
import type { HiveIdentity } from "@queen-and-hive/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Ownership } from "../store/ownership.ts";
import { Sequence } from "../store/sequence.ts";
import { type StatePaths, statePaths } from "../store/state-paths.ts";
import { Outbox } from "./outbox.ts";
import type { OutboxMessage } from "./outbox-entry.ts";
import { QueenLine } from "./queen-line.ts";

const QUEEN = "queen-5b1c7c1e-7a44-4a0e-8a52-0d2f5c8f1a10";
const OTHER_QUEEN = "queen-0b1c7c1e-7a44-4a0e-8a52-0d2f5c8f1a10";
const IDENTITY: HiveIdentity = {
  hive_id: "gpu1",
  hive_epoch: 3,
  pid: 4711,
  start_time: 123,
  boot_id: "boot",
  version: "0.1.0",
  protocol: { min: 1, max: 1 },
  url: "http://127.0.0.1:9200",
};

let directory: TemporaryDirectory;
let paths: StatePaths;
let stack: AsyncDisposableStack;

beforeEach(async () => {
  directory = await temporaryDirectory();
  paths = statePaths(directory.path);
  stack = new AsyncDisposableStack();
});
afterEach(async () => {
  await stack.disposeAsync();
  await directory[Symbol.asyncDispose]();
});

describe("the outbox", () => {
  test("delivers a ready message with the daemon's identity, a sequence and the attempt", async () => {
    const queen = stack.use(await startRecordingServer());
    acknowledge(queen);
    const { outbox, ownership } = await open({ identity: IDENTITY });
    ownership.claim({ queen_id: QUEEN, queen_epoch: 1, queen_url: queen.url });
    outbox.start();
    await outbox.add(QUEEN, ready(1));
    const [request] = await queen.received(1);
    expect(request?.url).toBe("/v2/workers/ready");
    expect(request?.headers["authorization"]).toBe("Bearer the-hive-token");
    expect(request?.body).toMatchObject({
      worker_id: worker(1),
      hive_id: "gpu1",
      hive_epoch: 3,
      sequence: 1,
      delivery_attempt: 1,
    });
    await until(() => outbox.size === 0);
  });

  test("keeps the order of one worker's messages while the queen fails, and does not hold other workers up", async () => {
    const queen = stack.use(await startRecordingServer());
    queen.answer(({ body }) => (workerOf(body) === worker(1) && queen.requests.length < 6 ? { status: 503 } : OK));
    const { outbox, ownership } = await open();
    ownership.claim({ queen_id: QUEEN, queen_epoch: 1, queen_url: queen.url });
    outbox.start();
    await Promise.all([outbox.add(QUEEN, ready(1)), outbox.add(QUEEN, exited(1)), outbox.add(QUEEN, ready(2))]);
    await until(() => outbox.size === 0);
    const first = queen.requests.filter(({ body }) => workerOf(body) === worker(1)).map(({ url }) => url);
    expect(first.indexOf("/v2/workers/exited")).toBe(first.length - 1);
    const attempts = queen.requests.filter(({ url, body }) => url === "/v2/workers/ready" && workerOf(body) === worker(1));
    expect(attempts.map(({ body }) => field(body, "delivery_attempt"))).toEqual(attempts.map((_, index) => index + 1));
    expect(queen.requests.findIndex(({ body }) => workerOf(body) === worker(2))).toBeLessThan(3);
  });

  test("is delivered once by the next daemon when the queen was away during the life of this one", async () => {
    const queen = stack.use(await startRecordingServer());
    await queen.leave();
    const first = await open();
    first.ownership.claim({ queen_id: QUEEN, queen_epoch: 1, queen_url: queen.url });
    first.outbox.start();
    await first.outbox.add(QUEEN, ready(1));
    await first.outbox[Symbol.asyncDispose]();
    await queen.comeBack();
    acknowledge(queen);
    const second = await open({ identity: { ...IDENTITY, hive_epoch: 4 } });
    second.outbox.start();
    await until(() => second.outbox.size === 0);
    expect(queen.requests.map(({ body }) => [field(body, "hive_epoch"), field(body, "sequence")])).toEqual([[4, 1]]);
    await second.outbox.add(QUEEN, ready(2));
    const [, later] = await queen.received(2);
    expect(Number(field(later?.body, "sequence"))).toBeGreaterThan(1);
  });

  test("goes to the newest address at once, however long its back-off had become", async () => {
    const gone = stack.use(await startRecordingServer());
    const queen = stack.use(await startRecordingServer());
    await gone.leave();
    acknowledge(queen);
    const { outbox, ownership } = await open({ firstMs: 60_000, maxMs: 60_000 });
    ownership.claim({ queen_id: QUEEN, queen_epoch: 1, queen_url: gone.url });
    outbox.start();
    await outbox.add(QUEEN, ready(1));
    await outbox.flush(Deadline.in(5_000));
    expect(outbox.size).toBe(1);
    ownership.claim({ queen_id: QUEEN, queen_epoch: 2, queen_url: queen.url });
    await until(() => outbox.size === 0);
    expect(queen.requests).toHaveLength(1);
  });

  test("reaches a queen behind a Unix socket", async () => {
    const queen = stack.use(await startRecordingServer({ path: directory.join("queen.sock") }));
    acknowledge(queen);
    const { outbox, ownership } = await open();
    ownership.claim({ queen_id: QUEEN, queen_epoch: 1, queen_url: queen.url });
    outbox.start();
    await outbox.add(QUEEN, exited(1));
    await queen.received(1);
  });

  test.each([409, 410])("drops a message that the queen calls stale (%i)", async (status) => {
    const queen = stack.use(await startRecordingServer());
    queen.answer(() => ({ status }));
    const { outbox, ownership, metrics } = await open();
    ownership.claim({ queen_id: QUEEN, queen_epoch: 1, queen_url: queen.url });
    outbox.start();
    await outbox.add(QUEEN, ready(1));
    await until(() => outbox.size === 0);
    expect(queen.requests).toHaveLength(1);
    expect(await metrics.render()).toContain('hive_ready_callbacks_total{outcome="stale"} 1');
  });

  test.each([401, 403])("keeps a message with an alarm while the queen refuses the token (%i)", async (status) => {
    const queen = stack.use(await startRecordingServer());
    queen.answer(() => (queen.requests.length < 8 ? { status } : OK));
    const { outbox, ownership, metrics } = await open();
    ownership.claim({ queen_id: QUEEN, queen_epoch: 1, queen_url: queen.url });
    outbox.start();
    await outbox.add(QUEEN, ready(1));
    await until(async () => (await metrics.render()).includes("hive_callback_token_refused 1"));
    expect(outbox.size).toBe(1);
    await until(() => outbox.size === 0);
    expect(queen.requests).toHaveLength(8);
    expect(await metrics.render()).toContain("hive_callback_token_refused 0");
  });

  test("sets a message aside after five other refusals, and goes on with the next", async () => {
    const queen = stack.use(await startRecordingServer());
    queen.answer(({ url }) => (url === "/v2/workers/ready" ? { status: 400 } : OK));
    const { outbox, ownership } = await open();
    ownership.claim({ queen_id: QUEEN, queen_epoch: 1, queen_url: queen.url });
    outbox.start();
    await Promise.all([outbox.add(QUEEN, ready(1)), outbox.add(QUEEN, exited(1))]);
    await until(() => outbox.size === 0);
    expect(queen.requests.map(({ url }) => url)).toEqual([...Array(5).fill("/v2/workers/ready"), "/v2/workers/exited"]);
    expect(readFileSync(paths.refused, "utf8").trim().split("\n")).toHaveLength(1);
  });

  test("waits while another queen owns the hive", async () => {
    const queen = stack.use(await startRecordingServer());
    acknowledge(queen);
    const { outbox, ownership } = await open();
    ownership.claim({ queen_id: OTHER_QUEEN, queen_epoch: 1, queen_url: queen.url });
    outbox.start();
    await outbox.add(QUEEN, ready(1));
    await outbox.flush(Deadline.in(2_000));
    expect(queen.requests).toHaveLength(0);
    ownership.claim({ queen_id: QUEEN, queen_epoch: 1, queen_url: queen.url, take_over: true });
    await queen.received(1);
  });

  test("keeps only the latest message of each worker once it is full", async () => {
    const queen = stack.use(await startRecordingServer());
    await queen.leave();
    const { outbox, ownership } = await open({ outboxEntries: 4 });
    ownership.claim({ queen_id: QUEEN, queen_epoch: 1, queen_url: queen.url });
    outbox.start();
    for (let round = 0; round < 5; round += 1) await Promise.all([outbox.add(QUEEN, ready(1)), outbox.add(QUEEN, exited(2))]);
    expect(outbox.size).toBeLessThanOrEqual(4);
    await queen.comeBack();
    acknowledge(queen);
    await until(() => outbox.size === 0);
    expect(queen.requests.map(({ body }) => workerOf(body))).toContain(worker(1));
    expect(queen.requests.map(({ body }) => workerOf(body))).toContain(worker(2));
  });

  test("starts with a damaged file: sets it aside, says so, and keeps what can be read", async () => {
    const first = await open();
    await first.outbox.add(QUEEN, ready(1));
    await first.outbox.add(QUEEN, ready(2));
    await first.outbox[Symbol.asyncDispose]();
    const lines = readFileSync(paths.outbox, "utf8").split("\n");
    writeFileSync(paths.outbox, [lines[0]?.slice(0, 40), ...lines.slice(1)].join("\n"));
    const second = await open();
    expect(second.outbox.size).toBe(1);
    expect(second.outbox.loss).toMatch(/1 damaged line.*outbox\.jsonl\.damaged-.*1 message/);
    await second.outbox[Symbol.asyncDispose]();
    expect((await open()).outbox.loss).toBeNull();
  });

  test("has a damaged file in its place until the next one is there: a crash in between loses no readable message", async () => {
    const first = await open();
    await first.outbox.add(QUEEN, ready(1));
    await first.outbox[Symbol.asyncDispose]();
    writeFileSync(paths.outbox, `${readFileSync(paths.outbox, "utf8")}garbage\n`);
    const renamed: string[] = [];
    const watcher = watch(dirname(paths.outbox), (event, name) => {
      if (event === "rename" && name !== null) renamed.push(name);
    });
    stack.defer(() => watcher.close());
    expect((await open()).outbox.size).toBe(1);
    const name = basename(paths.outbox);
    await until(() => renamed.includes(name), 20_000, "the new file to be in its place");
    // Kept aside first, then a temporary file that takes its place.
    expect(renamed[0]).toContain(`${name}.damaged-`);
  });

  test("appends to its file however many messages wait, instead of writing all of them for each", async () => {
    const { outbox } = await open();
    await Promise.all(Array.from({ length: 2_100 }, (_, index) => outbox.add(QUEEN, ready(index))));
    const { ino } = statSync(paths.outbox);
    for (let index = 0; index < 20; index += 1) await outbox.add(QUEEN, exited(index));
    expect(statSync(paths.outbox).ino).toBe(ino);
    await outbox[Symbol.asyncDispose]();
    expect((await open()).outbox.size).toBe(2_120);
  });

  test("takes a last line without its end for a crash in the middle of a write, which is no damage", async () => {
    const first = await open();
    await first.outbox.add(QUEEN, ready(1));
    await first.outbox[Symbol.asyncDispose]();
    writeFileSync(paths.outbox, `${readFileSync(paths.outbox, "utf8")}{"add":{"sequ`);
    const second = await open();
    expect([second.outbox.size, second.outbox.loss]).toEqual([1, null]);
  });

  test("stays small on disk however many messages pass", async () => {
    const queen = stack.use(await startRecordingServer());
    acknowledge(queen);
    const { outbox, ownership } = await open();
    ownership.claim({ queen_id: QUEEN, queen_epoch: 1, queen_url: queen.url });
    outbox.start();
    for (let round = 0; round < 15; round += 1) {
      await Promise.all(Array.from({ length: 100 }, (_, index) => outbox.add(QUEEN, ready(index))));
      await until(() => outbox.size === 0, 60_000, "all of a round to be delivered");
    }
    await outbox[Symbol.asyncDispose]();
    expect(readFileSync(paths.outbox, "utf8").split("\n").length).toBeLessThan(2_100);
    // A busy machine may be too slow for a first try.
    expect(new Set(queen.requests.map(({ body }) => field(body, "sequence"))).size).toBe(1_500);
  }, 120_000);
});

const OK = { status: 200, body: { applied: true } };

function acknowledge(queen: { answer(how: () => typeof OK): void }): void {
  queen.answer(() => OK);
}

interface OpenOptions {
  readonly identity?: HiveIdentity;
  readonly firstMs?: number;
  readonly maxMs?: number;
  readonly outboxEntries?: number;
}

async function open(
  options: OpenOptions = {},
): Promise<{ readonly outbox: Outbox; readonly ownership: Ownership; readonly metrics: Metrics }> {
  const ownership = new Ownership(paths);
  const metrics = createMetrics();
  const line = new QueenLine({
    ownership,
    token: () => "the-hive-token",
    identity: () => options.identity ?? IDENTITY,
    timeoutMs: 2_000,
  });
  const outbox = await Outbox.open({
    paths,
    settings: {
      timeoutMs: 2_000,
      firstMs: options.firstMs ?? 10,
      maxMs: options.maxMs ?? 20,
      outboxEntries: options.outboxEntries ?? 10_000,
    },
    ownership,
    sequence: Sequence.open(paths, systemClock),
    line,
    clock: systemClock,
    log: silentLog,
    metrics,
  });
  stack.defer(() => outbox[Symbol.asyncDispose]());
  return { outbox, ownership, metrics };
}

function worker(number: number): string {
  return `worker-6fb0b2a3-7d1f-4c54-9d65-${String(number).padStart(12, "0")}`;
}

function ready(number: number): OutboxMessage {
  const time = "2026-01-02T03:04:05.678Z";
  return {
    kind: "worker_ready",
    body: {
      worker_id: worker(number),
      url: "http://127.0.0.1:17900",
      model_ref: "tiny",
      backend: "test",
      device: "cpu",
      incarnation: 1,
      pid: 5000,
      start_time: 1,
      spawned_at: time,
      ready_at: time,
    },
  };
}

function exited(number: number): OutboxMessage {
  return {
    kind: "worker_exited",
    body: {
      worker_id: worker(number),
      incarnation: 1,
      exit_code: 1,
      signal: null,
      cause: "unknown",
      log_tail: [],
      will_restart: false,
    },
  };
}

function field(body: unknown, name: string): unknown {
  return typeof body === "object" && body !== null ? new Map<string, unknown>(Object.entries(body)).get(name) : undefined;
}

function workerOf(body: RecordedRequest["body"]): unknown {
  return field(body, "worker_id");
}

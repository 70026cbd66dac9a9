import { Broadcast } from "@queen-and-hive/daemon";
import { ManualClock } from "@queen-and-hive/dev-env";
import { type HiveIdentity, parseHiveId } from "@queen-and-hive/protocol";
import { expect, it } from "vitest";
import { EventStreams } from "./event-streams.ts";

it.each([
  { beatMs: 250, said: 250 },
  { beatMs: Number.POSITIVE_INFINITY, said: null },
])("a snapshot says how often beats come ($beatMs ms), and they do", async ({ beatMs, said }) => {
  const clock = new ManualClock();
  const sent: unknown[] = [];
  using streams = new EventStreams({
    supervision: { list: () => [], changes: new Broadcast(nobody), steps: new Broadcast(nobody) },
    identity,
    clock,
    beatMs,
    sampleEveryMs: Number.POSITIVE_INFINITY,
  });
  using _reader = streams.attach({
    send: ({ data }) => sent.push(data) > 0,
    close: () => undefined,
    comment: () => true,
    closed: false,
    bufferedBytes: 0,
  });
  await clock.advance(1_000);
  const beats = said === null ? 0 : 1_000 / said;
  expect(sent).toEqual([
    expect.objectContaining({ type: "snapshot", beat_ms: said }),
    ...Array.from({ length: beats }, () => expect.objectContaining({ type: "beat" })),
  ]);
});

it("workers are listed for telemetry only while somebody reads it", async () => {
  const clock = new ManualClock();
  let lists = 0;
  const list = (): [] => {
    lists += 1;
    return [];
  };
  using streams = new EventStreams({
    supervision: { list, changes: new Broadcast(nobody), steps: new Broadcast(nobody) },
    identity,
    clock,
    beatMs: Number.POSITIVE_INFINITY,
    sampleEveryMs: 5_000,
  });
  await clock.advance(20_000);
  expect(lists).toBe(0);
  const sent: string[] = [];
  using _reader = streams.attach({
    send: ({ event }) => sent.push(event ?? "") > 0,
    close: () => undefined,
    comment: () => true,
    closed: false,
    bufferedBytes: 0,
  });
  await clock.advance(10_000);
  expect(sent).toEqual(["snapshot", "telemetry", "telemetry"]);
});

function nobody(error: unknown): never {
  throw error;
}

function identity(): HiveIdentity {
  const id = parseHiveId("gpu1");
  if (id === null) throw new Error("cannot make the id of a hive");
  const protocol = { min: 1, max: 1 };
  return {
    hive_id: id,
    hive_epoch: 1,
    pid: 1,
    start_time: 1,
    boot_id: "boot",
    url: "http://127.0.0.1:1",
    version: "0",
    protocol,
  };
}

import { describe, expect, it } from "vitest";
import { type Log, silentLog } from "./log.ts";
import { Mailbox } from "./mailbox.ts";

function recordingLog(lines: string[]): Log {
  return { ...silentLog, error: (message) => void lines.push(message) };
}

describe("a mailbox", () => {
  it("handles one event at a time in the order of posting, also those posted by its handler", async () => {
    const done: string[] = [];
    const mailbox = new Mailbox<string>({
      name: "worker-1",
      log: silentLog,
      handle: async (event) => {
        done.push(`${event} begins`);
        if (event === "a") mailbox.post("d");
        // The first takes the longest; order must not depend on it.
        for (let turn = 0; turn < (event === "a" ? 50 : 1); turn += 1) await Promise.resolve();
        done.push(`${event} ends`);
      },
    });
    for (const event of ["a", "b", "c"]) mailbox.post(event);
    expect(done).toEqual([]);
    await mailbox.drained();
    expect(done).toEqual(["a", "b", "c", "d"].flatMap((event) => [`${event} begins`, `${event} ends`]));
  });

  it("goes on after a handler has thrown, and says so", async () => {
    const [done, lines, errors]: [number[], string[], unknown[]] = [[], [], []];
    const fault = new Error("bad event");
    const mailbox = new Mailbox<number>({
      name: "worker-1",
      log: recordingLog(lines),
      onError: (error) => errors.push(error),
      handle: (event) => {
        if (event === 1) throw fault;
        done.push(event);
      },
    });
    for (const event of [1, 2]) mailbox.post(event);
    await mailbox.drained();
    expect([done, errors, lines.length]).toEqual([[2], [fault], 1]);
  });

  it("refuses more events than its limit, and says so", async () => {
    const lines: string[] = [];
    const mailbox = new Mailbox<number>({ name: "worker-1", log: recordingLog(lines), lengthMax: 2, handle: () => undefined });
    expect([mailbox.post(1), mailbox.post(2), mailbox.post(3)]).toEqual([true, true, false]);
    expect(lines).toHaveLength(1);
    await mailbox.drained();
    expect(mailbox.post(4)).toBe(true);
  });

  it("counts those of a long batch that still wait towards its limit", async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const mailbox = new Mailbox<number>({ name: "worker-1", log: silentLog, lengthMax: 3, handle: () => gate });
    for (const event of [1, 2, 3]) mailbox.post(event);
    await Promise.resolve();
    await Promise.resolve();
    expect([mailbox.length, mailbox.post(4), mailbox.post(5)]).toEqual([2, true, false]);
    open();
    await mailbox.drained();
  });

  it("takes nothing once closed, and still handles what waited", async () => {
    const done: number[] = [];
    const mailbox = new Mailbox<number>({ name: "worker-1", log: silentLog, handle: (event) => void done.push(event) });
    mailbox.post(1);
    mailbox.close();
    expect(mailbox.post(2)).toBe(false);
    await mailbox.drained();
    expect(done).toEqual([1]);
  });
});

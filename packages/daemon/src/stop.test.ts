import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { Deadline } from "./deadline.ts";
import { silentLog } from "./log.ts";
import { onSignals, StopSequence } from "./stop.ts";

describe("a stop sequence", () => {
  it("stops in reverse order, one after the other, and once only", async () => {
    const done: string[] = [];
    const sequence = new StopSequence({ log: silentLog });
    for (const name of ["log", "store", "server"]) {
      sequence.defer(name, async () => {
        done.push(`${name} begins`);
        await Promise.resolve();
        done.push(`${name} ends`);
      });
    }
    const first = sequence.stop(Deadline.in(1_000));
    expect(sequence.stop(Deadline.in(1))).toBe(first);
    expect(await first).toEqual([]);
    expect(done).toEqual(["server begins", "server ends", "store begins", "store ends", "log begins", "log ends"]);
  });

  it("goes on after a step that fails, and reports it", async () => {
    const done: string[] = [];
    const fault = new Error("cannot flush");
    const sequence = new StopSequence({ log: silentLog });
    sequence.defer("log", async () => void done.push("log"));
    sequence.defer("store", () => Promise.reject(fault));
    expect(await sequence.stop(Deadline.in(1_000))).toEqual([{ name: "store", error: fault }]);
    expect(done).toEqual(["log"]);
  });

  it("leaves a step that hangs at its share of the budget, so that the others get theirs", async () => {
    const shares: number[] = [];
    const sequence = new StopSequence({ log: silentLog, stepReserveMs: 20 });
    sequence.defer("log", async (deadline) => void shares.push(deadline.remainingMs()));
    sequence.defer("store", async (deadline) => void shares.push(deadline.remainingMs()));
    sequence.defer("server", () => new Promise(() => undefined));
    const failures = await sequence.stop(Deadline.in(60));
    expect(failures).toMatchObject([
      { name: "server", error: { kind: "deadline_exceeded", message: expect.stringMatching(/cannot stop server within/) } },
    ]);
    expect(shares).toHaveLength(2);
    for (const share of shares) expect(share).toBeGreaterThan(10);
  });

  it("takes steps in while it stops, and refuses them when it is over", async () => {
    const done: string[] = [];
    const sequence = new StopSequence({ log: silentLog });
    sequence.defer("server", async () => sequence.defer("late", async () => void done.push("late")));
    await sequence.stop(Deadline.in(1_000));
    expect(done).toEqual(["late"]);
    expect(() => sequence.defer("too late", async () => undefined)).toThrow(/cannot add the step/);
  });

  it("stops when it is disposed", async () => {
    const done: string[] = [];
    {
      await using sequence = new StopSequence({ log: silentLog });
      sequence.defer("server", async () => void done.push("server"));
    }
    expect(done).toEqual(["server"]);
  });
});

describe("signals", () => {
  it("are counted over all kinds, until they are no longer heard", () => {
    const heard: string[] = [];
    const listening = onSignals({ signals: ["SIGUSR2", "SIGHUP"], handle: (signal, count) => heard.push(`${signal} ${count}`) });
    process.emit("SIGUSR2", "SIGUSR2");
    process.emit("SIGHUP", "SIGHUP");
    listening[Symbol.dispose]();
    expect(heard).toEqual(["SIGUSR2 1", "SIGHUP 2"]);
    expect(process.listenerCount("SIGUSR2")).toBe(0);
  });

  it("that a launcher passes on a second time count once, but every Ctrl-C counts", () => {
    const heard: string[] = [];
    const handle = (signal: NodeJS.Signals, count: number): number => heard.push(`${signal} ${count}`);
    using _listening = onSignals({ signals: ["SIGUSR2", "SIGINT"], handle, echoMs: 60_000 });
    for (const signal of ["SIGUSR2", "SIGUSR2", "SIGINT", "SIGINT"] as const) process.emit(signal, signal);
    expect(heard).toEqual(["SIGUSR2 1", "SIGINT 2", "SIGINT 3"]);
  });

  it("reach a real process, which lives on until it decides otherwise", async () => {
    const code = `
      import { onSignals } from ${JSON.stringify(fileURLToPath(new URL("stop.ts", import.meta.url)))};
      onSignals({ signals: ["SIGTERM"], handle: (signal, count) => { console.log(signal, count); if (count === 2) process.exit(7); } });
      setInterval(() => {}, 1000);
      console.log("up");
    `;
    const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
    const exit = once(child, "exit");
    await once(child.stdout, "data");
    child.kill("SIGTERM");
    expect(String((await once(child.stdout, "data"))[0])).toBe("SIGTERM 1\n");
    child.kill("SIGTERM");
    expect(await exit).toEqual([7, null]);
  });
});

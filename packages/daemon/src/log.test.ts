import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { QhError } from "@queen-and-hive/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "./clock.ts";
import { createLog } from "./log.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "qh-log-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const clock = { ...systemClock, nowMs: () => Date.UTC(2030, 0, 2, 3, 4, 5, 678) };

function memory(): { readonly stream: Writable; readonly text: () => string; readonly lines: () => unknown[] } {
  let text = "";
  const stream = new Writable({
    write: (chunk, _encoding, done) => {
      text += String(chunk);
      done();
    },
  });
  return {
    stream,
    text: () => text,
    lines: () =>
      text
        .trim()
        .split("\n")
        .map((line): unknown => JSON.parse(line)),
  };
}

describe("a log in JSON", () => {
  it("writes one object a line with time, level, program, message and the fields of log and line", () => {
    const { stream, lines } = memory();
    const log = createLog({ program: "hive", level: "info", format: "json", stream, clock });
    log.child({ hive_id: "gpu1" }).child({ worker_id: "w" }).warn("worker is slow", { took_ms: 7 });
    expect(lines()).toEqual([
      {
        time: "2030-01-02T03:04:05.678Z",
        level: "warn",
        program: "hive",
        message: "worker is slow",
        hive_id: "gpu1",
        worker_id: "w",
        took_ms: 7,
      },
    ]);
  });

  it("leaves out what is below its level", () => {
    const { stream, lines } = memory();
    const log = createLog({ program: "hive", level: "warn", format: "json", stream });
    log.debug("a");
    log.info("b");
    log.warn("c");
    log.error("d");
    expect(lines()).toMatchObject([{ message: "c" }, { message: "d" }]);
  });

  it("lets no field pass for its time, level, program or message", () => {
    const { stream, lines } = memory();
    const log = createLog({ program: "queen", level: "info", format: "json", stream, clock });
    log.info("true message", { message: "false", level: "error", time: "never", program: "hive" });
    expect(lines()).toEqual([{ time: "2030-01-02T03:04:05.678Z", level: "info", program: "queen", message: "true message" }]);
  });

  it("writes an error with kind, stack and causes", () => {
    const { stream, lines } = memory();
    const cause = Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
    createLog({ program: "queen", level: "info", format: "json", stream }).error("call failed", {
      error: new QhError("peer_unreachable", "cannot reach gpu1", { cause }),
    });
    expect(lines()).toMatchObject([
      {
        error: {
          message: "cannot reach gpu1",
          kind: "peer_unreachable",
          stack: expect.any(String),
          cause: { code: "ECONNREFUSED" },
        },
      },
    ]);
  });

  it("writes a line also when a field cannot be JSON", () => {
    const { stream, lines } = memory();
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    const log = createLog({ program: "queen", level: "info", format: "json", stream });
    log.info("cycle", { cycle });
    log.info("big", { bytes: 12n });
    expect(lines()).toMatchObject([{ message: "cycle" }, { message: "big", bytes: "12" }]);
  });
});

describe("a log for people", () => {
  it("is one line, whatever control characters are in it", () => {
    const { stream, text } = memory();
    const log = createLog({ program: "queen", level: "info", format: "pretty", stream, clock });
    log.info("name \u001b[31mred\nsecond", { model: "a b", hive_id: "gpu1", error: new Error("x\ny") });
    expect(text()).toBe(`${String.raw`03:04:05.678 info  name \u001b[31mred\nsecond model="a b" hive_id=gpu1 error=x\ny`}\n`);
  });

  it("is chosen by auto on a terminal only", () => {
    const [terminal, file] = [memory(), memory()];
    Object.assign(terminal.stream, { isTTY: true });
    createLog({ program: "queen", level: "info", format: "auto", stream: terminal.stream }).info("x");
    createLog({ program: "queen", level: "info", format: "auto", stream: file.stream }).info("x");
    expect([terminal.text().startsWith("{"), file.text().startsWith("{")]).toEqual([false, true]);
  });
});

describe("a log file", () => {
  it("has every line once the log is closed, as JSON, for its owner only", async () => {
    const path = join(dir, "queen.log");
    const log = createLog({
      program: "queen",
      level: "info",
      format: "pretty",
      stream: null,
      file: { path, maxBytes: 1e6, keep: 2 },
    });
    for (let number = 0; number < 500; number += 1) log.info("line", { number });
    await log.close();
    log.info("too late");
    await log.close();
    const lines = readFileSync(path, "utf8")
      .trim()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    expect(lines).toHaveLength(500);
    expect(lines[499]).toMatchObject({ number: 499 });
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it("is rotated by size without losing a line", async () => {
    const path = join(dir, "queen.log");
    const log = createLog({
      program: "queen",
      level: "info",
      format: "json",
      stream: null,
      file: { path, maxBytes: 2_000, keep: 100 },
    });
    for (let number = 0; number < 200; number += 1) log.info("line", { number });
    await log.close();
    const names = ["queen.log", ...Array.from({ length: readdirSync(dir).length - 1 }, (_, age) => `queen.log.${age + 1}`)];
    const texts = names.reverse().map((name) => readFileSync(join(dir, name), "utf8"));
    const numbers = texts
      .join("")
      .trimEnd()
      .split("\n")
      .map((line): unknown => JSON.parse(line).number);
    expect(numbers).toEqual(Array.from({ length: 200 }, (_, number) => number));
    expect(Math.max(...texts.map((text) => text.length))).toBeLessThanOrEqual(2_000);
  });

  it("keeps only so many, and goes on where an earlier process ended", async () => {
    const file = { path: join(dir, "queen.log"), maxBytes: 2_000, keep: 3 };
    for (let start = 0; start < 10; start += 1) {
      const log = createLog({ program: "queen", level: "info", format: "json", stream: null, file });
      for (let number = 0; number < 15; number += 1) log.info("line", { start, number });
      await log.close();
    }
    expect(readdirSync(dir).sort()).toEqual(["queen.log", "queen.log.1", "queen.log.2"]);
    expect(readFileSync(file.path, "utf8")).toContain('"start":9,"number":14');
    expect(statSync(join(dir, "queen.log.1")).size).toBeGreaterThan(1_500);
  });

  it("that cannot be written costs lines, not the process", async () => {
    const file = { path: "/dev/full", maxBytes: 1e6, keep: 1 };
    const { stream, lines } = memory();
    const log = createLog({ program: "queen", level: "info", format: "json", stream, file });
    log.info("first");
    await log.close();
    expect(lines()).toHaveLength(1);
  });
});

it("keeps a process alive whose standard error nobody reads any more", async () => {
  const code = `
    import { createLog } from ${JSON.stringify(fileURLToPath(new URL("log.ts", import.meta.url)))};
    const log = createLog({ program: "queen", level: "info", format: "json" });
    log.info("up");
    process.stdin.once("data", () => {
      for (let n = 0; n < 100; n += 1) log.info("into the void", { n });
      setImmediate(() => setImmediate(async () => { await log.close(); process.exit(7); }));
    });
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["pipe", "ignore", "pipe"] });
  const exit = once(child, "exit");
  await once(child.stderr, "data");
  child.stderr.destroy();
  await once(child.stderr, "close");
  child.stdin.write("go\n");
  expect(await exit).toEqual([7, null]);
});

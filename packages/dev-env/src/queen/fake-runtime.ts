import type { QueenConfigInput } from "@queen-and-hive/protocol";
import { COMPILE_CACHE, programCommand } from "../processes/surroundings.ts";

type Runtimes = NonNullable<QueenConfigInput["runtimes"]>;
type Models = NonNullable<QueenConfigInput["models"]>;

/** How a queen learns that a fake worker is ready; `none` is a worker that never says so. */
export type FakeReady = "callback" | "http" | "log" | "none";

/** The command line of a fake worker, with the hive's placeholders for host, port, model and slots. */
export function fakeWorkerCommand(flags: readonly string[] = [], ready: FakeReady = "callback"): string[] {
  const manner = ready === "log" ? "none" : ready;
  const placeholders = ["--host", "{host}", "--port", "{port}", "--model", "{model}"];
  return [...programCommand("fake-worker"), ...placeholders, "--ready", manner, ...flags];
}

/** A runtime for a queen's `runtimes:` (or, resolved, a spawn's `runtime`) whose workers are fake ones. */
export function fakeRuntime(flags: readonly string[] = [], ready: FakeReady = "callback"): Runtimes[string] {
  return { command: fakeWorkerCommand(flags, ready), env: COMPILE_CACHE, ready: readySourceOf(ready) };
}

/** A model for a queen's `models:` that a fake runtime serves. */
export function fakeModel(id: string, runtime = "fake", more: Partial<Models[number]> = {}): Models[number] {
  return { id, runtime, ...more };
}

function readySourceOf(ready: FakeReady): NonNullable<Runtimes[string]["ready"]> {
  switch (ready) {
    case "http":
      return { http: "/health" };
    case "log":
      return { log: "is ready$" };
    case "callback":
    case "none":
      return { callback: true };
  }
}

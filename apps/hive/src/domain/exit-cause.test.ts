import { expect, it } from "vitest";
import { classifyExit } from "./exit-cause.ts";

const killed = { exitCode: null, signal: "SIGKILL" } as const;

it("a KILL while the kernel killed for lack of memory is told as that, and any other is not", () => {
  expect(classifyExit({ status: killed, oomKills: "machine", logTail: [] })).toBe("oom_killed");
  expect(classifyExit({ status: killed, oomKills: "none", logTail: [] })).toBe("killed");
});

it("a kill of one of the worker's own processes explains also an engine's own exit, and one of which nothing is known", () => {
  const own = { exitCode: 1, signal: null } as const;
  const nothing = { exitCode: null, signal: null } as const;
  for (const status of [killed, own, nothing]) {
    expect(classifyExit({ status, oomKills: "worker", logTail: [] })).toBe("oom_killed");
  }
  expect(classifyExit({ status: nothing, oomKills: "machine", logTail: [] })).toBe("unknown");
  // What the engine says itself, and what somebody else has sent, is nearer.
  expect(classifyExit({ status: own, oomKills: "worker", logTail: ["CUDA error: out of memory"] })).toBe("cuda_oom");
  expect(classifyExit({ status: { exitCode: null, signal: "SIGTERM" }, oomKills: "worker", logTail: [] })).toBe("killed");
});

it("a lack of memory on the machine explains no other end", () => {
  expect(classifyExit({ status: { exitCode: 1, signal: null }, oomKills: "machine", logTail: [] })).toBe("unknown");
  expect(classifyExit({ status: { exitCode: null, signal: "SIGTERM" }, oomKills: "machine", logTail: [] })).toBe("killed");
});

it.each([
  ["SIGILL", "illegal_instruction"],
  ["SIGSEGV", "segmentation_fault"],
  ["SIGBUS", "bus_error"],
  ["SIGABRT", "aborted"],
  ["SIGFPE", "crashed"],
  ["SIGTERM", "killed"],
  ["SIGUSR1", "killed"],
])("an end by %s is told as %s, unless the output says what led to it", (signal, cause) => {
  const status = { exitCode: null, signal };
  expect(classifyExit({ status, oomKills: "machine", logTail: ["last words"] })).toBe(cause);
  const said = classifyExit({ status, oomKills: "machine", logTail: ["CUDA error: out of memory"] });
  expect(said).toBe(signal === "SIGTERM" ? "killed" : "cuda_oom");
});

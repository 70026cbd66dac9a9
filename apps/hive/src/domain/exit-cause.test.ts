import { expect, it } from "vitest";
import { classifyExit } from "./exit-cause.ts";

const killed = { exitCode: null, signal: "SIGKILL" } as const;

it("a KILL while the kernel killed for lack of memory is told as that, and any other is not", () => {
  expect(classifyExit({ status: killed, oomKillSeen: true, logTail: [] })).toBe("oom_killed");
  expect(classifyExit({ status: killed, oomKillSeen: false, logTail: [] })).toBe("killed");
});

it("a lack of memory on the machine explains no other end", () => {
  expect(classifyExit({ status: { exitCode: 1, signal: null }, oomKillSeen: true, logTail: [] })).toBe("unknown");
  expect(classifyExit({ status: { exitCode: null, signal: "SIGTERM" }, oomKillSeen: true, logTail: [] })).toBe("killed");
});

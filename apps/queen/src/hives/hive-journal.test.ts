import { type Log, silentLog } from "@queen-and-hive/daemon";
import { expect, it } from "vitest";
import { type HiveMachine, INITIAL_HIVE_MACHINE } from "../domain/hive-states.ts";
import { logHiveState } from "./hive-journal.ts";

const UNREACHABLE: HiveMachine = {
  ...INITIAL_HIVE_MACHINE,
  state: { name: "unreachable", run: null, reason: "no route" },
  lastError: "no route",
};
const FAILED: HiveMachine = { ...INITIAL_HIVE_MACHINE, state: { name: "failed", reason: "no", hasBeenStopped: false } };

it.each([
  { presence: "always", after: UNREACHABLE, level: "warn" },
  { presence: "best_effort", after: UNREACHABLE, level: "info" },
  { presence: "best_effort", after: FAILED, level: "warn" },
  { presence: "always", after: INITIAL_HIVE_MACHINE, level: "info" },
] as const)("a hive with presence $presence that is $after.state.name is said as $level", ({ presence, after, level }) => {
  const said: string[] = [];
  const log: Log = { ...silentLog, warn: () => void said.push("warn"), info: () => void said.push("info") };
  logHiveState(log, { id: "gpu1", presence }, INITIAL_HIVE_MACHINE, after);
  expect(said).toEqual([level]);
});

import { QhError, type SpawnRequest } from "@queen-and-hive/protocol";
import { checkOwnVariables } from "../runtimes/worker-environment.ts";
import { checkWords } from "./launch.ts";

/** Refuses a spawn that can never work, before anything is recorded. Throws `invalid_body`, `spawn_failed`. */
export function checkSpawn({ spec }: SpawnRequest, workerCount: number, workersMax: number): void {
  if (workerCount >= workersMax) {
    throw new QhError(
      "spawn_failed",
      `cannot spawn a worker: this hive keeps ${workerCount} already; raise limits.workers or stop one`,
      {
        details: { limit: workersMax },
      },
    );
  }
  checkOwnVariables(spec.env, "invalid_body", "/spec/env");
  checkWords(spec.runtime.command ?? [], "/spec/runtime/command");
  checkWords(spec.args, "/spec/args");
  checkWords([spec.model.id], "/spec/model/id");
  checkWords(spec.devices, "/spec/devices");
  const pattern = spec.runtime.ready?.log;
  if (pattern === undefined) return;
  try {
    new RegExp(pattern);
  } catch (cause) {
    throw new QhError("invalid_body", `cannot read ${JSON.stringify(pattern)} as a regular expression; correct ready.log`, {
      param: "/spec/runtime/ready/log",
      cause,
    });
  }
}

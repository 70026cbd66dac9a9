import { QhError, type SpawnRequest, type WorkerSpec } from "@queen-and-hive/protocol";
import { checkOwnVariables } from "../runtimes/worker-environment.ts";
import { checkWords } from "./launch.ts";
import type { SupervisorConfig } from "./supervisor-options.ts";

/** Refuses a spawn that can never work, before anything is recorded. Throws `invalid_body`, `spawn_failed`. */
export function checkSpawn({ spec }: SpawnRequest, workerCount: number, limits: SupervisorConfig["limits"]): void {
  if (workerCount >= limits.workers) {
    throw new QhError(
      "spawn_failed",
      `cannot spawn a worker: this hive keeps ${workerCount} already; raise limits.workers or stop one`,
      { details: { limit: limits.workers } },
    );
  }
  if (spec.slots !== "auto" && spec.slots > limits.slotsPerWorker) {
    throw new QhError(
      "invalid_body",
      `cannot give a worker ${spec.slots} slots: this hive allows ${limits.slotsPerWorker}; ask for fewer or raise limits.slots_per_worker`,
      { param: "/spec/slots", details: { limit: limits.slotsPerWorker } },
    );
  }
  checkVariables(spec);
  checkAllWords(spec);
  checkPatterns(spec);
}

function checkVariables({ env, runtime }: WorkerSpec): void {
  checkOwnVariables(env, "invalid_body", "/spec/env");
  if (runtime.key_env !== undefined) checkOwnVariables({ [runtime.key_env]: "" }, "invalid_body", "/spec/runtime/key_env");
}

/** Everything that becomes an argument, a path or a variable of the hive's. */
function checkAllWords({ model, runtime, args, devices }: WorkerSpec): void {
  checkWords(runtime.command ?? [], "/spec/runtime/command");
  for (const [name, words] of Object.entries(runtime.files ?? {})) checkWords(words, `/spec/runtime/files/${name}`);
  checkWords(args, "/spec/args");
  checkWords([model.id], "/spec/model/id");
  checkWords([model.path ?? ""], "/spec/model/path");
  checkWords(Object.values(model.files ?? {}), "/spec/model/files");
  checkWords(devices, "/spec/devices");
}

function checkPatterns({ runtime }: WorkerSpec): void {
  const causes = runtime.causes ?? [];
  const patterns = [
    { pattern: runtime.ready?.log, param: "/spec/runtime/ready/log" },
    ...causes.map(({ line }, index) => ({ pattern: line, param: `/spec/runtime/causes/${index}/line` })),
  ];
  for (const { pattern, param } of patterns) {
    if (pattern === undefined) continue;
    try {
      new RegExp(pattern);
    } catch (cause) {
      throw new QhError("invalid_body", `cannot read ${JSON.stringify(pattern)} as a regular expression; correct ${param}`, {
        param,
        cause,
      });
    }
  }
}

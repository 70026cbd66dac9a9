// A supervisor in a process of its own, so that tests can kill it: recovers, spawns what argv[2] says, and tells on stdout.
import { readFileSync } from "node:fs";
import { silentLog, systemClock } from "@queen-and-hive/daemon";
import { compileValidator, type SpawnRequest, spawnRequestSchema } from "@queen-and-hive/protocol";
import { createSupervisor } from "../src/workers/supervisor.ts";
import type { SupervisorConfig, SupervisorOptions } from "../src/workers/supervisor-options.ts";
import { TestDevices } from "./test-devices.ts";

/** What the parent says, as JSON in the file that argv[2] names. */
export interface DaemonOrder {
  readonly stateDir: string;
  readonly stateId: string;
  readonly config: SupervisorConfig;
  readonly requests: readonly SpawnRequest[];
  readonly kernel?: NonNullable<SupervisorOptions["kernel"]>;
}

const [, , file = ""] = process.argv;
const order: DaemonOrder = JSON.parse(readFileSync(file, "utf8"));
const validate = compileValidator<SpawnRequest>(spawnRequestSchema, "refuse");
const say = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);
const supervision = createSupervisor({
  ...order,
  hiveId: "test",
  environment: process.env,
  callbackUrl: () => "http://127.0.0.1:1/v1/workers/ready",
  embeddedWorker: () => ({ unavailable: "there is none in this test" }),
  devices: new TestDevices(),
  notices: {
    workerReady: async ({ worker_id }) => say({ said: "ready", worker_id }),
    workerExited: async ({ worker_id, cause }) => say({ said: "exited", worker_id, cause }),
  },
  clock: systemClock,
  log: silentLog,
});
supervision.changes.subscribe(({ record: { worker_id, state } }) => say({ said: "state", worker_id, state }));
await supervision.recover();
say({ said: "recovered" });
await Promise.all(
  order.requests.map(async (request) => {
    const checked = validate(request);
    if (!checked.ok) throw new Error("the order is not a spawn request");
    await supervision.spawn(checked.value);
  }),
);
say({ said: "spawned" });

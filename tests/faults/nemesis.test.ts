import { expectNoProcesses, startTestCluster } from "@queen-and-hive/dev-env";
import { expect, test } from "vitest";
import { FAST, fight } from "./battle.ts";
import { PROCESS_FAULTS } from "./nemesis.ts";

/** The same story every time; another one, or a longer one: FAULT_SEED=N FAULT_MINUTES=M npm run test:long -- tests/faults */
const SEED = Number(process.env["FAULT_SEED"] ?? 1);
const MINUTES = Number(process.env["FAULT_MINUTES"] ?? 5);
const WORKERS = 3;

test(
  `a cluster under load comes through random faults (seed ${SEED}, ${MINUTES} minutes)`,
  async () => {
    await using cluster = await startTestCluster({
      hives: ["north", "south"],
      workers: { min: WORKERS, max: WORKERS + 1 },
      workerFlags: ["--token-rate", "60", "--tokens", "12"],
      config: FAST,
    });
    const { queen } = cluster;
    const ground = { queen, folder: queen.folder, workers: () => cluster.workers() };
    await fight({ ground, faults: PROCESS_FAULTS, seed: SEED, minutes: MINUTES, workersMin: WORKERS });
    expect((await queen.command(["down", "--json"])).exitCode).toBe(0);
    await queen.program.ended();
    await expectNoProcesses({ folder: queen.folder });
  },
  (MINUTES + 5) * 60_000,
);

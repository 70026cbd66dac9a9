import { expectNoProcesses, fakeModel, fakeRuntime, hiveOn, startSshGround, startTestQueen } from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { FAST, fight } from "./battle.ts";
import { linkFaults, PROCESS_FAULTS } from "./nemesis.ts";
import { OPERATOR_ORDERS } from "./operator-orders.ts";

/** The same story every time; another one, or a longer one: FAULT_SEED=N FAULT_MINUTES=M npm run test:long -- tests/faults */
const SEED = Number(process.env["FAULT_SEED"] ?? 1);
const MINUTES = Number(process.env["FAULT_MINUTES"] ?? 5);
const WORKERS = 2;

test(
  `hosts over SSH under load come through random faults of links and processes (seed ${SEED}, ${MINUTES} minutes)`,
  async () => {
    await using hosts = await startSshGround({ hosts: [{}, {}] });
    const [north, south] = hosts.hosts;
    if (north === undefined || south === undefined) return expect.unreachable("a ground of two hosts has them");
    await using queen = await startTestQueen({
      config: {
        ...FAST,
        hives: [
          await hiveOn(hosts, north, "north", { state_dir: `${north.home}/state` }),
          await hiveOn(hosts, south, "south", { state_dir: `${south.home}/state` }),
        ],
        models: [fakeModel("fake", "fake", { workers: { min: WORKERS, max: WORKERS } })],
        runtimes: { fake: fakeRuntime(["--token-rate", "60", "--tokens", "12"]) },
      },
    });
    await queen.hivesRunning();
    const workers = async () => (await queen.peer.call(QUEEN_ENDPOINTS.listWorkers)).workers;
    const faults = [...linkFaults(hosts.hosts), ...linkFaults(hosts.hosts), ...PROCESS_FAULTS, ...OPERATOR_ORDERS];
    await fight({ ground: { queen, folder: hosts.folder, workers }, faults, seed: SEED, minutes: MINUTES, workersMin: WORKERS });
    expect((await queen.command(["down", "--json"])).exitCode).toBe(0);
    await queen.program.ended();
    for (const host of hosts.hosts) expect(host.processes()).toEqual([]);
    await expectNoProcesses({ folder: queen.folder });
  },
  (MINUTES + 5) * 60_000,
);

import {
  expectNoProcesses,
  fakeModel,
  fakeRuntime,
  freePort,
  freePortRange,
  startTestQueen,
  temporaryDirectory,
} from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { FAST, fight } from "./battle.ts";
import { diskFaults, PROCESS_FAULTS } from "./nemesis.ts";
import { OPERATOR_ORDERS } from "./operator-orders.ts";
import { canMountSmallDisk, type SmallDisk, smallDisk } from "./small-disk.ts";

/** The same story every time; another one, or a longer one: FAULT_SEED=N FAULT_MINUTES=M npm run test:long -- tests/faults */
const SEED = Number(process.env["FAULT_SEED"] ?? 1);
const MINUTES = Number(process.env["FAULT_MINUTES"] ?? 5);
const WORKERS = 3;
const PORTS = 30;
const DISK_MEBIBYTES = 64;

test(
  `a cluster under load comes through random faults and orders (seed ${SEED}, ${MINUTES} minutes)`,
  async () => {
    await using folder = await temporaryDirectory("qh-nemesis");
    using disks = new DisposableStack();
    const small = smallDisks(
      disks,
      folder.join("probe"),
      ["queen", "north", "south"].map((name) => folder.join(name)),
    );
    const hive = async (id: string) => ({
      id,
      host: "local",
      listen: `127.0.0.1:${await freePort()}`,
      worker_ports: (await freePortRange(PORTS)).text,
      state_dir: folder.join(`${id}/state`),
    });
    {
      await using queen = await startTestQueen({
        config: {
          ...FAST,
          state_dir: folder.join("queen/state"),
          hives: [await hive("north"), await hive("south")],
          models: [fakeModel("fake", "fake", { workers: { min: WORKERS, max: WORKERS + 1 } })],
          runtimes: { fake: fakeRuntime(["--token-rate", "60", "--tokens", "12"]) },
        },
      });
      await queen.hivesRunning();
      const workers = async () => (await queen.peer.call(QUEEN_ENDPOINTS.listWorkers)).workers;
      const ground = { queen, folder: folder.path, workers };
      const faults = [...PROCESS_FAULTS, ...OPERATOR_ORDERS, ...diskFaults(small)];
      await fight({ ground, faults, seed: SEED, minutes: MINUTES, workersMin: WORKERS });
      expect((await queen.command(["down", "--json"])).exitCode).toBe(0);
      await queen.program.ended();
    }
    await expectNoProcesses({ folder: folder.path });
  },
  (MINUTES + 5) * 60_000,
);

/** A disk for each folder; none, which is said, where this user may not mount any. */
function smallDisks(stack: DisposableStack, probe: string, paths: readonly string[]): readonly SmallDisk[] {
  if (canMountSmallDisk(probe)) return paths.map((path) => stack.use(smallDisk(path, DISK_MEBIBYTES)));
  console.warn("LEFT OUT: full disks, since this user may not mount a tmpfs");
  return [];
}

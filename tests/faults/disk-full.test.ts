import { join } from "node:path";
import { signalProcess } from "@queen-and-hive/daemon";
import {
  expectNoProcesses,
  fakeModel,
  freePort,
  freePortRange,
  startTestQueen,
  temporaryDirectory,
  until,
} from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { ask, chat, errorOf } from "../cluster/ask.ts";
import { identityOf, livingOf } from "../cluster/identity.ts";
import { smallDisk } from "./small-disk.ts";

const PORTS = 20;
const DISK_MEBIBYTES = 24;

test.each(["queen", "hive"] as const)(
  "a full disk under the state of the %s: requests go on, a lost worker and a lost hive are back once there is room, and down is proven on a full disk",
  async (whose) => {
    await using folder = await temporaryDirectory("qh-full");
    using disk = smallDisk(folder.join("small"), DISK_MEBIBYTES);
    const place = (name: string): string => (name === whose ? join(disk.path, name) : folder.join(name));
    const hive = {
      id: "local",
      host: "local",
      listen: `127.0.0.1:${await freePort()}`,
      worker_ports: (await freePortRange(PORTS)).text,
      state_dir: place("hive"),
    };
    {
      await using queen = await startTestQueen({
        config: {
          state_dir: place("queen"),
          hives: [hive],
          models: [fakeModel("fake", "fake", { workers: { min: 1, max: 1 } })],
          restart: { first: "200ms", max: "1s", jitter: 0, retry_open_every: "1s" },
        },
      });
      const ready = async (incarnation: number) =>
        await until(async () => {
          const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
          return workers.find((worker) => worker.state === "ready" && worker.incarnation >= incarnation);
        }, 60_000);
      const worker = await ready(1);
      disk.fill();
      for (let index = 0; index < 3; index += 1) expect((await ask(queen.url, { body: chat("fake") })).status).toBe(200);
      expect(livingOf([identityOf(worker)])).toEqual([worker.pid]);

      signalProcess(identityOf(worker), "SIGKILL");
      await until(() => livingOf([identityOf(worker)]).length === 0);
      // Whoever cannot write cannot start it again: what is asked meanwhile still has an end.
      const meanwhile = await ask(queen.url, { body: chat("fake"), headers: { "x-request-timeout": "5" } });
      expect([200, 502, 503, 504]).toContain(meanwhile.status);
      if (meanwhile.status !== 200) errorOf(meanwhile.text);
      disk.empty();
      const again = await ready(2);
      expect((await ask(queen.url, { body: chat("fake") })).status).toBe(200);

      disk.fill();
      expect(await queen.hive("local").kill()).toBe(true);
      const lost = await until(async () => {
        const record = await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: "local" } });
        return record.state === "running" || record.state === "suspect" ? null : record;
      }, 60_000);
      // Longer than the back-off: the restart is due, and cannot be recorded by whoever has the full disk.
      const dueMs = performance.now() + 3_000;
      await until(() => performance.now() >= dueMs, 30_000);
      expect(livingOf([identityOf(again)])).toEqual([again.pid]);
      disk.empty();
      await queen.hivesRunning(undefined, 60_000);
      const back = await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: "local" } });
      expect(back.hive_epoch).toBeGreaterThan(lost.hive_epoch ?? 0);
      expect((await ask(queen.url, { body: chat("fake") })).status).toBe(200);

      disk.fill();
      const down = await queen.command(["down"]);
      expect([down.exitCode, down.stderr]).toEqual([0, expect.any(String)]);
      await queen.program.ended();
      expect(livingOf([identityOf(again)])).toEqual([]);
    }
    await expectNoProcesses({ folder: folder.path });
  },
  180_000,
);

import { Deadline, isProcessAlive } from "@queen-and-hive/daemon";
import { firstOf, startSshGround } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";
import { createHiveCommands } from "../src/hosts/hive-commands.ts";
import { SshHost } from "../src/hosts/ssh-host.ts";
import { reachOf } from "./ssh-reach.ts";

const soon = (): Deadline => Deadline.in(120_000);

it("twenty starts at the same time, over two connections, start one daemon and all name it", async () => {
  await using ground = await startSshGround({ hosts: [{}] });
  const there = firstOf(ground);
  await using one = new SshHost(reachOf(ground, there));
  await using other = new SshHost(reachOf(ground, there));
  const place = { hiveId: "gpu1", installDir: "~/.local/share/hive", stateDir: "~/a state directory" };
  const commands = [createHiveCommands(one, place), createHiveCommands(other, place)] as const;
  const config = { hive_id: "gpu1", listen: "127.0.0.1:0" };
  const starts = Array.from({ length: 20 }, (_, index) => commands[index % 2 === 0 ? 0 : 1].start({ config }, soon()));
  const answers = await Promise.all(starts);
  expect(new Set(answers.map(({ pid, start_time, hive_epoch }) => `${pid} ${start_time} ${hive_epoch}`)).size).toBe(1);
  expect(answers.filter(({ already_running: already }) => !already)).toHaveLength(1);
  expect(there.processes()).toHaveLength(1);
  expect(await commands[0].status(soon())).toMatchObject({ state: "running", identity: { pid: answers[0]?.pid } });

  const stop = await commands[1].stop({ keepWorkers: false, queenId: "queen-00000000-0000-4000-8000-000000000000" }, soon());
  expect(stop).toMatchObject({ was_running: true, left: [] });
  for (const { pid, start_time, boot_id } of answers) expect(isProcessAlive({ pid, start_time, boot_id })).toBe(false);
  expect(there.processes()).toEqual([]);
}, 180_000);

import { signalProcess } from "@queen-and-hive/daemon";
import { metricOf, startTestCluster, until } from "@queen-and-hive/dev-env";
import { type HiveRecord, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { journalOf } from "./ask.ts";

const HEALTH = { interval: "30s", beat: "200ms", timeout: "500ms", retry: "200ms", suspect_grace: "1s" };

test("two of three expected hives that fall silent together are left alone until one is back, or for as long as we are believed ill", async () => {
  await using cluster = await startTestCluster({
    hives: ["one", "two", "three", "off"],
    config: { health: { ...HEALTH, mass_loss: { hold: "6s" } }, restart: { first: "100ms", jitter: 0 } },
  });
  const { queen } = cluster;
  // What an operator stopped is not expected to be there: three are.
  expect((await queen.command(["hive", "stop", "off"])).exitCode).toBe(0);
  const hives = async (): Promise<readonly HiveRecord[]> => (await queen.peer.call(QUEEN_ENDPOINTS.listHives)).hives;
  const before = new Map((await hives()).map((hive) => [hive.hive_id as string, hive]));
  const silence = (signal: "SIGSTOP" | "SIGCONT", ids: readonly string[]): void => {
    for (const id of ids) {
      const { pid, start_time, boot_id } = before.get(id) ?? { pid: null, start_time: null, boot_id: null };
      if (pid === null || start_time === null || boot_id === null) throw new Error(`cannot find the process of ${id}`);
      signalProcess({ pid, start_time, boot_id }, signal);
    }
  };
  const moves = async (): Promise<readonly (string | undefined)[]> =>
    (await journalOf(queen.url)).filter(({ kind }) => kind === "hives.frozen").map(({ to }) => to);
  const ended = async (): Promise<readonly (string | undefined)[]> =>
    (await journalOf(queen.url)).filter(({ kind, to }) => kind === "hive.state" && to === "hung").map(({ hive_id }) => hive_id);
  expect(await metricOf(queen.url, "queen_hives_frozen")).toBe(0);

  silence("SIGSTOP", ["one", "two"]);
  await until(async () => (await metricOf(queen.url, "queen_hives_frozen")) === 1, 60_000, "the freeze");
  expect([await moves(), await ended()]).toEqual([["frozen"], []]);
  silence("SIGCONT", ["one", "two"]);
  await queen.hivesRunning(["one", "two", "three"], 60_000);
  expect(await metricOf(queen.url, "queen_hives_frozen")).toBe(0);
  expect([await moves(), await ended()]).toEqual([["frozen", "watched"], []]);

  silence("SIGSTOP", ["one", "two"]);
  const again = await until(async () => {
    const now = await hives();
    const isBack = ["one", "two"].every((id) => {
      const hive = now.find(({ hive_id }) => hive_id === id);
      return hive?.state === "running" && hive.pid !== before.get(id)?.pid;
    });
    return isBack ? now : null;
  }, 90_000);
  expect(await moves()).toEqual(["frozen", "watched", "frozen", "watched"]);
  expect([...(await ended())].sort()).toEqual(["one", "two"]);
  expect(again.find(({ hive_id }) => hive_id === "three")).toMatchObject({ pid: before.get("three")?.pid, state: "running" });
}, 240_000);

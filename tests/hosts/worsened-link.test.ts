import { fakeModel, firstOf, hiveOn, readyCounts, startSshGround, startTestQueen, worsenLink } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";
import { ask, chat } from "../cluster/ask.ts";

const DELAY_MS = 60;

it.each([undefined, "in_process"] as const)(
  "a hive behind a slow link is started, serves through its tunnel and is heard of by callback (%s)",
  async (kind) => {
    await using ground = await startSshGround({ hosts: [{}], ...(kind === undefined ? {} : { kind }) });
    await using link = await worsenLink(ground, firstOf(ground), { delayMs: DELAY_MS });
    await using queen = await startTestQueen({
      config: { hives: [await hiveOn(ground, link.host, "gpu1")], models: [fakeModel("far")] },
    });
    await queen.hivesRunning();
    expect((await ask(queen.url, { body: chat("far") })).status).toBe(200);
    expect(await readyCounts(queen.url)).toEqual({ callbacks: 1, polls: 0 });
    // There and back: the link is as slow as it says, also for a connection that is open.
    const started = performance.now();
    expect((await ask(queen.url, { body: chat("far") })).status).toBe(200);
    expect(performance.now() - started).toBeGreaterThanOrEqual(2 * DELAY_MS - 2);
    expect((await queen.stop()).code).toBe(0);
    expect(link.host.processes()).toEqual([]);
  },
  120_000,
);

import {
  fakeModel,
  fakeRuntime,
  hiveOn,
  readyWorkers,
  type SshTestHost,
  startSshGround,
  startTestQueen,
  until,
} from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { expect, it } from "vitest";
import { ask, chat, contentOf, dataOf, journalOf, openStream } from "../cluster/ask.ts";
import { identityOf, livingOf } from "../cluster/identity.ts";

const TOKENS = 200;
const HEALTH = { interval: "2s", beat: "500ms", timeout: "2s", retry: "500ms", suspect_grace: "2s", replace_after: "2s" };

it("a host that returns after replace_after keeps its worker, and who stood in for it ends, with the stream on it whole", async () => {
  await using ground = await startSshGround({ hosts: [{}, {}] });
  const [north, south] = ground.hosts;
  if (north === undefined || south === undefined) return expect.unreachable("a ground of two hosts has them");
  const hosts: Readonly<Record<string, SshTestHost>> = { north, south };
  await using queen = await startTestQueen({
    config: {
      hives: [await hiveOn(ground, north, "north"), await hiveOn(ground, south, "south")],
      models: [fakeModel("far", "fake", { workers: { min: 1, max: 1 } })],
      runtimes: { fake: fakeRuntime(["--token-rate", "20", "--tokens", String(TOKENS)]) },
      health: HEALTH,
    },
  });
  const [original] = await readyWorkers(queen.peer, 1);
  if (original === undefined) return expect.unreachable("one is ready");
  await queen.hivesRunning();
  hosts[original.hive_id]?.cutLink();

  const standIn = await until(
    async () => {
      const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
      return workers.find(({ hive_id, state }) => hive_id !== original.hive_id && state === "ready") ?? null;
    },
    60_000,
    "a worker that stands in",
  );
  const stream = await openStream(queen.url, chat("far", { stream: true }));
  await stream.begun;
  hosts[original.hive_id]?.mendLink();
  await queen.hivesRunning([original.hive_id], 60_000);
  const fresh = await ask(queen.url, { body: chat("far", { max_tokens: 1 }) });
  expect([fresh.status, fresh.text.includes(original.worker_id)]).toEqual([200, true]);

  const { workers: meanwhile } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
  expect(meanwhile.find(({ worker_id }) => worker_id === standIn.worker_id)?.state).toBe("draining");
  const text = await stream.whole;
  expect([dataOf(text).at(-1), text.includes('"error"'), text.includes(standIn.worker_id)]).toEqual(["[DONE]", false, true]);
  expect(contentOf(text).split(" ").length).toBe(TOKENS);
  const left = await until(
    async () => {
      const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
      return workers.length === 1 ? workers : null;
    },
    60_000,
    "the end of who stood in",
  );
  expect(left).toMatchObject([{ worker_id: original.worker_id, incarnation: 1, state: "ready", pid: original.pid }]);
  expect([livingOf([identityOf(original)]), livingOf([identityOf(standIn)])]).toEqual([[original.pid], []]);
  const events = (await journalOf(queen.url)).filter(({ worker_id }) => worker_id === standIn.worker_id);
  const moves = events.filter(({ kind }) => kind === "worker.state").map(({ to, cause }) => `${to} ${cause ?? "-"}`);
  expect(moves.slice(-3)).toEqual(["draining stand_in_ended", "stopping stand_in_ended", "stopped stand_in_ended"]);
  // Its hive knew of the drain, too: that is the first step of the stop there.
  expect(events.find(({ kind }) => kind === "worker.step")?.details).toMatchObject({ step: "drain", outcome: "ok" });
}, 240_000);

import assert from "node:assert/strict";
import type { WorkerRecord } from "@queen-and-hive/protocol";
import { freePort } from "../net/free-port.ts";
import { fakeModel } from "../queen/fake-runtime.ts";
import { readyCounts } from "../queen/metric-of.ts";
import { readyWorkers } from "../queen/ready-workers.ts";
import { startTestQueen, type TestQueen } from "../queen/test-queen.ts";
import { type SshGround, startSshGround } from "./ground.ts";
import { hiveOn } from "./hive-on.ts";
import { answerOf, downAndProve, installFolder, type TwoHostsShow } from "./show-steps.ts";

const RUNNING_WITHIN_MS = 60_000;

/**
 * Two empty hosts, one behind a tunnel, one direct: the queen installs and starts a hive on each, a chat is answered by a
 * worker on each, the SSH connections are dropped and callbacks still come through, and in the end nothing of ours is left
 * on either, by process identity. Throws at the first thing that is not so.
 */
export async function showTwoHosts({ say, executable, kind }: TwoHostsShow): Promise<void> {
  say("making two empty hosts");
  await using ground = await startSshGround({ hosts: [{}, {}], hive: false, ...(kind === undefined ? {} : { kind }) });
  await using queen = await startQueenFor(ground, executable);
  say(
    `queen serve, with ${ground.hosts.map(({ url }) => url).join(" by tunnel and ")} direct: installing and starting the hives`,
  );
  await queen.hivesRunning(["tunnelled", "direct"], RUNNING_WITHIN_MS);

  say("a chat to a model of each host");
  const workers = [await chatOn(queen, "near-tunnel", "tunnelled"), await chatOn(queen, "near-direct", "direct")];
  const spread = await readyWorkers(queen.peer, 2, { model: "spread" });
  assert.equal(new Set(spread.map(({ hive_id: hiveId }) => hiveId)).size, 2, "workers of one model go to different hosts");

  const status = await queen.command(["status"]);
  assert.equal(status.exitCode, 0, status.stderr);
  say(`queen status:\n${status.stdout}`);

  say("dropping every SSH connection, then asking for models that have to be started and called back for");
  const before = await readyCounts(queen.url);
  for (const host of ground.hosts) host.dropConnections();
  workers.push(await chatOn(queen, "late-tunnel", "tunnelled"), await chatOn(queen, "late-direct", "direct"));
  await chatOn(queen, "near-tunnel", "tunnelled");
  const after = await readyCounts(queen.url);
  assert.equal(after.callbacks - before.callbacks, 2, "both late workers were called back for");
  assert.equal(after.polls, 0, "nobody had to ask whether a worker is ready");
  say("both said so by callback: 2 more were applied, and the queen has asked for none");

  await downAndProve(queen, ground, [...workers, ...spread], say);
}

async function startQueenFor(ground: SshGround, executable: string | null): Promise<TestQueen> {
  const [tunnelled, direct] = ground.hosts;
  if (tunnelled === undefined || direct === undefined) throw new Error("a ground of two hosts has them");
  return await startTestQueen({
    config: {
      hive_listen: `${direct.gateway}:${await freePort(direct.gateway)}`,
      install: { from: installFolder(ground, executable) },
      hives: [
        await hiveOn(ground, tunnelled, "tunnelled", { transport: "tunnel" }),
        await hiveOn(ground, direct, "direct", { transport: "direct" }),
      ],
      models: [
        fakeModel("near-tunnel", "fake", { place: { hives: ["tunnelled"] } }),
        fakeModel("near-direct", "fake", { place: { hives: ["direct"] } }),
        fakeModel("late-tunnel", "fake", { place: { hives: ["tunnelled"] } }),
        fakeModel("late-direct", "fake", { place: { hives: ["direct"] } }),
        fakeModel("spread", "fake", { workers: { min: 2, max: 2 } }),
      ],
    },
  });
}

/** Asks for an answer of a model and returns the worker that gave it, which must be on the hive. */
async function chatOn(queen: TestQueen, model: string, hiveId: string): Promise<WorkerRecord> {
  const text = await answerOf(queen, model, "What is a hive?");
  const [worker] = await readyWorkers(queen.peer, 1, { model });
  assert.ok(worker !== undefined && worker.hive_id === hiveId, `${model} runs on ${hiveId}`);
  assert.ok(text.includes(worker.worker_id), "the worker itself has answered");
  return worker;
}

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isProcessAlive } from "@queen-and-hive/daemon";
import { QUEEN_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { until } from "../clock/until.ts";
import { freePort } from "../net/free-port.ts";
import { programCommand } from "../processes/surroundings.ts";
import { fakeModel } from "../queen/fake-runtime.ts";
import { startTestQueen, type TestQueen } from "../queen/test-queen.ts";
import { type SshGround, type SshGroundOptions, startSshGround } from "./ground.ts";
import { hiveOn } from "./hive-on.ts";

/** How the show is given. */
export interface TwoHostsShow {
  /** Hears of each step. */
  readonly say: (line: string) => void;
  /** The executable that is installed on the hosts; a small stand-in that starts this checkout's hive when null. */
  readonly executable: string | null;
  readonly kind?: SshGroundOptions["kind"];
}

const READY_WITHIN_MS = 60_000;

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
  await queen.hivesRunning(["tunnelled", "direct"], READY_WITHIN_MS);

  say("a chat to a model of each host");
  const workers = [await chatOn(queen, "near-tunnel", "tunnelled"), await chatOn(queen, "near-direct", "direct")];
  const spread = await readyWorkers(queen, "spread", 2);
  assert.equal(new Set(spread.map(({ hive_id: hiveId }) => hiveId)).size, 2, "workers of one model go to different hosts");

  const status = await queen.command(["status"]);
  assert.equal(status.exitCode, 0, status.stderr);
  say(`queen status:\n${status.stdout}`);

  say("dropping every SSH connection, then asking for models that have to be started and called back for");
  for (const host of ground.hosts) host.dropConnections();
  workers.push(await chatOn(queen, "late-tunnel", "tunnelled"), await chatOn(queen, "late-direct", "direct"));
  await chatOn(queen, "near-tunnel", "tunnelled");

  const { hives } = await queen.peer.call(QUEEN_ENDPOINTS.listHives);
  const processes = [...hives, ...workers, ...spread];
  say(`queen down, for ${hives.length} hives and ${workers.length + spread.length} workers`);
  const down = await queen.command(["down"]);
  assert.equal(down.exitCode, 0, `${down.stdout}${down.stderr}`);
  say(down.stdout.trim());
  for (const { pid, start_time: startTime, boot_id: bootId } of processes) {
    assert.ok(pid !== null && startTime !== null && bootId !== null, "what was listed has a process");
    assert.equal(isProcessAlive({ pid, start_time: startTime, boot_id: bootId }), false, `process ${pid} is gone`);
  }
  for (const host of ground.hosts) assert.deepEqual(host.processes(), [], `nothing of ours is left on ${host.url}`);
  say(`nothing of ours is left: ${processes.length} processes are gone by identity, and the hosts were searched`);
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

/** A folder as `npm run build:hive` makes it. */
function installFolder({ folder }: SshGround, executable: string | null): string {
  const from = join(folder, "dist");
  mkdirSync(from);
  const file = join(from, `hive-linux-${process.arch}`);
  const words = programCommand("hive").map((word) => `'${word}'`);
  if (executable === null) writeFileSync(file, `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`, { mode: 0o755 });
  else copyFileSync(executable, file);
  return from;
}

/** Asks for an answer of a model and returns the worker that gave it, which must be on the hive. */
async function chatOn(queen: TestQueen, model: string, hiveId: string): Promise<WorkerRecord> {
  const response = await fetch(`${queen.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "What is a hive?" }] }),
  });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  const [worker] = await readyWorkers(queen, model, 1);
  assert.ok(worker !== undefined && worker.hive_id === hiveId, `${model} runs on ${hiveId}`);
  assert.ok(text.includes(worker.worker_id), "the worker itself has answered");
  return worker;
}

function readyWorkers(queen: TestQueen, model: string, count: number): Promise<readonly WorkerRecord[]> {
  return until(
    async () => {
      const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
      const ready = workers.filter((worker) => worker.model === model && worker.state === "ready");
      return ready.length >= count ? ready : null;
    },
    READY_WITHIN_MS,
    `${count} ready workers of ${model}`,
  );
}

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { isProcessAlive, readProcessIdentity } from "@queen-and-hive/daemon";
import { scriptGpu, startTestHive, temporaryDirectory, until } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, type HiveEvent, type WorkerRecord } from "@queen-and-hive/protocol";
import { expect, it } from "vitest";
import { fakeWorkerOrder, queenAt } from "./spawn-request.ts";

const WITHIN_MS = 30_000;
const queen = queenAt("http://127.0.0.1:1");

it("each step of a stop is an event with its duration: deaf to TERM, a grandchild that left, its port, its GPU's memory", async () => {
  await using folder = await temporaryDirectory("qh-gpu");
  const gpu = await scriptGpu(folder.path);
  await using hive = await startTestHive({
    queen,
    config: { stop: { term: "500ms" } },
    env: { PATH: `${gpu.bin}:${process.env["PATH"] ?? ""}` },
  });
  const order = fakeWorkerOrder(queen, ["--fault", "ignore-term"], "http");
  // In a session of its own, without any of our variables, deaf to TERM as it inherits that, too.
  const far = "trap '' TERM; (env -i setsid sh -c 'echo $$ >far; exec sleep 600' &); exec \"$@\"";
  const command = gpu.holding(8_192, ["sh", "-c", far, "sh", ...(order.spec.runtime.command ?? [])]);
  const { worker_id } = await hive.peer.call(HIVE_ENDPOINTS.postWorker, {
    body: { ...order, spec: { ...order.spec, needs: { devices: 1 }, runtime: { ...order.spec.runtime, command: [...command] } } },
  });
  const get = (): Promise<WorkerRecord> => hive.peer.call(HIVE_ENDPOINTS.getWorker, { params: { worker_id } });
  const worker = await until(async () => ((await get()).state === "ready" ? await get() : null), WITHIN_MS, "it is ready");
  const grandchild = readProcessIdentity(Number(readFileSync(`${hive.stateDir}/workers/${worker_id}/far`, "utf8")));
  if (grandchild === null) return expect.unreachable("its grandchild lives");

  const listening = new AbortController();
  const events: HiveEvent[] = [];
  const listen = async (): Promise<void> => {
    for await (const { data } of hive.peer.events(HIVE_ENDPOINTS.getEvents, { signal: listening.signal }))
      events.push(JSON.parse(data));
  };
  const listened = listen().catch(() => undefined);
  await until(() => events.some(({ type }) => type === "snapshot"), WITHIN_MS, "the snapshot");
  const caller = connect(worker.port ?? 0, "127.0.0.1");
  await once(caller, "connect");
  expect((await hive.peer.call(HIVE_ENDPOINTS.drainWorker, { params: { worker_id } })).state).toBe("draining");
  expect((await hive.peer.call(HIVE_ENDPOINTS.listWorkers)).workers).toMatchObject([{ worker_id, state: "draining" }]);
  const stopped = hive.peer.call(HIVE_ENDPOINTS.deleteWorker, { params: { worker_id } });
  const states = (): readonly string[] => events.flatMap((event) => (event.type === "worker" ? [event.worker.state] : []));
  await until(() => states().includes("stopping"), WITHIN_MS, "the stop to begin");
  caller.destroy();
  expect((await stopped).how).toBe("killed");
  await until(() => states().includes("stopped"), WITHIN_MS, "the last event");
  listening.abort();
  await listened;

  expect(states()).toEqual(["draining", "stopping", "stopped"]);
  const steps = events.filter((event) => event.type === "step");
  expect(steps.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual([
    ...["drain ok", "idle ok", "term over", "kill ok", "sweep ok", "port ok", "device_memory ok", "gone ok"],
  ]);
  const pidsOf = (name: string): readonly number[] => steps.find(({ step }) => step === name)?.pids ?? [];
  expect(pidsOf("term")).toEqual(expect.arrayContaining([worker.pid, grandchild.pid]));
  expect([pidsOf("kill").includes(worker.pid ?? 0), pidsOf("sweep")]).toEqual([true, [grandchild.pid]]);
  const msOf = (name: string): number => steps.find(({ step }) => step === name)?.duration_ms ?? -1;
  for (const { step } of steps) expect(msOf(step)).toBeGreaterThanOrEqual(0);
  expect(msOf("term")).toBeGreaterThanOrEqual(495);
  expect(msOf("gone")).toBeGreaterThanOrEqual(msOf("idle") + msOf("term") + msOf("device_memory"));
  expect(isProcessAlive(grandchild)).toBe(false);
}, 120_000);

import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { freePortRange, startTestHive, type TestHive } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { hiveProgram } from "../hive-program.ts";
import { sleeperOrder } from "../sleeper.ts";
import { median } from "../statistics.ts";
import type { Row } from "../table.ts";

const WORKERS = 50;
const ROUNDS = 7;

/** A daemon with many workers is killed; how long after the next one listens has it found all of them again? */
export async function adoptionRows(): Promise<readonly Row[]> {
  await using hive = await startTestHive({
    command: hiveProgram().command,
    config: { worker_ports: (await freePortRange(WORKERS + 10)).text },
  });
  for (let index = 0; index < WORKERS; index += 1) await hive.peer.call(HIVE_ENDPOINTS.postWorker, { body: sleeperOrder() });
  const before = pidsOf((await hive.peer.call(HIVE_ENDPOINTS.listWorkers)).workers);
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) times.push(await adoptionMs(hive, before));
  const common = { unit: "ms", samples: times.length } as const;
  return [
    {
      id: "adoption",
      what: `the hive listens -> all ${WORKERS} workers adopted, median`,
      value: median(times),
      atMost: 250,
      ...common,
    },
    { id: "adoption_slowest", what: "the same, the slowest", value: Math.max(...times), atMost: null, ...common },
  ];
}

/** Connections are taken as soon as it listens; requests are answered once every worker is found. */
async function adoptionMs(hive: TestHive, before: readonly number[]): Promise<number> {
  await hive.commands.kill();
  const started = hive.start();
  let answer = await firstAnswer(hive);
  // The start itself tries whether the port can be bound: who connects just then is turned away.
  while (answer === null) {
    await sleep(1);
    answer = await firstAnswer(hive);
  }
  await started;
  const { workers } = await hive.peer.call(HIVE_ENDPOINTS.listWorkers);
  if (pidsOf(workers).join() !== before.join()) throw new Error("cannot bench the adoption: not all workers were adopted");
  return answer.tookMs;
}

/** From the connection to the answer; null when there is nobody. */
function firstAnswer({ url, token }: TestHive): Promise<{ readonly tookMs: number } | null> {
  return new Promise((resolve) => {
    let connectedMs = Number.NaN;
    const headers = { authorization: `Bearer ${token}` };
    const request = get(new URL("/v1/workers", url), { agent: false, headers }, (response) => {
      response.resume();
      response.on("end", () => resolve({ tookMs: performance.now() - connectedMs }));
      response.on("error", () => resolve(null));
    });
    request.on("socket", (socket) =>
      socket.on("connect", () => {
        connectedMs = performance.now();
      }),
    );
    request.on("error", () => resolve(null));
  });
}

function pidsOf(workers: readonly WorkerRecord[]): readonly number[] {
  return workers.flatMap(({ pid }) => (pid === null ? [] : [pid])).toSorted((left, right) => left - right);
}

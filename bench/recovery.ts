import { signalProcess } from "@queen-and-hive/daemon";
import {
  describeProcesses,
  fakeModel,
  fakeRuntime,
  hiveOn,
  readyWorkers,
  startSshGround,
  startTestCluster,
  startTestQueen,
  type TestQueen,
  until,
} from "@queen-and-hive/dev-env";
import { type HiveRecord, type JournalEvent, QUEEN_ENDPOINTS, type QueenShutdownAnswer } from "@queen-and-hive/protocol";
import { median } from "./statistics.ts";
import type { Row } from "./table.ts";

const KILLS = 5;
const CUTS = 3;
const QUEEN_KILLS = 3;
const MANY_HIVES = 20;
const QUEEN_WORKERS = 100;
const STOP_WORKERS = 40;
const WITHIN_MS = 180_000;
const PLAIN = "plain";
const DEAF = "deaf";

/** How long it takes to find what was lost, to have it back, and to stop everything with proof. */
export async function benchRecovery(isQuick: boolean): Promise<readonly Row[]> {
  const hives = isQuick ? 4 : MANY_HIVES;
  return [
    ...(await killedHive(isQuick ? 1 : KILLS)),
    ...(await cutHost(isQuick ? 1 : CUTS)),
    ...(await killedQueen(hives, isQuick ? 8 : QUEEN_WORKERS, isQuick ? 1 : QUEEN_KILLS)),
    ...(await cascade(hives, isQuick ? 8 : STOP_WORKERS)),
  ];
}

/** `kill -9` of a hive, each on a cluster of its own: one that crashes again and again waits longer each time, on purpose. */
async function killedHive(kills: number): Promise<readonly Row[]> {
  const times: HiveLoss[] = [];
  for (let kill = 0; kill < kills; kill += 1) times.push(await killOneHive());
  const back = times.map(({ backMs }) => backMs);
  return [
    row("hive_known", "hive kill -9 -> known as crashed, median", median(times.map(({ knownMs }) => knownMs)), 1_000, kills),
    row("hive_back", "hive kill -9 -> running again with its workers adopted, median", median(back), 4_000, kills),
    row("hive_back_slowest", "the same, the slowest", Math.max(...back), 4_000, kills),
  ];
}

interface HiveLoss {
  readonly knownMs: number;
  readonly backMs: number;
}

/** By the journal's own times against the moment of the signal. */
async function killOneHive(): Promise<HiveLoss> {
  await using cluster = await startTestCluster({ workers: { min: 2, max: 2 } });
  const { queen } = cluster;
  const before = pidsOf(await cluster.workersReady(2));
  const hive = await hiveOf(queen, "local");
  if (hive.pid === null || hive.start_time === null || hive.boot_id === null)
    throw new Error("cannot bench this: a running hive has no process");
  const killedAtMs = Date.now();
  signalProcess({ pid: hive.pid, start_time: hive.start_time, boot_id: hive.boot_id }, "SIGKILL");
  const now = await until(
    async () => {
      const record = await hiveOf(queen, "local");
      return record.state === "running" && record.hive_epoch === (hive.hive_epoch ?? 0) + 1 ? record : null;
    },
    WITHIN_MS,
    "the next run of the hive",
  );
  await cluster.workersReady(2);
  if (pidsOf(await cluster.workers()) !== before) throw new Error("cannot bench this: a worker is not the process that it was");
  const crashed = (await journalOf(queen)).findLast(({ kind, to }) => kind === "hive.state" && to === "crashed");
  return { knownMs: Date.parse(crashed?.time ?? "") - killedAtMs, backMs: Date.parse(now.since) - killedAtMs };
}

/** A host whose link loses every packet, with nobody asking it for anything. */
async function cutHost(cuts: number): Promise<readonly Row[]> {
  await using ground = await startSshGround({ hosts: [{}] });
  const [host] = ground.hosts;
  if (host === undefined) throw new Error("a ground of one host has it");
  await using queen = await startTestQueen({ config: { hives: [await hiveOn(ground, host, "far")] } });
  await queen.hivesRunning();
  const out: number[] = [];
  const back: number[] = [];
  const state = async (): Promise<string> => (await hiveOf(queen, "far")).state;
  for (let cut = 0; cut < cuts; cut += 1) {
    const cutAtMs = performance.now();
    host.cutLink();
    await until(async () => (await state()) !== "running", WITHIN_MS, "the host to be out of routing");
    out.push(performance.now() - cutAtMs);
    await until(async () => (await state()) === "unreachable", WITHIN_MS, "the host to be unreachable");
    const mendedAtMs = performance.now();
    host.mendLink();
    await until(async () => (await state()) === "running", WITHIN_MS, "the host to be back");
    back.push(performance.now() - mendedAtMs);
  }
  const where = host.kind === "openssh" ? "" : " (no namespaces here: a link inside this process)";
  return [
    row("host_out", `link cut, no traffic -> out of routing, slowest${where}`, Math.max(...out), 8_000, cuts),
    row("host_back", "link healed -> running again, slowest", Math.max(...back), 5_000, cuts),
  ];
}

/** From the start of the program, after its `kill -9`, to the end of an answer that a worker gave. */
async function killedQueen(hives: number, workers: number, kills: number): Promise<readonly Row[]> {
  await using queen = await startTestQueen({
    hives: hiveNames(hives),
    config: {
      models: [
        fakeModel(PLAIN, "sleeping", { workers: { per_hive: workers / hives } }),
        fakeModel("chat", "fake", { workers: { min: 1, max: 1 } }),
      ],
      runtimes: { fake: fakeRuntime(), sleeping: SLEEPING },
    },
  });
  const total = workers + 1;
  await readyWorkers(queen.peer, total, { withinMs: WITHIN_MS });
  const before = pidsOf(await workersOf(queen));
  const serving: number[] = [];
  const all: number[] = [];
  for (let kill = 0; kill < kills; kill += 1) {
    await queen.stop("SIGKILL");
    const startedMs = performance.now();
    await queen.start();
    await chat(queen);
    serving.push(performance.now() - startedMs);
    await queen.hivesRunning(undefined, WITHIN_MS);
    all.push(performance.now() - startedMs);
    await readyWorkers(queen.peer, total, { withinMs: WITHIN_MS });
    if (pidsOf(await workersOf(queen)) !== before) throw new Error("cannot bench this: a worker is not the process that it was");
  }
  const what = `queen started after kill -9, ${hives} hives, ${total} workers -> first answer`;
  return [
    row("queen_serving", `${what}, median`, median(serving), 3_000, kills),
    row("queen_serving_slowest", "the same, the slowest", Math.max(...serving), 3_000, kills),
    row("queen_all", "-> every hive running, every worker the process that it was, slowest", Math.max(...all), null, kills),
  ];
}

/** `queen down`; it exits 0 only when everything was proven gone. */
async function cascade(hives: number, workers: number): Promise<readonly Row[]> {
  const each = workers / hives;
  const deafHives = hiveNames(hives).slice(0, hives / 2);
  await using queen = await startTestQueen({
    hives: hiveNames(hives),
    config: {
      models: [
        fakeModel(DEAF, DEAF, { workers: { per_hive: 1 }, place: { hives: deafHives } }),
        fakeModel(PLAIN, "sleeping", { workers: { per_hive: 1 }, place: { hives: deafHives } }),
        fakeModel("chat", "sleeping", { workers: { per_hive: each }, place: { hives: hiveNames(hives).slice(hives / 2) } }),
      ],
      runtimes: { [DEAF]: DEAF_TO_TERM, sleeping: SLEEPING },
      shutdown: { budget: "30s", drain: "10s" },
      stop: { term: "8s", verify: "5s" },
    },
  });
  await readyWorkers(queen.peer, workers, { withinMs: WITHIN_MS });
  const startedMs = performance.now();
  const down = await queen.command(["down", "--json"]);
  const tookMs = performance.now() - startedMs;
  if (down.exitCode !== 0) throw new Error(`cannot bench the cascade: it left something\n${down.stdout}${down.stderr}`);
  await queen.program.ended();
  const left = describeProcesses(queen.processes());
  if (left !== "") throw new Error(`cannot bench the cascade: it said that all is gone, and there is\n${left}`);
  const { hives: fates } = down.json as QueenShutdownAnswer;
  const ended = fates.reduce((sum, fate) => sum + fate.workers_stopped + fate.workers_killed, 0);
  const killed = fates.reduce((sum, fate) => sum + fate.workers_killed, 0);
  if (ended !== workers || killed !== deafHives.length)
    throw new Error(
      `cannot bench the cascade: ${ended} of ${workers} workers were ended, and ${killed} deaf ones killed\n${down.stdout}`,
    );
  const what = `queen down, ${hives} hives, ${workers} workers, a quarter deaf to TERM -> all proven gone`;
  return [row("cascade", what, tookMs, 30_000, 1)];
}

/** Workers that cost nothing: what is measured is the queen and the hives. */
const SLEEPING = shellRuntime("");
const DEAF_TO_TERM = shellRuntime("trap '' TERM; ");

function shellRuntime(before: string): { command: string[]; ready: { log: string } } {
  return {
    command: ["sh", "-c", `${before}echo is ready; while :; do sleep 1000; done`, "{host}", "{port}"],
    ready: { log: "is ready" },
  };
}

function row(id: string, what: string, value: number, atMost: number | null, samples: number): Row {
  return { id, what, value, unit: "ms", atMost, samples };
}

function hiveNames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `hive-${index}`);
}

async function hiveOf(queen: TestQueen, hiveId: string): Promise<HiveRecord> {
  return await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: hiveId } });
}

async function workersOf(queen: TestQueen): Promise<readonly { readonly pid: number | null; readonly state: string }[]> {
  return (await queen.peer.call(QUEEN_ENDPOINTS.listWorkers)).workers;
}

function pidsOf(workers: readonly { readonly pid: number | null }[]): string {
  return workers
    .map(({ pid }) => pid)
    .toSorted()
    .join();
}

async function chat(queen: TestQueen): Promise<void> {
  const body = JSON.stringify({ model: "chat", messages: [{ role: "user", content: "What is a hive?" }] });
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${queen.url}/v1/chat/completions`, { method: "POST", headers, body });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`cannot bench this: a chat was refused: ${text}`);
}

async function journalOf(queen: TestQueen): Promise<readonly JournalEvent[]> {
  const { stdout } = await queen.command(["events", "--json"]);
  return stdout
    .trim()
    .split("\n")
    .map((line): JournalEvent => JSON.parse(line));
}

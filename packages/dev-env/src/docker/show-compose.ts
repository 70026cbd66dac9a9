import assert from "node:assert/strict";
import { createPeer, type Peer } from "@queen-and-hive/daemon";
import { type HiveRecord, QUEEN_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { until } from "../clock/until.ts";
import { baseImages } from "./base-images.ts";
import { type ComposeProject, openComposeProject } from "./compose-project.ts";
import { openEngine } from "./engine.ts";

/** How the show is given. */
export interface ComposeShow {
  /** Hears of each step. */
  readonly say: (line: string) => void;
}

const NODES = ["node1", "node2"] as const;
const CALL_TIMEOUT_MS = 60_000;
/** How much of each container's log is told when something is not so. */
const LOG_LINES = 40;
const READY_WITHIN_MS = 180_000;
const NOTICED_WITHIN_MS = 30_000;

/**
 * The cluster of docker-compose.yml on a real engine: built, started, served by each node, its queen restarted, a node
 * killed and started again, taken down; then the same in one container. Starts an engine where none runs, makes base
 * images where none can be pulled, and removes all that it made. Throws at the first thing that is not so.
 */
export async function showCompose({ say }: ComposeShow): Promise<void> {
  await using engine = await openEngine();
  say(`engine: ${engine.description}`);
  await using images = await baseImages(engine);
  say(`base images: ${images.description}`);
  await using project = await openComposeProject(engine, images);
  say("docker compose build");
  await project.build();
  try {
    await showCluster(project, say);
    await showSolo(project, say);
  } catch (error) {
    say(await project.compose("--profile", "solo", "logs", "--tail", String(LOG_LINES)));
    throw error;
  }
}

async function showCluster(project: ComposeProject, say: ComposeShow["say"]): Promise<void> {
  const queen = createPeer({
    url: project.url,
    token: () => project.key,
    name: "queen",
    timeoutMs: CALL_TIMEOUT_MS,
    maxSockets: 8,
  });
  say("docker compose up: the queen brings the hive to two empty machines and starts it there");
  await project.compose("up", "--detach");
  const first = await readyOnEach(queen);
  for (const service of ["queen", ...NODES]) {
    await project.healthy(service);
    assert.equal(await inContainer(project, service, "cat /proc/1/comm"), "tini", `process 1 of ${service}`);
    const users = await inContainer(project, service, "stat --format %u /proc/[0-9]* 2>/dev/null || true");
    assert.deepEqual([...new Set(users.split("\n"))], ["10001"], `the user of every process of ${service}`);
  }
  say(`healthy: ${describe(first)}`);
  for (const node of NODES) await chatOn(queen, project, node, say);

  say("docker restart of the queen: hives and workers stay");
  await project.docker("queen", "restart", "--time", "45");
  const kept = await readyOnEach(queen);
  assert.deepEqual(kept.map(identityOf), first.map(identityOf), "the workers from before the restart");
  await chat(project);

  say("docker kill of node2: its requests go to node1");
  await project.docker("node2", "kill");
  await chat(project);
  const lost = await until(async () => (await hivesOf(queen)).find(isLost), NOTICED_WITHIN_MS, "node2 to be out of routing");
  say(`node2 is ${lost.state}: ${lost.last_error ?? "no reason given"}`);
  await chat(project);

  say("docker start of node2: back without a human");
  await project.docker("node2", "start");
  const back = await readyOnEach(queen);
  const [stayed, fresh] = [kept, back].map((workers) => workers.map(identityOf));
  assert.equal(fresh?.[0], stayed?.[0], "node1's worker is the one from before");
  assert.notEqual(fresh?.[1], stayed?.[1], "node2's worker is a new process");
  say(`ready: ${describe(back)}`);
  for (const node of NODES) await chatOn(queen, project, node, say);

  say("docker compose down");
  await project.compose("down", "--volumes", "--timeout", "45");
  assert.deepEqual(await project.remains(), [], "nothing of the cluster is left");
}

async function showSolo(project: ComposeProject, say: ComposeShow["say"]): Promise<void> {
  say("docker compose up solo: the queen and a hive in one container");
  await project.compose("up", "--detach", "solo");
  const isReady = async (): Promise<boolean> => (await fetch(`${project.url}/readyz`)).ok;
  await until(isReady, READY_WITHIN_MS, "the queen of solo");
  await chat(project);
  await project.healthy("solo");
  await project.docker("solo", "stop", "--time", "45");
  assert.equal(
    await project.docker("solo", "inspect", "--format", "{{.State.ExitCode}}"),
    "0",
    "all of it was stopped with proof",
  );
  await project.compose("--profile", "solo", "down", "--volumes");
  assert.deepEqual(await project.remains(), [], "nothing of solo is left");
  say("a chat was answered, and all of it stopped in order; nothing is left");
}

async function hivesOf(queen: Peer): Promise<readonly HiveRecord[]> {
  const { hives } = await queen.call(QUEEN_ENDPOINTS.listHives);
  return hives.toSorted((a, b) => a.hive_id.localeCompare(b.hive_id));
}

function isLost({ hive_id: id, state }: HiveRecord): boolean {
  return id === "node2" && state !== "running" && state !== "suspect";
}

/** Waits until both hives run and each has its one worker ready; returns the workers in the order of the nodes. */
async function readyOnEach(queen: Peer): Promise<readonly WorkerRecord[]> {
  const areReady = async (): Promise<readonly WorkerRecord[] | null> => {
    const hives = await hivesOf(queen);
    const { workers } = await queen.call(QUEEN_ENDPOINTS.listWorkers);
    const isReady = hives.every(({ state }) => state === "running") && workers.every(({ state }) => state === "ready");
    return isReady && workers.length === NODES.length ? workers : null;
  };
  const workers = await until(areReady, READY_WITHIN_MS, "a worker on each node");
  const inOrder = workers.toSorted((a, b) => a.hive_id.localeCompare(b.hive_id));
  assert.deepEqual(
    inOrder.map(({ hive_id: id }) => id),
    [...NODES],
    "one worker on each node",
  );
  return inOrder;
}

/** Asks while the other node is drained, so that only this one can answer. */
async function chatOn(queen: Peer, project: ComposeProject, node: string, say: ComposeShow["say"]): Promise<void> {
  const others = NODES.filter((other) => other !== node);
  for (const other of others) await queen.call(QUEEN_ENDPOINTS.postHiveDrain, { params: { hive_id: other } });
  const states = (await hivesOf(queen)).filter(({ hive_id: id }) => id !== node).map(({ state }) => state);
  assert.deepEqual(
    states,
    others.map(() => "draining"),
  );
  say(`answered by ${node}: ${JSON.stringify(await chat(project))}`);
  for (const other of others) await queen.call(QUEEN_ENDPOINTS.postHiveResume, { params: { hive_id: other } });
}

/** Asks the model and returns what was answered. */
async function chat({ url, key }: ComposeProject): Promise<string> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify({ model: "tiny", max_tokens: 24, messages: [{ role: "user", content: "What is a hive?" }] }),
    signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
  });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  const content = /"content":("(?:[^"\\]|\\.)*")/.exec(text)?.[1] ?? '""';
  assert.notEqual(content, '""', `an answer with words: ${text}`);
  return String(JSON.parse(content));
}

async function inContainer(project: ComposeProject, service: string, script: string): Promise<string> {
  return await project.compose("exec", "-T", service, "sh", "-c", script);
}

function identityOf({ worker_id: id, pid, start_time: startTime }: WorkerRecord): string {
  return `${id} ${pid} ${startTime}`;
}

function describe(workers: readonly WorkerRecord[]): string {
  return workers.map(({ hive_id: hive, pid, model }) => `${model} on ${hive} as process ${pid}`).join(", ");
}

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createPeer, readProcessIdentity, signalProcess } from "@queen-and-hive/daemon";
import {
  fakeModel,
  programCommand,
  readyWorkers,
  startTestQueen,
  type TestQueen,
  temporaryDirectory,
  until,
} from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, type HiveRecord, QUEEN_ENDPOINTS, type QueenConfigInput } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { ask, chat } from "./ask.ts";
import { identityOf } from "./identity.ts";

const HIVES = ["calm", "one", "two", "three", "four", "five"] as const;
type HiveName = (typeof HIVES)[number];

const SLEEPING = {
  command: ["sh", "-c", "echo is ready; while :; do sleep 1000; done", "{host}", "{port}"],
  ready: { log: "is ready" },
};
const WITHIN_MS = 90_000;

test("a queen that returns goes straight to the hives that are there, and runs `hive start` for every other", async () => {
  await using directory = await temporaryDirectory("qh-dist");
  const commands = directory.join("commands");
  await buildHive(directory.join("dist"), commands);
  const config: QueenConfigInput = {
    defaults: { hive: { install_dir: directory.join("install") } },
    install: { from: directory.join("dist") },
    models: [
      fakeModel("chat", "fake", { workers: { min: 1, max: 1 }, place: { hives: ["calm"] } }),
      fakeModel("plain", "sleeping", { workers: { per_hive: 1 } }),
    ],
    runtimes: { sleeping: SLEEPING },
    // A mute hive stays so for as long as this test likes.
    health: { timeout: "1s", retry: "200ms", suspect_grace: "10m", start: "60s" },
    restart: { first: "100ms", max: "500ms", jitter: 0 },
  };
  await using queen = await startTestQueen({ hives: HIVES, config });
  await queen.hivesRunning(undefined, WITHIN_MS);
  const workers = pidsOf(await readyWorkers(queen.peer, HIVES.length + 1, { withinMs: WITHIN_MS }));
  const first = await hivesOf(queen);
  expect(await startsIn(commands)).toEqual(HIVES.toSorted());

  // While she is dead a hive is killed, two have got each other's address, and one falls mute.
  await queen.stop("SIGKILL");
  await writeFile(commands, "");
  await queen.hive("one").kill();
  rewriteRegistry(queen, {
    two: (identity) => ({ ...identity, url: first.three.url }),
    three: (identity) => ({ ...identity, url: first.two.url }),
  });
  signalProcess(identityOf(first.four), "SIGSTOP");
  await queen.start();
  // She serves while others are still looked for: one of them does not answer at all.
  expect((await ask(queen.url, { body: chat("chat") })).status).toBe(200);
  await queen.hivesRunning(["calm", "one", "two", "three", "five"], WITHIN_MS);
  await until(async () => (await startsIn(commands)).includes("four"), WITHIN_MS, "a start to be tried for the mute hive");
  expect((await hivesOf(queen)).four.state).not.toBe("running");
  signalProcess(identityOf(first.four), "SIGCONT");
  await queen.hivesRunning(undefined, WITHIN_MS);
  const second = await hivesOf(queen);
  expect(await startsIn(commands)).toEqual(["four", "one", "three", "two"]);
  expect(second.one.hive_epoch).toBe((first.one.hive_epoch ?? 0) + 1);
  for (const id of HIVES.filter((hive) => hive !== "one")) expect(runOf(second[id])).toEqual(runOf(first[id]));
  expect(pidsOf(await readyWorkers(queen.peer, HIVES.length + 1, { withinMs: WITHIN_MS }))).toEqual(workers);

  // Her registry has another process for a hive, which lives, or one of another boot; what two of them keep is not what she
  // would hand over, for she or they have another configuration now; and another queen has taken one.
  await queen.stop("SIGKILL");
  await writeFile(commands, "");
  rewriteRegistry(queen, {
    one: (identity) => ({ ...identity, ...readProcessIdentity(process.pid) }),
    two: (identity) => ({ ...identity, boot_id: "00000000-0000-4000-8000-000000000000" }),
  });
  await reconfigure(queen, "three");
  const edited = join(queen.hive("four").place.stateDir, "hive.json");
  const kept = await readFile(edited, "utf8");
  await writeFile(edited, kept.replace("{", '{"model_roots":["/"],'));
  await takeOver(queen, second.five);
  await queen.start();
  await queen.hivesRunning(["calm", "one", "two", "three", "four"], WITHIN_MS);
  await until(async () => (await hivesOf(queen)).five.state === "failed", WITHIN_MS, "the hive that was taken to be given up");
  const third = await hivesOf(queen);
  expect(await startsIn(commands)).toEqual(["five", "four", "one", "three", "two"]);
  for (const id of HIVES.filter((hive) => hive !== "five")) expect(runOf(third[id])).toEqual(runOf(second[id]));
  expect(third.five.last_error).toContain(OTHER_QUEEN);
  expect(JSON.parse(await readFile(join(queen.hive("three").place.stateDir, "hive.json"), "utf8"))).toMatchObject(OTHER_SETTINGS);
  expect(await readFile(edited, "utf8")).toBe(kept);
  const now = await readyWorkers(queen.peer, HIVES.length, { withinMs: WITHIN_MS });
  expect(pidsOf(now.filter(({ hive_id }) => hive_id !== "five"))).toEqual(workers.filter(([id]) => id !== "five"));
}, 300_000);

const OTHER_QUEEN = "queen-11111111-1111-4111-8111-111111111111";
const OTHER_SETTINGS = { devices: { keep_free: "64MiB" } };

/** An executable that notes with which command it was called for which state directory, then is this checkout's hive. */
async function buildHive(folder: string, commands: string): Promise<void> {
  const [node = "", main = ""] = programCommand("hive");
  const script = `#!/bin/sh\necho "$@" >>'${commands}'\nexec '${node}' '${main}' "$@"\n`;
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `hive-linux-${process.arch}`), script, { mode: 0o755 });
}

/** For which hives `hive start` was run. */
async function startsIn(commands: string): Promise<readonly string[]> {
  const found = (await readFile(commands, "utf8")).matchAll(/^start .*--state-dir \S*\/hive-(\w+)/gm);
  return [...new Set(Array.from(found, ([, hiveId = ""]) => hiveId))].toSorted();
}

/** Changes what the registry of a dead queen says of the daemons of her hives. */
function rewriteRegistry(queen: TestQueen, changes: Readonly<Record<string, (identity: object) => object>>): void {
  const database = new DatabaseSync(join(queen.stateDir, "queen.db"));
  try {
    for (const [hiveId, change] of Object.entries(changes)) {
      const found = database.prepare("SELECT row FROM hives WHERE hive_id = ?").get(hiveId);
      const row: { identity: object } = JSON.parse(String(found?.["row"]));
      const changed = JSON.stringify({ ...row, identity: change(row.identity) });
      database.prepare("UPDATE hives SET row = ? WHERE hive_id = ?").run(changed, hiveId);
    }
  } finally {
    database.close();
  }
}

/** Writes the configuration file anew, in which a hive has other settings. */
async function reconfigure(queen: TestQueen, hiveId: HiveName): Promise<void> {
  const hives = queen.config.hives?.map((hive) => (hive.id === hiveId ? { ...hive, ...OTHER_SETTINGS } : hive));
  // JSON is YAML.
  await writeFile(queen.configFile, JSON.stringify({ ...queen.config, hives }));
}

/** Another queen takes a hive, with its token. */
async function takeOver(queen: TestQueen, { hive_id: hiveId, url }: HiveRecord): Promise<void> {
  const token = (await readFile(join(queen.stateDir, "secrets", `hive-${hiveId}.token`), "utf8")).trim();
  await using peer = createPeer({ url: url ?? "", token: () => token, name: hiveId, timeoutMs: WITHIN_MS, maxSockets: 1 });
  const address = { queen_id: OTHER_QUEEN, queen_epoch: 1, queen_url: "http://127.0.0.1:9", take_over: true } as const;
  await peer.call(HIVE_ENDPOINTS.putQueen, { body: address });
}

async function hivesOf(queen: TestQueen): Promise<Readonly<Record<HiveName, HiveRecord>>> {
  const { hives } = await queen.peer.call(QUEEN_ENDPOINTS.listHives);
  const of = (id: HiveName): HiveRecord => {
    const found = hives.find(({ hive_id }) => hive_id === id);
    if (found === undefined) throw new Error(`the queen should know ${id}`);
    return found;
  };
  return Object.fromEntries(HIVES.map((id) => [id, of(id)])) as Record<HiveName, HiveRecord>;
}

function runOf({ hive_epoch, pid, start_time, boot_id, url }: HiveRecord): object {
  return { hive_epoch, pid, start_time, boot_id, url };
}

/** Hive and pid of each worker. */
function pidsOf(
  workers: readonly { readonly hive_id: string; readonly pid: number | null }[],
): readonly (readonly [string, number | null])[] {
  return workers.map(({ hive_id, pid }) => [hive_id, pid] as const).toSorted(([, left], [, right]) => (left ?? 0) - (right ?? 0));
}

import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startTestHive, type TestHive, temporaryDirectory, until } from "@queen-and-hive/dev-env";
import { type ErrorBody, HIVE_ENDPOINTS, newWorkerId, type WorkerSpec } from "@queen-and-hive/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fakeWorkerOrder, queenAt } from "./spawn-request.ts";

// What a hive answers over HTTP to spawns that cannot work and to callbacks that lie; nothing of them may be left.

const queen = queenAt("http://127.0.0.1:1");
const SLOTS_MAX = 8;
let hive: TestHive;
let models: string;

beforeAll(async () => {
  const outside = await temporaryDirectory("qh-outside");
  const inside = await temporaryDirectory("qh-models");
  afterAll(async () => {
    await outside[Symbol.asyncDispose]();
    await inside[Symbol.asyncDispose]();
  });
  models = inside.path;
  mkdirSync(join(models, "sub"));
  writeFileSync(join(models, "here.gguf"), "");
  writeFileSync(outside.join("secret.gguf"), "");
  symlinkSync(outside.join("secret.gguf"), join(models, "link.gguf"));
  hive = await startTestHive({
    queen,
    config: { models_dir: models, model_roots: [models], limits: { slots_per_worker: SLOTS_MAX } },
  });
});
afterAll(() => hive[Symbol.asyncDispose]());

async function post(body: object): Promise<{ readonly status: number; readonly body: ErrorBody }> {
  const response = await fetch(`${hive.url}/v1/workers`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${hive.token}` },
    body: JSON.stringify(body),
  });
  const answer: ErrorBody = JSON.parse(await response.text());
  return { status: response.status, body: answer };
}

type Change = (spec: WorkerSpec) => object;

const REFUSED: readonly (readonly [what: string, change: Change, status: number, code: string, says: RegExp])[] = [
  [
    "an unknown runtime",
    () => ({ runtime: { name: "nope" } }),
    503,
    "runtime_unavailable",
    /cannot start the runtime nope: its recipe has no command/,
  ],
  [
    "a missing program",
    () => ({ runtime: { name: "x", command: ["/opt/absent/server"] } }),
    503,
    "spawn_failed",
    /cannot find the program \/opt\/absent\/server .* set runtimes\.x\.bin/,
  ],
  [
    "a program that is no file",
    () => ({ runtime: { name: "x", command: ["/tmp"] } }),
    503,
    "spawn_failed",
    /cannot find the program \/tmp/,
  ],
  ["a NUL byte in an argument", () => ({ args: ["a", "b\0c"] }), 400, "invalid_body", /\/spec\/args\/1 .* NUL byte/],
  ["a line break in an argument", () => ({ args: ["a\nb"] }), 400, "invalid_body", /\/spec\/args\/0 .* line break/],
  [
    "a line break in the command",
    ({ runtime }) => ({ runtime: { ...runtime, command: [...(runtime.command ?? []), "\r"] } }),
    400,
    "invalid_body",
    /\/spec\/runtime\/command\/\d+ .* line break/,
  ],
  [
    "a NUL byte in the model's path",
    () => ({ model: { id: "m", path: "here.gguf\0" } }),
    400,
    "invalid_body",
    /\/spec\/model\/path/,
  ],
  [
    "a model that is not there",
    () => ({ model: { id: "m", path: "absent.gguf" } }),
    503,
    "model_missing",
    /cannot find the model .*absent\.gguf/,
  ],
  [
    "a model outside of model_roots",
    () => ({ model: { id: "m", path: "/etc/hostname" } }),
    503,
    "model_missing",
    /outside of model_roots/,
  ],
  [
    "a model that leaves model_roots by dots",
    () => ({ model: { id: "m", path: "sub/../../etc/hostname" } }),
    503,
    "model_missing",
    /cannot/,
  ],
  [
    "a model that leaves model_roots by a link",
    () => ({ model: { id: "m", path: "link.gguf" } }),
    503,
    "model_missing",
    /outside of model_roots/,
  ],
  [
    "a further file that the runtime does not take",
    () => ({ model: { id: "m", path: "here.gguf", files: { mmproj: "here.gguf" } } }),
    400,
    "invalid_body",
    /cannot pass the file "mmproj"/,
  ],
  ["a device that is not there", () => ({ devices: ["GPU-none"] }), 503, "device_missing", /GPU-none is not among /],
  ["more devices than there are", () => ({ needs: { devices: 64 } }), 503, "device_missing", /64 are wanted and there are /],
  [
    "more memory than there is",
    () => ({ needs: { devices: 0, memory_bytes: 2 ** 50 } }),
    503,
    "model_too_large",
    /it needs .* has .* left/,
  ],
  [
    "more slots than allowed",
    () => ({ slots: SLOTS_MAX + 1 }),
    400,
    "invalid_body",
    /cannot give a worker 9 slots: this hive allows 8/,
  ],
  [
    "a variable of the hive's",
    () => ({ env: { HIVE_CALLBACK_TOKEN: "x" } }),
    400,
    "invalid_body",
    /cannot set HIVE_CALLBACK_TOKEN/,
  ],
  ["a variable without a name", () => ({ env: { "": "x" } }), 400, "invalid_body", /must not be empty/],
  ["a variable with a NUL byte", () => ({ env: { A: "x\0" } }), 400, "invalid_body", /NUL byte/],
  [
    "a key in a variable of the hive's",
    ({ runtime }) => ({ runtime: { ...runtime, key_env: "HIVE_STATE_ID" } }),
    400,
    "invalid_body",
    /cannot set HIVE_STATE_ID/,
  ],
  [
    "a line of readiness that is no pattern",
    ({ runtime }) => ({ runtime: { ...runtime, ready: { log: "(" } } }),
    400,
    "invalid_body",
    /ready\/log/,
  ],
  [
    "a cause that is no pattern",
    ({ runtime }) => ({ runtime: { ...runtime, causes: [{ line: "[", cause: "bad_flag" }] } }),
    400,
    "invalid_body",
    /causes\/0\/line/,
  ],
  [
    "a cause that nobody knows",
    ({ runtime }) => ({ runtime: { ...runtime, causes: [{ line: "x", cause: "moon" }] } }),
    400,
    "invalid_body",
    /cause/,
  ],
  ["no slots", () => ({ slots: 0 }), 400, "invalid_body", /slots/],
];

describe("a spawn with", () => {
  it.each(REFUSED)("%s is refused", async (_what, change, status, code, says) => {
    const order = fakeWorkerOrder(queen);
    const answer = await post({ ...order, spec: { ...order.spec, ...change(order.spec) } });
    expect(answer).toMatchObject({ status, body: { error: { code, request_id: expect.any(String) } } });
    expect(answer.body.error.message).toMatch(/^cannot /);
    expect(answer.body.error.message).toMatch(says);
    expect((await hive.peer.call(HIVE_ENDPOINTS.listWorkers)).workers).toEqual([]);
    const dir = join(hive.stateDir, "workers");
    expect(existsSync(dir) ? readdirSync(dir) : []).toEqual([]);
  });

  it("an unknown field is taken without it: a newer queen may know more", async () => {
    const order = fakeWorkerOrder(queen, [], "http");
    const answer = await post({ ...order, from_the_future: 1 });
    expect(answer.status).toBe(202);
    await hive.peer.call(HIVE_ENDPOINTS.deleteWorker, { params: { worker_id: order.worker_id } });
  });
});

it("the same worker again is the same, with another spec it is a conflict, and a word of readiness for another is forbidden", async () => {
  const order = fakeWorkerOrder(queen, ["--load-ms", "600000"]);
  const other = fakeWorkerOrder(queen, ["--load-ms", "600000"]);
  expect((await post(order)).status).toBe(202);
  expect((await post(other)).status).toBe(202);
  expect((await post(order)).status).toBe(200);
  const conflict = await post({ ...order, spec: { ...order.spec, args: ["--tokens", "3"] } });
  expect(conflict).toMatchObject({ status: 409, body: { error: { code: "spec_conflict" } } });

  const { workers } = await hive.peer.call(HIVE_ENDPOINTS.listWorkers);
  const own = await variablesOf(workers.find(({ worker_id }) => worker_id === order.worker_id)?.pid ?? null);
  const say = async (workerId: string, token: string): Promise<readonly [number, string]> => {
    const response = await fetch(own["HIVE_CALLBACK_URL"] ?? "", {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify({ worker_id: workerId, url: "http://127.0.0.1:1", model_ref: "m", backend: "b", device: "d" }),
    });
    const { error }: Partial<ErrorBody> = JSON.parse(await response.text());
    return [response.status, error?.code ?? ""];
  };
  const token = own["HIVE_CALLBACK_TOKEN"] ?? "";
  expect(await say(other.worker_id, token)).toEqual([403, "forbidden"]);
  expect(await say(other.worker_id, "x".repeat(token.length))).toEqual([401, "unauthenticated"]);
  expect(await say(other.worker_id, hive.token)).toEqual([401, "unauthenticated"]);
  expect(await say(newWorkerId(), token)).toEqual([404, "worker_not_found"]);
  const states = (await hive.peer.call(HIVE_ENDPOINTS.listWorkers)).workers.map(({ state }) => state);
  expect(states).not.toContain("ready");
  for (const { worker_id } of [order, other]) await hive.peer.call(HIVE_ENDPOINTS.deleteWorker, { params: { worker_id } });
});

async function variablesOf(pid: number | null): Promise<Readonly<Record<string, string>>> {
  const text = await until(
    () => {
      const found = readFileSync(`/proc/${pid}/environ`, "latin1");
      return found.includes("HIVE_CALLBACK_TOKEN=") ? found : null;
    },
    20_000,
    "the worker's environment",
  );
  return Object.fromEntries(
    text.split("\0").map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
  );
}

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isProcessAlive, type ProcessIdentity, signalProcess } from "@queen-and-hive/daemon";
import type { SpawnRequest } from "@queen-and-hive/protocol";
import { afterEach, expect, test } from "vitest";
import { type LedgerEntry, validateLedgerEntry } from "../src/store/ledger-entry.ts";
import type { SupervisorOptions } from "../src/workers/supervisor-options.ts";
import {
  Cleanup,
  identityOf,
  type KillableHive,
  openTestHive,
  readIfThere,
  shellSpec,
  spawnRequest,
  startKillableHive,
  temporaryDir,
  until,
} from "./supervision-kit.ts";

// A kernel that kills for lack of memory, played by the files in which it counts: a real one would have to be driven out of
// memory, and its machine-wide count is everybody's. The processes, their ends and what the shims leave are real.

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

type Kernel = NonNullable<SupervisorOptions["kernel"]> & {
  /** The machine's count from now on. */
  machine(count: number): void;
  /** The count of a worker's own cgroup from now on. */
  worker(hive: KillableHive, request: SpawnRequest, count: number): void;
};

function fakeKernel(): Kernel {
  const dir = temporaryDir(cleanup);
  const cgroup = join(dir, "cgroup");
  mkdirSync(cgroup);
  const machine = (count: number): void =>
    writeFileSync(join(dir, "vmstat"), `nr_free_pages 1\noom_kill ${count}\nunevictable_pgs 0\n`);
  machine(3);
  const worker: Kernel["worker"] = ({ stateId }, { worker_id }, count) => {
    const own = join(cgroup, `hive-${stateId}-${worker_id}`);
    writeFileSync(join(own, "memory.events"), `low 0\nhigh 0\nmax 8\noom ${count}\noom_kill ${count}\noom_group_kill 0\n`);
  };
  return { vmstat: join(dir, "vmstat"), cgroup, machine, worker };
}

const waiting = () => spawnRequest(shellSpec("echo up; exec sleep 600", { ready: { log: "up" } }));

/** A worker of a hive that is killed, and dies in its absence as `end` says; how the next hive tells it. */
async function endUnseen(kernel: Kernel, end: (worker: Dying) => void | Promise<void>) {
  const request = waiting();
  const first = await startKillableHive(cleanup, [request], { sampleEveryMs: 50 }, kernel);
  await until("it is ready", () => first.said().includes('"state":"ready"'));
  const dying: Dying = { hive: first, request, ...identitiesOf(first, request) };
  kernel.worker(first, request, 0);
  await until("it was looked at", () => readIfThere(pathOf(first, request, "seen-1")).endsWith("oom_kills 3 0\n"));
  await first.kill();
  await end(dying);
  await until("both are gone", () => !isProcessAlive(dying.engine) && !isProcessAlive(dying.shim));
  const { stateDir, stateId, config } = first;
  const hive = await openTestHive(cleanup, { stateDir, stateId, config, options: { kernel } });
  expect(await hive.supervision.recover()).toMatchObject({ ended: 1 });
  return await until("its end is told", () => hive.exited[0]);
}

interface Dying {
  readonly hive: KillableHive;
  readonly request: SpawnRequest;
  readonly engine: ProcessIdentity;
  readonly shim: ProcessIdentity;
}

test("a worker that the kernel killed for lack of memory in the absence of a hive is told as that", async () => {
  const kernel = fakeKernel();
  const exit = await endUnseen(kernel, ({ hive, request, engine }) => {
    kernel.machine(4);
    kernel.worker(hive, request, 1);
    signalProcess(engine, "SIGKILL");
  });
  expect(exit).toMatchObject({ signal: "SIGKILL", exit_code: null, cause: "oom_killed", incarnation: 1 });
});

test("so is one that was killed as a whole, shim and all", async () => {
  const kernel = fakeKernel();
  const exit = await endUnseen(kernel, ({ hive, request, engine, shim }) => {
    kernel.worker(hive, request, 2);
    // The shim first, so that nobody is left who could note a status.
    signalProcess(shim, "SIGKILL");
    signalProcess(engine, "SIGKILL");
  });
  expect(exit).toMatchObject({ signal: null, exit_code: null, cause: "oom_killed" });
});

test("one that somebody killed while the kernel killed others is not", async () => {
  const kernel = fakeKernel();
  const exit = await endUnseen(kernel, ({ engine }) => {
    kernel.machine(9);
    signalProcess(engine, "SIGKILL");
  });
  expect(exit).toMatchObject({ signal: "SIGKILL", cause: "killed" });
});

test.each([
  ["before its end is it, for all that can be known", "oom_killed", 4, 4],
  ["after its end is not", "killed", 3, 9],
])(
  "without a memory controller, a worker that was killed and the machine short of memory %s",
  async (_when, cause, atEnd, later) => {
    const kernel = { ...fakeKernel(), cgroup: null };
    const request = waiting();
    const first = await startKillableHive(cleanup, [request], { sampleEveryMs: 50 }, kernel);
    await until("it is ready", () => first.said().includes('"state":"ready"'));
    const { engine, shim } = identitiesOf(first, request);
    await first.kill();
    kernel.machine(atEnd);
    signalProcess(engine, "SIGKILL");
    await until("both are gone", () => !isProcessAlive(engine) && !isProcessAlive(shim));
    kernel.machine(later);
    const { stateDir, stateId, config } = first;
    const hive = await openTestHive(cleanup, { stateDir, stateId, config, options: { kernel } });
    await hive.supervision.recover();
    expect(await until("its end is told", () => hive.exited[0])).toMatchObject({ signal: "SIGKILL", cause });
  },
);

test("what the kernel killed long before is no cause of an end today", async () => {
  const kernel = { ...fakeKernel(), cgroup: null };
  const request = waiting();
  const hive = await openTestHive(cleanup, { config: { sampleEveryMs: 50 }, options: { kernel } });
  const { record } = await hive.supervision.spawn(request);
  kernel.machine(4);
  const seen = join(hive.stateDir, "workers", request.worker_id, "seen-1");
  await until("it was looked at twice since", () => readIfThere(seen).includes("oom_kills 4 -"));
  signalProcess(identityOf(record), "SIGKILL");
  expect(await until("its end is told", () => hive.exited[0])).toMatchObject({ cause: "killed" });
  kernel.machine(5);
  const again = await until("it runs again", () =>
    hive.supervision.list().find(({ incarnation, pid }) => incarnation === 2 && pid),
  );
  kernel.machine(6);
  signalProcess(identityOf(again), "SIGKILL");
  expect(await until("its second end is told", () => hive.exited[1])).toMatchObject({ cause: "oom_killed" });
});

test("processes that change at every look are kept for the next hive without a durable write", async () => {
  const hive = await openTestHive(cleanup, { config: { sampleEveryMs: 20 } });
  const request = spawnRequest(shellSpec("echo up; while :; do sleep 0.03; done", { ready: { log: "up" } }));
  await hive.supervision.spawn(request);
  await until("it is ready", () => hive.supervision.list()[0]?.state === "ready");
  const dir = join(hive.stateDir, "workers", request.worker_id);
  const ledger = readIfThere(join(dir, "ledger.json"));
  const count = (): number => readIfThere(join(dir, "seen-1")).split("process ").length - 1;
  await until("many were seen", () => count() > 12);
  expect(readIfThere(join(dir, "ledger.json"))).toBe(ledger);
});

function pathOf({ stateDir }: KillableHive, { worker_id }: SpawnRequest, name: string): string {
  return join(stateDir, "workers", worker_id, name);
}

function identitiesOf(hive: KillableHive, request: SpawnRequest): NonNullable<LedgerEntry["process"]> {
  const checked = validateLedgerEntry(JSON.parse(readIfThere(pathOf(hive, request, "ledger.json"))));
  if (!checked.ok || checked.value.process === null) throw new Error("the ledger knows no process");
  return checked.value.process;
}

import { createMetrics, silentLog } from "@queen-and-hive/daemon";
import { ManualClock, type TemporaryDirectory, temporaryDirectory } from "@queen-and-hive/dev-env";
import {
  type HiveIdentity,
  type HiveStartAnswer,
  type HiveStopAnswer,
  parseHiveId,
  QhError,
  type QueenAddress,
} from "@queen-and-hive/protocol";
import { resolveSettings } from "../src/config/resolve.ts";
import type { HiveSettings, QueenSettings } from "../src/config/settings.ts";
import { HiveKeeper } from "../src/hives/hive-keeper.ts";
import { createHiveMetrics } from "../src/hives/hive-metrics.ts";
import { newHiveRow } from "../src/hives/hive-row.ts";
import { createNetworkTransport } from "../src/hives/transport.ts";
import type { HiveStop } from "../src/hosts/hive-argv.ts";
import type { HiveCommands } from "../src/hosts/hive-commands.ts";
import type { Host } from "../src/hosts/host.ts";
import { openSqliteStore } from "../src/store/sqlite-store.ts";
import type { HiveRow, Store } from "../src/store/store.ts";
import { ScriptedHive } from "./scripted-hive.ts";

/** Who the queen of a test is. */
export const QUEEN: QueenAddress = {
  queen_id: "queen-00000000-0000-4000-8000-000000000000",
  queen_epoch: 1,
  queen_url: "http://127.0.0.1:1",
};

/** A run of the hive `gpu1` at an address where nobody answers. */
export function runOfEpoch(epoch: number): HiveIdentity {
  const protocol = { min: 1, max: 1 };
  const url = "http://127.0.0.1:1";
  return { hive_id: gpu1(), hive_epoch: epoch, pid: epoch, start_time: epoch, boot_id: "boot", url, version: "0", protocol };
}

/** A daemon that has run. */
export const RUN: HiveIdentity = runOfEpoch(1);

const noAnswer = (): Promise<never> => Promise.reject(new QhError("host_unreachable", "cannot ask: a test does not answer"));

const SILENT_HOST: Host = {
  name: "gpu1",
  isLocal: false,
  exec: noAnswer,
  upload: noAnswer,
  forward: noAnswer,
  facts: noAnswer,
  isAlive: () => null,
  [Symbol.asyncDispose]: async () => undefined,
};

/** A `hive stop` that a test ends. */
export interface AskedStop {
  readonly keepWorkers: boolean;
  /** Proves that nothing is left. */
  prove(): void;
  /** Its host does not answer. */
  fail(): void;
  /** It says that another queen owns the hive. */
  disown(): void;
}

/** One hive's keeper with a real registry, on a host whose commands a test answers. */
export class KeeperWorld implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly store: Store;
  /** Every `hive stop` so far. */
  readonly stops: AskedStop[] = [];
  /** How many times `hive start` was called. */
  starts = 0;
  /** How many times its host was asked for anything else, as a first start does. */
  looks = 0;
  /** How many times its workers were said to be gone. */
  gone = 0;
  /** What `hive start` answers; nothing unless a test says so. */
  startAnswer: () => Promise<HiveStartAnswer> = () => new Promise(() => undefined);
  /** How many times its numbers began anew. */
  wentBack = 0;
  /** How many times the workers of the hive were given up. */
  abandoned = 0;
  /** While true, nothing can be recorded. */
  isDiskFull = false;
  /** What `hive status` finds running. */
  running: HiveIdentity | null = null;
  /** The hive's program at a former place. */
  readonly former: ScriptedHive;
  readonly #folder: TemporaryDirectory;
  readonly #settings: QueenSettings;
  readonly #keepers: HiveKeeper[] = [];

  private constructor(folder: TemporaryDirectory) {
    this.#folder = folder;
    this.former = new ScriptedHive(folder.join("former"));
    const place = { file: null, workingDirectory: folder.path, home: folder.path, machineId: "machine", sshAgent: null };
    const hives = [{ id: "gpu1", host: "local" }];
    this.#settings = resolveSettings({ hives }, place, this.clock.nowMs());
    const store = openSqliteStore({ path: folder.join("queen.db"), clock: this.clock, onRequestsLost: () => undefined });
    this.store = {
      ...store,
      commit: (change) => {
        if (this.isDiskFull) throw new QhError("storage_failed", "cannot write the registry: ENOSPC");
        return store.commit(change);
      },
    };
    // It has run before: its host needs no first look.
    this.store.commit({
      hives: [{ ...newHiveRow(this.hive, this.clock.nowMs()), state: "running", identity: runOfEpoch(1) }],
      events: [],
    });
  }

  static async open(): Promise<KeeperWorld> {
    return new KeeperWorld(await temporaryDirectory("qh-keeper"));
  }

  /** Her row of the hive. Throws when there is none. */
  get row(): HiveRow {
    const [row] = this.store.hives();
    if (row === undefined) throw new Error("cannot read the row of the hive: nothing was recorded");
    return row;
  }

  /** The settings of the one hive. Throws when there are none. */
  get hive(): HiveSettings {
    const [settings] = this.#settings.hives;
    if (settings === undefined) throw new Error("cannot keep a hive: the configuration has none");
    return settings;
  }

  /** The keeper of a queen who finds what an earlier one has recorded. */
  keeper(): HiveKeeper {
    const { clock, store } = this;
    const settings = this.hive;
    const { health, restart, preflight, install, shutdown } = this.#settings;
    const keeper = new HiveKeeper(
      {
        settings,
        host: {
          ...SILENT_HOST,
          exec: () => this.#asked(),
          facts: () => this.#asked(),
        },
        commands: this.#commands(),
        transport: createNetworkTransport(() => QUEEN),
        token: "token",
        store,
        queen: () => QUEEN,
        health,
        restart: { ...restart, jitter: 0 },
        preflight,
        install: { limits: install, withWorker: false },
        stopWorkerMs: 1_000,
        stopHiveMs: shutdown.budgetMs,
        listener: {
          onEvent: () => undefined,
          onState: () => undefined,
          onWentBack: () => {
            this.wentBack += 1;
          },
          onAbandoned: () => {
            this.abandoned += 1;
          },
          onGone: () => {
            this.gone += 1;
          },
        },
        isFrozen: () => false,
        metrics: createHiveMetrics(createMetrics(), { hives: () => [], isFrozen: () => false, nowMs: () => clock.nowMs() }),
        clock,
        random: () => 0.5,
        log: silentLog,
      },
      store.hives()[0] ?? null,
    );
    this.#keepers.push(keeper);
    return keeper;
  }

  /** What an earlier queen has recorded of a hive of another place. */
  moved(patch: Partial<HiveRow> = {}): void {
    const { installDir } = this.former;
    const old = { stateDir: this.#folder.join("old-state"), installDir, last: { epoch: 9, sequence: 9 } };
    this.store.commit({ hives: [{ ...this.row, ...old, ...patch }], events: [] });
  }

  /** Lets everything that can happen without time happen. */
  async settle(): Promise<void> {
    await this.clock.advance(1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const keeper of this.#keepers) await keeper[Symbol.asyncDispose]();
    this.store[Symbol.dispose]();
    await this.#folder[Symbol.asyncDispose]();
  }

  #asked(): Promise<never> {
    this.looks += 1;
    return noAnswer();
  }

  #commands(): HiveCommands {
    return {
      start: () => {
        this.starts += 1;
        return this.startAnswer();
      },
      status: () =>
        Promise.resolve({
          state: this.running === null ? "stopped" : "running",
          identity: this.running,
          owner: null,
          workers: 0,
        }),
      stop: (stop) => this.#stop(stop),
    };
  }

  #stop({ keepWorkers }: HiveStop): Promise<HiveStopAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<HiveStopAnswer>();
    this.stops.push({
      keepWorkers,
      prove: () => resolve({ hive_id: "gpu1", was_running: true, workers_kept: keepWorkers ? 1 : 0, stopped: [], left: [] }),
      fail: () => reject(new QhError("host_unreachable", "cannot stop the hive: its host does not answer")),
      disown: () => reject(new QhError("owned_by_another_queen", "cannot stop the hive: it belongs to another queen")),
    });
    return promise;
  }
}

function gpu1(): HiveIdentity["hive_id"] {
  const id = parseHiveId("gpu1");
  if (id === null) throw new Error("cannot use gpu1 as the id of a hive");
  return id;
}

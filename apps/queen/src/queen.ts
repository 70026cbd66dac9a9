import { join } from "node:path";
import {
  type Clock,
  createMetrics,
  Deadline,
  ensurePrivateDir,
  isNetworkFileSystem,
  type Metrics,
  type RunningServer,
  StopSequence,
  startHttpServer,
  systemClock,
} from "@queen-and-hive/daemon";
import { QhError, QUEEN_ENDPOINTS, type QueenAddress } from "@queen-and-hive/protocol";
import { createGateway, type Gateway } from "./gateway/gateway.ts";
import { gatewaySettings } from "./gateway/settings.ts";
import { HiveFleet } from "./hives/hive-fleet.ts";
import { createHiveOrders, type HiveOrders } from "./hives/hive-orders.ts";
import { type CallbackServerOptions, startCallbackServer } from "./http/callback-server.ts";
import { allowedModels, createAuthorize, type Identity, nameOf } from "./http/identity.ts";
import { listedEndpoints } from "./http/listed-endpoints.ts";
import { queenHandlers } from "./http/queen-handlers.ts";
import type { QueenView } from "./http/queen-view.ts";
import type { QueenOptions, RunningQueen } from "./queen-options.ts";
import { type QueenParts, QueenStop } from "./queen-stop.ts";
import { beginQueenLife, type QueenLife, writeQueenIdentity } from "./store/queen-identity.ts";
import { openSqliteStore } from "./store/sqlite-store.ts";
import { takeStateLock } from "./store/state-lock.ts";
import type { Store } from "./store/store.ts";
import { ModelShelf } from "./upstreams/model-shelf.ts";
import { UpstreamFleet } from "./upstreams/upstream-fleet.ts";
import { QUEEN_VERSION } from "./version.ts";
import type { WorkerDirectory } from "./workers/worker-directory.ts";
import { WorkerFleet } from "./workers/worker-fleet.ts";

/**
 * Starts a queen: lock, registry, epoch, listeners, then hives. Throws `already_running`, `port_in_use`, `storage_failed`,
 * `invalid_config`; then nothing was touched and nothing is left open.
 */
export async function startQueen(options: QueenOptions): Promise<RunningQueen> {
  const { settings, log, clock = systemClock } = options;
  const stop = new StopSequence({ log, clock });
  try {
    return await new QueenBuild(options, stop, clock).start();
  } catch (error) {
    await stop.stop(Deadline.in(settings.shutdown.budgetMs, clock));
    throw error;
  }
}

class QueenBuild {
  readonly #options: QueenOptions;
  readonly #stop: StopSequence;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #cascade: QueenStop;

  constructor(options: QueenOptions, stop: StopSequence, clock: Clock) {
    this.#options = options;
    this.#stop = stop;
    this.#clock = clock;
    this.#metrics = options.metrics ?? createMetrics();
    this.#cascade = new QueenStop({ settings: options.settings, log: options.log, clock });
  }

  async start(): Promise<RunningQueen> {
    const { settings, log } = this.#options;
    await prepareStateDir(settings.stateDir);
    const lock = await takeStateLock(settings.stateDir, this.#clock);
    this.#stop.defer("the lock of the state directory", () => Promise.resolve(lock[Symbol.asyncDispose]()));
    const life = beginQueenLife(settings.stateDir);
    writeQueenIdentity(settings.stateDir, life, null, QUEEN_VERSION);
    const store = this.#openStore(life);
    this.#metrics.observeDefaultProcessMetrics();

    let callbackUrl = this.#options.callbackUrl ?? "";
    const address = (): QueenAddress => ({ queen_id: life.queenId, queen_epoch: life.queenEpoch, queen_url: callbackUrl });
    let directUrl: string | null = null;
    let serveCallbacks = (hiveId: string): Promise<RunningServer> => Promise.reject(new TypeError(`too early for ${hiveId}`));
    const hives = await HiveFleet.create({
      settings,
      store,
      queen: address,
      callbacks: { localUrl: () => callbackUrl, directUrl: () => directUrl, serve: (hiveId) => serveCallbacks(hiveId) },
      metrics: this.#metrics,
      clock: this.#clock,
      log,
    });
    this.#stop.defer("the hives' connections", () => Promise.resolve(hives[Symbol.asyncDispose]()));
    const { workers, gateway, models } = this.#createServing(store, hives, address);
    hives.attach(workers);
    this.#stop.defer("the workers' timers", async () => workers[Symbol.dispose]());
    this.#stop.defer("the gateway", () => gateway.close());

    const orders = this.#createOrders(hives, workers);
    const view = this.#createView({ life, store, hives, workers, gateway, orders, models });
    const callbacks = { view, limits: settings.limits, metrics: this.#metrics, log };
    serveCallbacks = (hiveId) => {
      const tokens = new Map([[hiveId, hives.tokens.get(hiveId) ?? ""]]);
      return startCallbackServer({ ...callbacks, tokens, listen: { fed: `the tunnel of ${hiveId}` } });
    };
    directUrl = await this.#listenForHives({ ...callbacks, tokens: hives.tokens });
    const servers = await this.#listen(view, gateway, hives);
    const urls = servers.map((server) => server.url);
    callbackUrl = this.#options.callbackUrl ?? reachableUrl(servers[0]);
    writeQueenIdentity(settings.stateDir, life, urls[0] ?? null, QUEEN_VERSION);
    store.commit({
      events: [
        {
          kind: "queen.started",
          actor: "queen",
          details: { queen_epoch: life.queenEpoch, url: urls[0] ?? "", version: QUEEN_VERSION },
        },
      ],
    });
    hives.start();
    orders.finishOrders();
    return {
      urls,
      queenId: life.queenId,
      queenEpoch: life.queenEpoch,
      view,
      stop: (how, actor, onFate) => this.#cascade.run({ store, hives, workers, gateway }, how, actor, onFate),
      hurry: () => this.#cascade.hurry(hives),
      stopped: this.#cascade.stopped,
      lockLost: lock.lost,
      close: async (deadline) => {
        await this.#stop.stop(deadline);
      },
    };
  }

  #openStore(life: QueenLife): Store {
    const { settings, log } = this.#options;
    const store = openSqliteStore({
      path: join(settings.stateDir, "queen.db"),
      clock: this.#clock,
      onRequestsLost: (rows, error) => log.error("cannot write the rows of ended requests; they are lost", { rows, error }),
    });
    this.#stop.defer("the registry", async () => store[Symbol.dispose]());
    for (const loss of [...store.losses, ...(life.loss === null ? [] : [life.loss])]) {
      log.error(`DATA LOST: ${loss}`);
      store.commit({ events: [{ kind: "registry.lost", actor: "queen", cause: "damaged", details: { message: loss } }] });
    }
    return store;
  }

  #createServing(
    store: Store,
    hives: HiveFleet,
    queen: () => QueenAddress,
  ): { workers: WorkerFleet; gateway: Gateway<Identity>; models: ModelShelf } {
    const { settings, log } = this.#options;
    let gateway: Gateway<Identity> | null = null;
    const workers = new WorkerFleet({
      store,
      models: settings.models,
      health: settings.health,
      restart: settings.restart,
      hives: () => hives.forWorkers(),
      hive: (hiveId) => hives.forWorker(hiveId),
      queen,
      inFlight: (workerId) => gateway?.inFlight(workerId) ?? 0,
      lastUsedMs: (workerId) => gateway?.lastUsedMs(workerId) ?? null,
      waiting: (modelId) => gateway?.waiting(modelId) ?? 0,
      eviction: settings.eviction,
      drainMs: settings.drainMs,
      onTrafficTrouble: (hiveId) => hives.suspect(hiveId),
      metrics: this.#metrics,
      clock: this.#clock,
      random: Math.random,
      log,
    });
    const { directory, models } = this.#joinUpstreams(workers, store);
    gateway = createGateway<Identity>({
      directory,
      models: models.served,
      settings: gatewaySettings(settings),
      allowedModels,
      clientOf: nameOf,
      log,
      metrics: this.#metrics,
      clock: this.#clock,
      recordRequest: (row) => store.recordRequest(row),
    });
    return { workers, gateway, models };
  }

  #joinUpstreams(workers: WorkerFleet, store: Store): { directory: WorkerDirectory; models: ModelShelf } {
    const { settings, log } = this.#options;
    const upstreams = new UpstreamFleet({
      upstreams: settings.upstreams,
      health: settings.health,
      changed: (modelId) => workers.directory.changes.publish(modelId),
      record: (event) => void store.commit({ events: [event] }),
      metrics: this.#metrics,
      clock: this.#clock,
      log,
    });
    this.#stop.defer("the upstreams' checks", async () => upstreams[Symbol.dispose]());
    const ids = settings.models.map(({ id }) => id);
    const directory = upstreams.joinedTo(workers.directory, ids);
    upstreams.start();
    const statusOf = (modelId: string) => workers.statusOf(modelId);
    return { directory, models: new ModelShelf({ models: settings.models, upstreams, directory, statusOf, clock: this.#clock }) };
  }

  #createOrders(hives: HiveFleet, workers: WorkerFleet): HiveOrders {
    const { settings, reload, log } = this.#options;
    const isStopping = (): boolean => this.#cascade.phase === "stopping";
    return createHiveOrders({ settings, reload, hives, workers, isStopping, clock: this.#clock, log });
  }

  #createView(
    parts: QueenParts & { readonly life: QueenLife; readonly orders: HiveOrders; readonly models: ModelShelf },
  ): QueenView {
    const { life, store, hives, workers, orders, models } = parts;
    return {
      orders,
      queenId: life.queenId,
      queenEpoch: life.queenEpoch,
      version: QUEEN_VERSION,
      models: () => models.served,
      phase: () => this.#cascade.phase,
      statusOf: (modelId) => models.statusOf(modelId),
      whereIs: (modelId) => models.whereIs(modelId),
      contextLengthOf: (modelId) => models.contextLengthOf(modelId),
      hives: () => hives.records((hiveId) => workers.countOf(hiveId)),
      workers: () => workers.list(),
      upstreams: () => models.upstreams(),
      hiveReady: (hiveId, message) => hives.announce(hiveId, message),
      workerReady: (hiveId, message) => workers.acceptReady(hiveId, message),
      workerExited: (hiveId, message) => workers.acceptExited(hiveId, message),
      requests: () => parts.gateway.requests(),
      cancelRequest: (requestId) => parts.gateway.cancel(requestId),
      shutdown: (how, actor) => this.#cascade.run(parts, how, actor),
      store,
      metrics: this.#metrics,
      clock: this.#clock,
    };
  }

  /** `hive_listen`: where direct hives call back. */
  async #listenForHives(callbacks: Omit<CallbackServerOptions, "listen">): Promise<string | null> {
    const { hiveListen } = this.#options.settings;
    if (hiveListen === null) return null;
    const server = await startCallbackServer({ ...callbacks, listen: hiveListen });
    this.#stop.defer(`the listener ${server.url}`, (deadline) => server.close(deadline));
    return server.url;
  }

  async #listen(view: QueenView, gateway: Gateway<Identity>, hives: HiveFleet): Promise<readonly RunningServer[]> {
    const { settings, log } = this.#options;
    const handlers = queenHandlers(view, gateway);
    const authorize = createAuthorize({ keys: settings.keys, hiveTokens: hives.tokens });
    const limits = {
      bodyBytes: settings.limits.bodyBytes,
      headersBytes: settings.limits.headersBytes,
      connectionsPerIp: settings.limits.connectionsPerIp,
      requestTimeoutMs: Number.POSITIVE_INFINITY,
    };
    const servers: RunningServer[] = [];
    for (const listen of [...settings.listen, { path: join(settings.stateDir, "queen.sock") }]) {
      const server = await startHttpServer({
        table: QUEEN_ENDPOINTS,
        handlers,
        more: listedEndpoints(gateway),
        listen,
        authorize,
        log,
        metrics: this.#metrics,
        limits,
        loopbackOnly: settings.keys.length === 0,
      });
      this.#stop.defer(`the listener ${server.url}`, (deadline) => server.close(deadline));
      servers.push(server);
    }
    return servers;
  }
}

async function prepareStateDir(stateDir: string): Promise<void> {
  const network = isNetworkFileSystem(stateDir);
  if (network !== null) {
    throw new QhError(
      "invalid_config",
      `cannot keep state in ${stateDir}: it is on a network file system (${network}); name a local directory as state_dir`,
    );
  }
  await ensurePrivateDir(stateDir);
}

/** The address of a listener as a hive on this machine can call it. */
function reachableUrl(server: RunningServer | undefined): string {
  if (server === undefined) throw new QhError("invalid_config", "cannot start without an address to listen on");
  return server.url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
}

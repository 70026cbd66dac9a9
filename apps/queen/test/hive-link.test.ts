import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { silentLog, systemClock } from "@queen-and-hive/daemon";
import { until } from "@queen-and-hive/dev-env";
import { type HiveEvent, type HiveIdentity, QhError } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { HiveLink, type HiveLinkListener } from "../src/hives/hive-link.ts";
import { createNetworkTransport } from "../src/hives/transport.ts";
import { QUEEN, runOfEpoch } from "./keeper-world.ts";

const HEALTH = { intervalMs: 60_000, failures: 3, timeoutMs: 5_000, beatMs: 100, missedBeats: 3, retryMs: 200, startMs: 5_000 };

/** A daemon that answers who it is, and whose event streams a test fills. */
class Daemon implements AsyncDisposable {
  readonly run: HiveIdentity;
  /** How often it was claimed. */
  claims = 0;
  /** Event streams that were opened, in their order. */
  readonly streams: ServerResponse[] = [];
  readonly #server;

  private constructor(server: ReturnType<typeof createServer>, url: string, says: Partial<HiveIdentity>, first: object) {
    this.#server = server;
    this.run = { ...runOfEpoch(2), url };
    const who = { ...this.run, ...says };
    server.on("request", (request, response) => {
      if (request.url === "/v1/events") {
        this.streams.push(response);
        response.writeHead(200, { "content-type": "text/event-stream" });
        this.tell({ type: "snapshot", sequence: 0, hive: who, workers: [], ...first });
        return;
      }
      if (request.method === "PUT") this.claims += 1;
      request.resume();
      response.setHeader("content-type", "application/json").end(JSON.stringify({ status: "ok", ...who }));
    });
  }

  static async start(says: Partial<HiveIdentity> = {}, first: object = {}): Promise<Daemon> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    return new Daemon(server, `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`, says, first);
  }

  /** Sends something on the newest stream. */
  tell(event: HiveEvent): void {
    this.streams.at(-1)?.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

/** A link, and what it told: names of calls, in their order. */
function link(daemon: Daemon, listener: Partial<HiveLinkListener> = {}, health: Partial<typeof HEALTH> = {}) {
  const told: string[] = [];
  const opened = new HiveLink({
    run: daemon.run,
    token: "token",
    transport: createNetworkTransport(() => QUEEN),
    health: { ...HEALTH, ...health, suspectGraceMs: 1, replaceAfterMs: 1, massLoss: { hivesMin: 3, windowMs: 1, holdMs: 1 } },
    slowTimeoutMs: 5_000,
    listener: {
      onConnected: (snapshot) => {
        told.push("connected");
        listener.onConnected?.(snapshot);
      },
      onEvent: (event) => {
        told.push(event.type);
        listener.onEvent?.(event);
      },
      onLost: (reason, detail) => void told.push(`lost: ${reason} ${detail}`),
      onRefused: (error) => void told.push(`refused: ${error.message}`),
      onHealthCheck: () => undefined,
    },
    clock: systemClock,
    log: silentLog,
  });
  return { told, [Symbol.asyncDispose]: () => opened.close() };
}

const BEAT: HiveEvent = { type: "beat", sequence: 0, time: "2026-01-01T00:00:00.000Z" };

describe("a link to a hive", () => {
  it("stands when we cannot take in what the hive says, and asks for everything anew after a pause", async () => {
    await using daemon = await Daemon.start({}, { beat_ms: 60_000 });
    let isDiskFull = true;
    const refuse = (): void => {
      if (isDiskFull) throw new QhError("storage_failed", "cannot write the registry: ENOSPC");
    };
    await using opened = link(daemon, { onConnected: refuse, onEvent: refuse });
    await until(() => opened.told.length > 0);
    for (let count = 0; count < 20; count += 1) daemon.tell(BEAT);
    await until(() => opened.told.filter((what) => what === "connected").length === 3, 20_000, "the third snapshot");
    isDiskFull = false;
    await until(() => daemon.streams.length === 4, 20_000);
    await until(() => opened.told.at(-1) === "connected", 20_000);
    daemon.tell(BEAT);
    await until(() => opened.told.at(-1) === "beat", 20_000);
    expect(opened.told.filter((what) => what === "beat").length).toBeGreaterThan(20);
    expect([daemon.claims, opened.told.filter((what) => what.startsWith("lost"))]).toEqual([1, []]);
  }, 60_000);

  it("expects the beats of a daemon as often as that daemon sends them, and misses them when they stop", async () => {
    await using slow = await Daemon.start({}, { beat_ms: 1_000 });
    await using same = await Daemon.start();
    await using toSlow = link(slow);
    await using toSame = link(same);
    await until(() => toSame.told.length > 1, 20_000, "three missed beats of our own");
    await until(() => toSlow.told.length > 1, 20_000, "three missed beats of its own");
    expect([toSame.told, toSlow.told]).toEqual([
      ["connected", "lost: beats_missed no beat for 300 ms"],
      ["connected", "lost: beats_missed no beat for 3000 ms"],
    ]);
  }, 60_000);

  it.each<[string, Partial<HiveIdentity>]>([
    ["pid", { pid: 77 }],
    ["start time", { start_time: 77 }],
    ["boot", { boot_id: "other" }],
  ])(
    "is not opened to a process of the same epoch with another %s",
    async (_what, says) => {
      await using daemon = await Daemon.start(says);
      await using opened = link(daemon);
      await until(() => opened.told.length > 0, 20_000);
      expect(opened.told).toEqual([expect.stringMatching(/^lost: connect_failed .*answers there, not gpu1 of epoch 2/)]);
    },
    60_000,
  );
});

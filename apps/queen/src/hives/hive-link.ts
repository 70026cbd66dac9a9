import { type Clock, Deadline, isSameProcess, type Log } from "@queen-and-hive/daemon";
import { commonProtocol, type HiveEvent, type HiveIdentity, PROTOCOL, QhError } from "@queen-and-hive/protocol";
import type { HealthSettings } from "../config/settings.ts";
import type { SuspicionReason } from "../domain/hive-states.ts";
import { createHiveCalls, type HiveCalls } from "./hive-calls.ts";
import { afterAwake, stillSilentAfterStallCheck } from "./stall-check.ts";
import type { HiveTransport } from "./transport.ts";

/**
 * What a link tells; `onLost` and `onRefused` come at most once, and nothing after them. What throws on taking in a message
 * (its disk may be full) is given everything anew, as a snapshot, after `health.retry`: the hive is not to blame.
 */
export interface HiveLinkListener {
  /** The hive has taken our claim and sent its snapshot; again each time that it was asked for everything anew. */
  onConnected(snapshot: Extract<HiveEvent, { type: "snapshot" }>): void;
  onEvent(event: HiveEvent): void;
  onLost(reason: SuspicionReason, detail: string): void;
  /** The hive refuses this queen for good. */
  onRefused(error: QhError): void;
  onHealthCheck(outcome: "ok" | "failed"): void;
}

/** What a link needs to know. */
export interface HiveLinkOptions {
  readonly run: HiveIdentity;
  readonly token: string;
  readonly transport: HiveTransport;
  readonly health: HealthSettings;
  readonly slowTimeoutMs: number;
  readonly listener: HiveLinkListener;
  readonly clock: Clock;
  readonly log: Log;
}

/** The connection to one daemon run: claim, event stream with beats, health checks. Ends itself at the first real trouble. */
export class HiveLink {
  /** How to call the hive while the link stands. */
  readonly calls: HiveCalls;
  readonly #options: HiveLinkOptions;
  readonly #abort = new AbortController();
  #lastSignOfLifeMs: number;
  #isConnected = false;
  /** Ends the event stream that is read, so that a new one begins with a snapshot; null while none is read. */
  #anew: AbortController | null = null;
  #anewTimer: Disposable | null = null;
  #beginTimer: Disposable | null = null;
  #beatTimer: Disposable | null = null;
  #healthTimer: Disposable | null = null;

  constructor(options: HiveLinkOptions) {
    this.#options = options;
    this.#lastSignOfLifeMs = options.clock.monotonicMs();
    this.calls = createHiveCalls({
      hiveId: options.run.hive_id,
      url: options.run.url,
      token: options.token,
      timeoutMs: options.health.timeoutMs,
      slowTimeoutMs: options.slowTimeoutMs,
      connect: options.transport.connectDaemon,
    });
    this.#run().catch((error: unknown) => options.log.error("cannot keep a link to a hive", { error }));
  }

  /** Ends the link without telling anybody. */
  async close(): Promise<void> {
    if (!this.#abort.signal.aborted)
      this.#abort.abort(new QhError("client_closed", "cannot go on: the link to the hive was closed"));
    for (const timer of [this.#beginTimer, this.#beatTimer, this.#healthTimer, this.#anewTimer]) timer?.[Symbol.dispose]();
    await this.calls[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    const { health, clock } = this.#options;
    try {
      await this.#claim();
      this.#beginTimer = afterAwake(clock, health.timeoutMs, () => this.#lose("connect_failed", "no snapshot came in time"));
      while (await this.#readEvents());
      this.#lose(this.#lostReason, "the hive ended the event stream");
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      if (error instanceof QhError && REFUSALS.has(error.kind)) this.#refuse(error);
      else this.#lose(this.#lostReason, messageOf(error));
    }
  }

  get #lostReason(): SuspicionReason {
    return this.#isConnected ? "stream_closed" : "connect_failed";
  }

  /** Reads one event stream to its end; true when it was ended so that another one begins anew. */
  async #readEvents(): Promise<boolean> {
    const anew = new AbortController();
    this.#anew = anew;
    try {
      for await (const event of this.calls.events(AbortSignal.any([this.#abort.signal, anew.signal]))) {
        this.#lastSignOfLifeMs = this.#options.clock.monotonicMs();
        if (event.type === "snapshot") this.#onSnapshot(event);
        else if (this.#isConnected) this.#tell(() => this.#options.listener.onEvent(event));
      }
    } catch (error) {
      if (!anew.signal.aborted || this.#abort.signal.aborted) throw error;
    }
    return anew.signal.aborted && !this.#abort.signal.aborted;
  }

  #onSnapshot(snapshot: Extract<HiveEvent, { type: "snapshot" }>): void {
    this.#checkRun(snapshot.hive);
    const isFirst = !this.#isConnected;
    this.#isConnected = true;
    this.#beginTimer?.[Symbol.dispose]();
    this.#tell(() => this.#options.listener.onConnected(snapshot));
    if (!isFirst) return;
    this.#watchBeats(snapshot.beat_ms);
    this.#scheduleHealthCheck(0);
  }

  /** What goes wrong on our side is not the hive's fault: the link stands, and asks for everything again when we may be well. */
  #tell(take: () => void): void {
    const { clock, health, log, run } = this.#options;
    try {
      take();
    } catch (error) {
      if (this.#anewTimer !== null) return;
      log.error("ALERT: cannot take in what a hive says: it is asked for everything again", { error, hive_id: run.hive_id });
      this.#anewTimer = clock.after(health.retryMs, () => {
        this.#anewTimer = null;
        this.#anew?.abort(new QhError("client_closed", "cannot go on: the event stream begins anew"));
      });
    }
  }

  async #claim(): Promise<void> {
    const { transport, health, clock } = this.#options;
    // The way back may be gone with the connection that it was on: after each connection the hive hears the address anew.
    const address = await transport.queenAddress(Deadline.in(health.startMs, clock), this.#abort.signal);
    const answer = await this.calls.claim(address, this.#abort.signal);
    this.#checkRun(answer);
  }

  /** Somebody else may have got the port of a daemon that ended: then this is not the run that we look for. */
  #checkRun(answer: Omit<HiveIdentity, "url" | "version">): void {
    const { run } = this.#options;
    if (answer.hive_id !== run.hive_id || answer.hive_epoch !== run.hive_epoch || !isSameProcess(answer, run)) {
      throw new QhError("peer_nonsense", `cannot use ${run.url}: ${nameOf(answer)} answers there, not ${nameOf(run)}`);
    }
    if (commonProtocol(PROTOCOL, answer.protocol) === null) {
      throw new QhError(
        "protocol_mismatch",
        `cannot work with ${run.hive_id}: it speaks protocol ${answer.protocol.min} to ${answer.protocol.max}, this queen ${PROTOCOL.min} to ${PROTOCOL.max}; bring both to the same version`,
      );
    }
  }

  /** A daemon that was started with another `beat` than ours beats as it was told then. */
  #watchBeats(saidMs: number | null | undefined): void {
    const { clock, health } = this.#options;
    const beatMs = saidMs === undefined ? health.beatMs : Math.max(health.beatMs, saidMs ?? Number.POSITIVE_INFINITY);
    const silenceMs = beatMs * health.missedBeats;
    if (!Number.isFinite(silenceMs)) return;
    const look = (): void => {
      if (this.#abort.signal.aborted) return;
      const restMs = this.#lastSignOfLifeMs + silenceMs - clock.monotonicMs();
      if (restMs > 0) {
        this.#beatTimer = clock.after(restMs, look);
        return;
      }
      stillSilentAfterStallCheck(() => clock.monotonicMs() - this.#lastSignOfLifeMs >= silenceMs)
        .then((silent) => {
          if (silent) this.#lose("beats_missed", `no beat for ${Math.round(silenceMs)} ms`);
          else look();
        })
        .catch((error: unknown) => this.#options.log.error("cannot judge the silence of a hive", { error }));
    };
    look();
  }

  #scheduleHealthCheck(failures: number): void {
    const { clock, health, listener } = this.#options;
    if (this.#abort.signal.aborted) return;
    this.#healthTimer = clock.after(health.intervalMs, () => {
      this.calls
        .health(this.#abort.signal)
        .then((answer) => this.#checkRun(answer))
        .then(
          () => {
            if (this.#abort.signal.aborted) return;
            listener.onHealthCheck("ok");
            this.#scheduleHealthCheck(0);
          },
          (error: unknown) => {
            if (this.#abort.signal.aborted) return;
            listener.onHealthCheck("failed");
            if (failures + 1 >= health.failures) this.#lose("health_failed", messageOf(error));
            else this.#scheduleHealthCheck(failures + 1);
          },
        )
        .catch((error: unknown) => this.#options.log.error("cannot check the health of a hive", { error }));
    });
  }

  #lose(reason: SuspicionReason, detail: string): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(new QhError("peer_unreachable", `cannot go on: the link to the hive was lost (${detail})`));
    this.#options.listener.onLost(reason, detail);
  }

  #refuse(error: QhError): void {
    this.#abort.abort(error);
    this.#options.listener.onRefused(error);
  }
}

/** Answers after which trying again makes no sense before something was changed. */
const REFUSALS: ReadonlySet<QhError["kind"]> = new Set([
  "owned_by_another_queen",
  "stale_epoch",
  "protocol_mismatch",
  "unauthenticated",
]);

function nameOf({ hive_id, hive_epoch, pid }: Pick<HiveIdentity, "hive_id" | "hive_epoch" | "pid">): string {
  return `${hive_id} of epoch ${hive_epoch} (pid ${pid})`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

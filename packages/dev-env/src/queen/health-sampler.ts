import { once } from "node:events";
import { Agent, get } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

/** What a sampler has seen. */
export interface HealthSeen {
  readonly samples: number;
  /** How long each took. */
  readonly timesMs: readonly number[];
  /** Of the slowest sample, as this process saw it: its own stalls and those of the machine count. */
  readonly worstMs: number;
  /** What was not answered with 200: a status, or why there was no answer. */
  readonly failures: readonly string[];
}

/** More than this is no busy machine but a queen that does not answer. */
export const HEALTH_MS_MAX = 2_000;

/** So long a sample may take; then it has failed. */
const ANSWER_MS_MAX = 10_000;

/** Between two samples. */
const PAUSE_MS = 5;

/** Whether all samples go over one connection, or each over one of its own, as a person's or a balancer's do. */
export type SamplerConnections = "one" | "new";

/** Asks a queen for her health, one time after the other, until it is stopped. */
export class HealthSampler {
  readonly #url: string;
  /** The connection that all share; false: each has its own. */
  readonly #agent: Agent | false;
  readonly #failures: string[] = [];
  readonly #done: Promise<void>;
  readonly #timesMs: number[] = [];
  #stopped = false;

  constructor(queenUrl: string, connections: SamplerConnections = "one") {
    this.#url = `${queenUrl}/health`;
    this.#agent = connections === "one" && new Agent({ keepAlive: true, maxSockets: 1 });
    this.#done = this.#run();
  }

  /** Ends with the sample that is under way, or the first. */
  async stop(): Promise<HealthSeen> {
    this.#stopped = true;
    await this.#done;
    if (this.#agent !== false) this.#agent.destroy();
    const worstMs = this.#timesMs.reduce((worst, ms) => Math.max(worst, ms), 0);
    return { samples: this.#timesMs.length, timesMs: this.#timesMs, worstMs, failures: this.#failures };
  }

  async #run(): Promise<void> {
    do {
      const startedMs = performance.now();
      try {
        const status = await ask(this.#url, this.#agent);
        if (status !== 200) this.#failures.push(`status ${status}`);
      } catch (error) {
        this.#failures.push(String(error));
      }
      this.#timesMs.push(performance.now() - startedMs);
      await pause(PAUSE_MS);
    } while (!this.#stopped);
  }
}

/** Returns the status. What asks has to be light: the time that it takes itself is in what it has seen. */
async function ask(url: string, agent: Agent | false): Promise<number> {
  const request = get(url, { agent, signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  // It breaks once more with its answer.
  request.on("error", () => undefined);
  const [answer] = await once(request, "response");
  answer.resume();
  await once(answer, "end");
  return answer.statusCode;
}

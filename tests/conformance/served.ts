import {
  type FakeWorkerStats,
  fakeModel,
  fakeRuntime,
  fakeWorkerStats,
  startTestQueen,
  type TestQueen,
  until,
} from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";

/** What clients are configured with. */
export const CLIENT_KEY = "conformance-client-key";
const OPERATOR_KEY = "conformance-operator-key";

/** A queen with a hive and models for each purpose, and what the workers of each have counted. */
export interface Served extends AsyncDisposable {
  readonly queen: TestQueen;
  /** Where a client's OpenAI base URL points. */
  readonly baseURL: string;
  /** What the worker of a model has counted; it is started when there is none. */
  stats(model: string): Promise<FakeWorkerStats>;
}

/** `chat` answers in words, with tools and in JSON; `endless` never ends; `failing` is always overloaded; `vectors` embeds. */
export async function startServed(): Promise<Served> {
  const queen = await startTestQueen({
    key: OPERATOR_KEY,
    config: {
      keys: [
        { name: "client", role: "inference", key: CLIENT_KEY },
        { name: "operator", role: "admin", key: OPERATOR_KEY },
      ],
      runtimes: {
        endless: fakeRuntime(["--token-rate", "100", "--tokens", "1000000"]),
        failing: fakeRuntime(["--fault", "http-500=503"]),
      },
      models: [
        fakeModel("chat", "fake", { aliases: ["gpt-4o", "claude-sonnet"], task: "chat" }),
        fakeModel("endless", "endless"),
        fakeModel("failing", "failing"),
        fakeModel("vectors", "fake", { aliases: ["text-embedding-3-small"], task: "embedding" }),
      ],
    },
  });
  const workerUrl = async (model: string): Promise<string | null> => {
    const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
    return workers.find((worker) => worker.model === model && worker.state === "ready")?.url ?? null;
  };
  return {
    queen,
    baseURL: `${queen.url}/v1`,
    stats: async (model) => fakeWorkerStats(await until(() => workerUrl(model), 30_000, `a worker of ${model}`)),
    [Symbol.asyncDispose]: () => queen[Symbol.asyncDispose](),
  };
}

/** A `fetch` for a client that counts what is sent with it. */
export interface CountingFetch {
  readonly fetch: typeof fetch;
  /** Requests so far. */
  readonly sent: () => number;
}

export function countingFetch(): CountingFetch {
  let sent = 0;
  return {
    fetch: (...request) => {
      sent += 1;
      return fetch(...request);
    },
    sent: () => sent,
  };
}

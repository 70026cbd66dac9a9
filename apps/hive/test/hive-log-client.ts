import type { TestHive } from "@queen-and-hive/dev-env";

/** A worker's log as it comes. */
interface ComingLog {
  /** All that has come so far. */
  text(): string;
  /** Resolves when the hive has ended it. */
  readonly ended: Promise<void>;
}

/** Reads `GET /v1/workers/{id}/logs` of a hive. Throws the status when it is none of 200. */
export async function fetchHiveLog(hive: TestHive, workerId: string, query: string): Promise<ComingLog> {
  const response = await fetch(`${hive.url}/v1/workers/${workerId}/logs?${query}`, {
    headers: { authorization: `Bearer ${hive.token}` },
  });
  if (!response.ok || response.body === null) throw new Error(`the log is answered ${response.status}`);
  let text = "";
  const read = async (body: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of body) text += decoder.decode(chunk, { stream: true });
  };
  return { text: () => text, ended: read(response.body) };
}

import { get } from "node:http";

/** What a worker's own health path answered. */
export interface ProbeAnswer {
  readonly outcome: "ready" | "loading" | "mute";
  /** What it says of its progress, for people; null when it says nothing. */
  readonly progress: string | null;
}

/** Asks a path of a worker once: 200 is ready, any other answer means that it loads, none that it is mute. Never throws. */
export function probeReady(url: string, timeoutMs: number, signal: AbortSignal): Promise<ProbeAnswer> {
  return new Promise((resolve) => {
    const mute = (): void => resolve({ outcome: "mute", progress: null });
    if (signal.aborted) return mute();
    const request = get(
      url,
      { signal, timeout: timeoutMs, agent: false, headers: { accept: "application/json" } },
      (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => {
          if (text.length < ANSWER_CHARACTERS_MAX) text += chunk.toString("utf8");
        });
        response.on("error", mute);
        response.on("end", () => {
          resolve({ outcome: response.statusCode === 200 ? "ready" : "loading", progress: progressIn(text) });
        });
      },
    );
    request.on("error", mute);
    request.on("timeout", () => request.destroy());
  });
}

const ANSWER_CHARACTERS_MAX = 16_384;
const PROGRESS_CHARACTERS_MAX = 200;

function progressIn(text: string): string | null {
  const body = parse(text);
  const error = fieldOf(body, "error");
  const said = fieldOf(body, "progress") ?? fieldOf(error, "message") ?? fieldOf(body, "status");
  return typeof said === "string" || typeof said === "number" ? String(said).slice(0, PROGRESS_CHARACTERS_MAX) : null;
}

function fieldOf(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return Object.entries(value).find(([name]) => name === key)?.[1];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

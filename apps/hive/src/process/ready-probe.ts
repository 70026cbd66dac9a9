import { fieldOf } from "@queen-and-hive/daemon";
import { askWorker, type WorkerQuestion } from "./ask-worker.ts";

/** What a worker's own health path answered. */
export interface ProbeAnswer {
  readonly outcome: "ready" | "loading" | "mute";
  /** What it says of its progress, for people; null when it says nothing. */
  readonly progress: string | null;
}

/** Asks a path of a worker once: 200 is ready, any other answer means that it loads, none that it is mute. Never throws. */
export async function probeReady(question: WorkerQuestion, signal: AbortSignal): Promise<ProbeAnswer> {
  const answer = await askWorker(question, signal);
  if (answer === null) return { outcome: "mute", progress: null };
  return { outcome: answer.status === 200 ? "ready" : "loading", progress: progressIn(answer.body) };
}

const PROGRESS_CHARACTERS_MAX = 200;

function progressIn(body: unknown): string | null {
  const said = fieldOf(body, "progress") ?? fieldOf(fieldOf(body, "error"), "message") ?? fieldOf(body, "status");
  return typeof said === "string" || typeof said === "number" ? String(said).slice(0, PROGRESS_CHARACTERS_MAX) : null;
}

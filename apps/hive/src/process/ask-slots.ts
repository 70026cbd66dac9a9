import { fieldOf } from "@queen-and-hive/daemon";
import type { WorkerSpec } from "@queen-and-hive/protocol";
import { flagValue } from "../domain/command-line.ts";
import { askWorker } from "./ask-worker.ts";

/** Whom to ask, once it is ready. */
export interface AskedWorker {
  readonly spec: WorkerSpec;
  readonly url: string;
  readonly key: string | null;
}

/**
 * How many requests an engine serves at a time, as its recipe says it can be known: by asking, from a flag, or as is usual
 * with it. Null when the recipe knows nothing. A number of `slots:` is a limit of ours and no reason to ask. Never throws.
 */
export async function askSlots({ spec, url, key }: AskedWorker, signal: AbortSignal): Promise<number | null> {
  const source = spec.runtime.slots;
  if (spec.slots !== "auto" || source === undefined) return null;
  const { http, fields = [], flags = [], assumed = null } = source;
  if (http !== undefined) {
    const answer = await askWorker({ url: `${url}${http}`, timeoutMs: ASK_MS, key }, signal);
    const said = fields.map((field) => slotsIn(inside(answer?.body, field))).find((slots) => slots !== null);
    if (said !== undefined) return said;
  }
  return slotsIn(Number(flagValue([...(spec.runtime.command ?? []), ...spec.args], flags))) ?? assumed;
}

/** An engine that has just become ready may still be busy with its own warm-up. */
const ASK_MS = 5_000;

/** The value that a dotted path leads to, through objects and lists. */
function inside(body: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((value, name) => fieldOf(value, name), body);
}

function slotsIn(value: unknown): number | null {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 ? value : null;
}

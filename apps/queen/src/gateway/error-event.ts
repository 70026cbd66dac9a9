import { fieldOf, parseJson } from "@queen-and-hive/daemon";
import type { HeaderValues } from "./forwarded-headers.ts";
import type { WholeAnswer } from "./whole-answer.ts";

/** Longest error that is looked into. */
const PARSE_BYTES_MAX = 262_144;

/** An error event that came first in a stream, as the answer that it should have been; null when it cannot be read. */
export function answerOfErrorEvent(events: readonly Uint8Array[], headers: HeaderValues): WholeAnswer | null {
  const data = lastDataOf(events);
  const error = data === null || data.length > PARSE_BYTES_MAX ? undefined : fieldOf(parseJson(data), "error");
  if (data === null || error === undefined || error === null) return null;
  const code = fieldOf(error, "code");
  return {
    status: typeof code === "number" && code >= 400 && code <= 599 ? code : 502,
    headers: { ...headers, "content-type": "application/json" },
    body: Buffer.from(data),
  };
}

/** Whether the last data of some events is whole: the engine has ended its line, or, where `endsInLine`, it is JSON. */
export function lastData(events: readonly Uint8Array[], endsInLine: boolean): "none" | "whole" | "cut" {
  const data = lastDataOf(events);
  if (data === null) return "none";
  return endsInLine && (data.length > PARSE_BYTES_MAX || parseJson(data) === undefined) ? "cut" : "whole";
}

function lastDataOf(events: readonly Uint8Array[]): string | null {
  const line = Buffer.concat(events)
    .toString("utf8")
    .split(/\r\n|\r|\n/)
    .findLast((text) => text.startsWith("data:"));
  return line === undefined ? null : line.slice("data:".length).trim();
}

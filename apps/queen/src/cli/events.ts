import {
  COMMAND_EXIT,
  compileValidator,
  type JournalEvent,
  journalEventSchema,
  QhError,
  QUEEN_ENDPOINTS,
} from "@queen-and-hive/protocol";
import type { ConfigSurroundings } from "../config/load.ts";
import type { CommonOptions } from "./program.ts";
import { findQueen, openQueen } from "./queen-client.ts";

const checkEvent = compileValidator<JournalEvent>(journalEventSchema, "ignore");

/** `queen events`: the journal; with `--follow` until Ctrl-C or the end of the queen. One JSON object a line with `--json`. */
export async function events(
  options: CommonOptions & { readonly follow?: boolean },
  around: ConfigSurroundings,
): Promise<number> {
  await using queen = openQueen(findQueen(options, around));
  const stop = new AbortController();
  const query = { follow: options.follow === true ? "true" : "false" } as const;
  for await (const { data } of queen.events(QUEEN_ENDPOINTS.getEvents, { query, signal: stop.signal })) {
    const event = parseEvent(data);
    process.stdout.write(`${options.json === true ? JSON.stringify(event) : describeEvent(event)}\n`);
  }
  return COMMAND_EXIT.done;
}

function parseEvent(data: string): JournalEvent {
  const value: unknown = JSON.parse(data);
  const checked = checkEvent(value);
  if (!checked.ok) throw new QhError("peer_nonsense", "cannot read an event of the queen: it has an unknown shape");
  return checked.value;
}

function describeEvent(event: JournalEvent): string {
  const who = event.worker_id ?? event.hive_id ?? event.request_id ?? "";
  const move = event.to === undefined ? "" : `${event.from ?? "(new)"} -> ${event.to}`;
  const cause = event.cause === undefined ? "" : `(${event.cause})`;
  return [event.time, event.kind.padEnd(14), who, move, cause, `by ${event.actor}`].filter((part) => part !== "").join("  ");
}

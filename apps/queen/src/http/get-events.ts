import { HANDLED, openSse, type SseWriter } from "@queen-and-hive/daemon";
import type { JournalEvent } from "@queen-and-hive/protocol";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** How many kept events are sent unless `limit` says otherwise. */
const LIMIT_DEFAULT = 1_000;
/** Kept events are read in pages of this many. */
const PAGE = 1_000;
/** Silence after which a comment keeps the connection alive, milliseconds. */
const KEEP_ALIVE_MS = 10_000;

/** `GET /v2/events`: the journal, first what is kept (after `Last-Event-ID`), then each new entry unless `follow=false`. */
export function getEvents(queen: QueenView): QueenHandler<"getEvents"> {
  return async ({ query, request, response, signal, closing }) => {
    const header = request.headers["last-event-id"];
    const lastId = typeof header === "string" && /^[0-9]{1,15}$/.test(header) ? Number(header) : null;
    const limit = query.limit === undefined ? LIMIT_DEFAULT : Number(query.limit);
    const writer = openSse(response);
    let sent = lastId ?? 0;
    const send = (event: JournalEvent): void => {
      if (event.sequence <= sent) return;
      sent = event.sequence;
      writer.send({ id: String(event.sequence), event: event.kind, data: event });
    };
    // Reading and subscribing happen in one turn, so that no entry falls between them.
    for (const event of lastId === null ? queen.store.journalNewest(limit) : allAfter(queen, lastId)) send(event);
    if (query.follow === "false") {
      writer.close();
      return HANDLED;
    }
    using _subscription = queen.store.journaled.subscribe(send);
    using _keepAlive = keepAlive(queen, writer);
    await Promise.race([aborted(signal), aborted(closing)]);
    writer.close();
    return HANDLED;
  };
}

function allAfter(queen: QueenView, sequence: number): JournalEvent[] {
  const events: JournalEvent[] = [];
  let after = sequence;
  for (;;) {
    const page = queen.store.journalAfter(after, PAGE);
    events.push(...page);
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return events;
    after = last.sequence;
  }
}

function keepAlive(queen: QueenView, writer: SseWriter): Disposable {
  let timer = queen.clock.after(KEEP_ALIVE_MS, beat);
  function beat(): void {
    writer.comment("keep-alive");
    timer = queen.clock.after(KEEP_ALIVE_MS, beat);
  }
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

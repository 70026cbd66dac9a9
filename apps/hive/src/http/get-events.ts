import { HANDLED, type Handler, openSse } from "@queen-and-hive/daemon";
import type { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";

/** `GET /v1/events`: a snapshot, then what happens. A reader that is too slow is dropped and begins with a snapshot again. */
export function getEvents(hive: HiveParts): Handler<typeof HIVE_ENDPOINTS.getEvents, HiveCaller> {
  return async ({ response, signal, closing }) => {
    const reader = openSse(response);
    using _subscription = hive.events.attach(reader);
    await firstAborted(signal, closing);
    reader.close();
    return HANDLED;
  };
}

function firstAborted(...signals: readonly AbortSignal[]): Promise<void> {
  const any = AbortSignal.any([...signals]);
  return new Promise((resolve) => {
    if (any.aborted) resolve();
    else any.addEventListener("abort", () => resolve(), { once: true });
  });
}

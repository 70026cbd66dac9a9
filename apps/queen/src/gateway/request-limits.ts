import type { Clock } from "@queen-and-hive/daemon";
import { formatDurationMs, QhError } from "@queen-and-hive/protocol";
import type { HeaderValues } from "./forwarded-headers.ts";
import type { TimeLimit } from "./time-limit.ts";

/**
 * The time limits of a whole request: ours, and the client's own in `x-request-timeout` (seconds). `end` is called with
 * `deadline_exceeded` when the first has passed. Throws `invalid_header`.
 */
export function startTotalLimit(clock: Clock, totalMs: number, headers: HeaderValues, end: (error: QhError) => void): Disposable {
  const askedMs = readTimeoutMs(headers["x-request-timeout"]);
  const limitMs = Math.min(totalMs, askedMs);
  const whose = askedMs <= totalMs ? "what x-request-timeout allows" : "the time limit of a request";
  return clock.after(limitMs, () => {
    end(new QhError("deadline_exceeded", `cannot finish the answer within ${formatDurationMs(limitMs)}, ${whose}`));
  });
}

/** The time limit of a request's arrival; `end` is called with `request_timeout`. */
export function startReceiveLimit(receive: TimeLimit, end: (error: QhError) => void): Disposable {
  return receive.start(() => {
    const message = `cannot take the request: it did not arrive within ${formatDurationMs(receive.limitMs)}`;
    end(new QhError("request_timeout", message));
  });
}

function readTimeoutMs(header: string | readonly string[] | undefined): number {
  if (header === undefined) return Number.POSITIVE_INFINITY;
  const seconds = Number(header);
  if (seconds > 0) return seconds * 1_000;
  const message = "cannot read the header x-request-timeout: send a number of seconds greater than 0, such as 30";
  throw new QhError("invalid_header", message, { param: "x-request-timeout" });
}

import { once } from "node:events";
import { HANDLED, type HandlerContext } from "./handler.ts";

/** Answers with text as it comes, as fast as it is read and no faster; nobody reads on once the signal is aborted. */
export async function sendText(
  { response }: Pick<HandlerContext<unknown, unknown>, "response">,
  parts: AsyncIterable<string | Buffer>,
  signal: AbortSignal,
): Promise<typeof HANDLED> {
  response.writeHead(200, {
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
  });
  response.flushHeaders();
  for await (const part of parts) {
    if (signal.aborted || response.destroyed) break;
    if (!response.write(part)) await once(response, "drain", { signal }).catch(() => undefined);
  }
  response.end();
  return HANDLED;
}

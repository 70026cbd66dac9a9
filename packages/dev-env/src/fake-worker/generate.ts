import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { FakeWorkerState } from "./state.ts";
import type { Ending } from "./statistics.ts";

/** Hands out the tokens at the set rate and gives their text; an ending when the client left or a fault cut the answer. */
export async function generate(
  state: FakeWorkerState,
  tokens: readonly string[],
  response: ServerResponse,
  onToken: (token: string) => void,
): Promise<{ readonly text: string } | Ending> {
  const { tokenRate, faults } = state.options;
  let text = "";
  for (const [index, token] of tokens.entries()) {
    if (tokenRate > 0) await sleep(1_000 / tokenRate);
    if (response.destroyed) return "cancelled";
    onToken(token);
    text += token;
    state.statistics.tokensSent += 1;
    if (faults.dieAfterTokens === index + 1) await flushedThen(response, () => process.kill(process.pid, "SIGKILL"));
    if (faults.cutAfterTokens === index + 1) {
      await flushedThen(response, () => response.destroy());
      return "failed";
    }
  }
  return response.destroyed ? "cancelled" : { text };
}

/** Begins an event stream that tells whose it is. */
export function beginStream(state: FakeWorkerState, response: ServerResponse): void {
  response.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "x-fake-worker": state.options.workerId,
  });
}

/** One event; with a name where the dialect has names. */
export function sendEvent(response: ServerResponse, data: unknown, name?: string): void {
  response.write(`${name === undefined ? "" : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`);
}

/** Sends the end of an answer and waits until it has left or the client has. */
export async function ended(response: ServerResponse, send: () => void): Promise<Ending> {
  const over = once(response, "close");
  send();
  await over;
  return response.writableFinished ? "finished" : "cancelled";
}

/** Makes sure that the tokens before a fault reach the other side. */
async function flushedThen(response: ServerResponse, act: () => void): Promise<void> {
  if (response.headersSent) await new Promise<void>((resolve) => response.write(": cut\n\n", () => resolve()));
  act();
}

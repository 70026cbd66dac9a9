import { join } from "node:path";
import { Deadline, isProcessAlive, waitForProcessEnd } from "@queen-and-hive/daemon";
import { COMMAND_EXIT, QhError, QUEEN_ENDPOINTS, type QueenShutdownAnswer } from "@queen-and-hive/protocol";
import { type ConfigSurroundings, loadSettings } from "../config/load.ts";
import { describeFate } from "../hives/stop-cascade.ts";
import { type QueenIdentity, readQueenIdentity } from "../store/queen-identity.ts";
import type { CommonOptions } from "./program.ts";
import { findQueen, noQueen, openQueen, stopOrderMs } from "./queen-client.ts";

/** How long the queen's process may take to end after she has answered, milliseconds. */
const END_MS = 10_000;

/**
 * `queen down`: the stop cascade of the running queen, or of the hives in the registry when none runs. 0 when nothing is
 * left, else 1. With `--keep` hives and workers go on.
 */
export async function down(options: CommonOptions & { readonly keep?: boolean }, around: ConfigSurroundings): Promise<number> {
  const place = findQueen(options, around);
  const running = place.stateDir === null ? null : readQueenIdentity(place.stateDir);
  if (place.stateDir !== null && (running === null || !isProcessAlive(running))) {
    return report(options, await stopWithoutQueen(options, around, place.stateDir));
  }
  await using queen = openQueen(place, stopOrderMs(options, around));
  const answer = await queen.call(QUEEN_ENDPOINTS.postShutdown, { body: { hives: options.keep === true ? "keep" : "stop" } });
  if (running !== null) await requireEnd(running);
  return report(options, answer);
}

async function requireEnd(running: QueenIdentity): Promise<void> {
  if (await waitForProcessEnd(running, Deadline.in(END_MS))) return;
  throw new QhError(
    "stop_failed",
    `cannot see the end of the queen (pid ${running.pid}): her hives are dealt with, but she still runs`,
  );
}

/** No queen runs: what her registry says of hives that may still run is stopped through their hosts. */
async function stopWithoutQueen(
  options: CommonOptions & { readonly keep?: boolean },
  around: ConfigSurroundings,
  stateDir: string,
): Promise<QueenShutdownAnswer> {
  if (options.keep === true) throw noQueen(stateDir);
  const { stopRecordedHives } = await import("./stop-recorded-hives.ts");
  const settings = loadSettings(options.config, around, Date.now());
  const answer = await stopRecordedHives(settings, join(stateDir, "queen.db"));
  if (answer === null) throw noQueen(stateDir);
  return answer;
}

function report(options: CommonOptions, answer: QueenShutdownAnswer): number {
  if (options.json === true) process.stdout.write(`${JSON.stringify(answer)}\n`);
  else {
    for (const fate of answer.hives) process.stdout.write(`${describeFate(fate)}\n`);
    process.stdout.write(answer.clean ? "everything is stopped or kept as asked\n" : "something may be left, see above\n");
  }
  return answer.clean ? COMMAND_EXIT.done : COMMAND_EXIT.failed;
}

import { onSignals, systemClock } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { cutLines } from "./table.ts";

/** Pause between two looks, milliseconds. */
const LOOK_EVERY_MS = 1_000;
/** Control sequences of ECMA-48: to the top left, clear to the end of the line, clear to the end of the screen. */
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_REST = "\u001b[J";

/**
 * Shows a text again and again until Ctrl-C: on a terminal in place, elsewhere (and as JSON) as a new text whenever it has
 * changed. A queen who does not answer for a while is said, and waited for.
 */
export async function watch(look: () => Promise<string>, { asJson }: { readonly asJson: boolean }): Promise<void> {
  const ended = new AbortController();
  using _signals = onSignals({ signals: ["SIGINT", "SIGTERM"], handle: () => ended.abort() });
  // A reader that left (`| head`) ends the watching.
  process.stdout.once("error", () => ended.abort());
  const inPlace = process.stdout.isTTY && !asJson;
  if (inPlace) process.stdout.write(`${HOME}${CLEAR_REST}`);
  let shown: string | null = null;
  while (!ended.signal.aborted) {
    const text = await lookOrSay(look, asJson);
    if (inPlace) process.stdout.write(frameOf(text));
    else if (text !== shown && text !== null) process.stdout.write(`${text}\n${asJson ? "" : "\n"}`);
    shown = text;
    await systemClock.sleep(LOOK_EVERY_MS, ended.signal).catch(() => undefined);
  }
}

/** How wide the terminal is; without one, or one that does not say, nothing has to fit. */
export function terminalColumns(): number {
  const { isTTY, columns } = process.stdout;
  return isTTY && columns > 0 ? columns : Number.POSITIVE_INFINITY;
}

async function lookOrSay(look: () => Promise<string>, asJson: boolean): Promise<string | null> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof QhError)) throw error;
    return asJson ? null : `${error.message}; looking again`;
  }
}

function frameOf(text: string | null): string {
  const lines = cutLines(text ?? "", terminalColumns()).split("\n");
  return `${HOME}${lines.map((line) => `${line}${CLEAR_LINE}\n`).join("")}${CLEAR_REST}`;
}

import { COMMAND_EXIT, type ErrorKind, errorBody, newRequestId, QhError } from "@queen-and-hive/protocol";

/** How a command speaks: tables and sentences for people, or exactly one JSON object for programs. */
export interface OutputForm {
  readonly json: boolean;
}

/** The result of a command in both forms; null where it has printed all there is as it came. */
export interface CommandResult {
  /** Printed with `--json`, as the last line of standard output. */
  readonly json: object | null;
  /** Printed without. */
  readonly text: string | null;
  readonly exitCode?: number;
}

/** Runs a command and prints its result or its error; returns the exit code. */
export async function runCommand(form: OutputForm, command: () => Promise<CommandResult>): Promise<number> {
  survivePipes();
  try {
    const result = await command();
    const said = form.json && result.json !== null ? JSON.stringify(result.json) : result.text;
    if (said !== null) process.stdout.write(`${said}\n`);
    return result.exitCode ?? COMMAND_EXIT.done;
  } catch (error) {
    const failure = asFailure(error);
    if (form.json) process.stdout.write(`${JSON.stringify(errorBody(failure, newRequestId()))}\n`);
    else process.stderr.write(`hive: ${failure.message}\n${logTailOf(failure)}`);
    return exitCodeOf(failure.kind);
  }
}

/** A note beside the result, for people, on standard error. */
export function note(text: string): void {
  process.stderr.write(`hive: ${text}\n`);
}

/** What was thrown -> an expected failure; a bug keeps its stack as the cause. */
export function asFailure(error: unknown): QhError {
  if (error instanceof QhError) return error;
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new QhError("internal", `cannot go on: this is a bug of hive: ${message}`, { cause: error });
}

/** The exit code that a failure of a command becomes. */
export function exitCodeOf(kind: ErrorKind): number {
  if (kind === "invalid_config") return COMMAND_EXIT.badConfiguration;
  if (kind === "already_running" || kind === "owned_by_another_queen") return COMMAND_EXIT.lockTaken;
  return COMMAND_EXIT.failed;
}

/** Rows as columns of even width, the first row being the heading. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** A reader that left (`| head`) ends the printing, never the command. */
function survivePipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  }
}

function logTailOf(failure: QhError): string {
  const tail = failure.details?.["log_tail"];
  if (!Array.isArray(tail) || tail.length === 0) return "";
  return `last lines of its log:\n${tail.map((line) => `  ${String(line)}`).join("\n")}\n`;
}

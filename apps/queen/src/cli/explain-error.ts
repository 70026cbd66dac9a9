import { COMMAND_EXIT, errorBody, newRequestId, QhError } from "@queen-and-hive/protocol";

/**
 * Says a failure on standard error in one line without a stack (as the one error shape on standard output with `--json`) and
 * returns the exit code. A fault of ours keeps its stack: somebody has to mend it.
 */
export function explainError(error: unknown, asJson: boolean): number {
  const known = error instanceof QhError ? error : new QhError("internal", `cannot go on: ${messageOf(error)}`, { cause: error });
  if (asJson) process.stdout.write(`${JSON.stringify(errorBody(known, newRequestId()))}\n`);
  else process.stderr.write(`${known.message}\n`);
  if (!(error instanceof QhError) && error instanceof Error) process.stderr.write(`${error.stack ?? ""}\n`);
  return known.kind === "invalid_config" ? COMMAND_EXIT.badConfiguration : COMMAND_EXIT.failed;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Why a worker cannot start, with the exit code that says so to the hive (WORKER_EXIT). */
export class StartFailure extends Error {
  readonly exitCode: number;

  /** The message begins with "cannot ..." and says what to do next. */
  constructor(exitCode: number, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "StartFailure";
    this.exitCode = exitCode;
  }
}

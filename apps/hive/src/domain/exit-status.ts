/** How a process ended. Both null: nobody saw it. */
export interface ExitStatus {
  readonly exitCode: number | null;
  /** A name such as `SIGKILL`. */
  readonly signal: string | null;
}

/** An end that nobody saw. */
export const UNKNOWN_STATUS: ExitStatus = { exitCode: null, signal: null };

/**
 * What the shell reports -> how the process ended. A shell says 128 + n for signal n (POSIX, 2.8.2); what is no signal
 * there is an exit code.
 */
export function statusFromShell(reported: number, signalNames: ReadonlyMap<number, string>): ExitStatus {
  const signal = reported > SIGNAL_BASE ? nameOf(reported - SIGNAL_BASE, signalNames) : null;
  return signal === null ? { exitCode: reported, signal: null } : { exitCode: null, signal };
}

const SIGNAL_BASE = 128;
/** The real-time signals of Linux (signal(7)), as the C library numbers them. */
const REAL_TIME_MIN = 34;
const REAL_TIME_MAX = 64;

function nameOf(number: number, signalNames: ReadonlyMap<number, string>): string | null {
  const name = signalNames.get(number);
  if (name !== undefined) return name;
  return number >= REAL_TIME_MIN && number <= REAL_TIME_MAX ? `SIGRTMIN+${number - REAL_TIME_MIN}` : null;
}

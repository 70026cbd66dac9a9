import type { ExitCause } from "@queen-and-hive/protocol";
import { CPU_SIGN_RATIO } from "./health.ts";

/** One look at a worker that loads. Times are monotonic, in ms. */
export interface StartLook {
  readonly atMs: number;
  /** Bytes of output so far. */
  readonly logBytes: number;
  /** CPU time of all its processes so far, in ms. */
  readonly cpuMs: number;
  readonly residentBytes: number;
  /** Memory in use on its devices, by whomever. */
  readonly deviceBytes: number;
  /** Whether one of its devices computes. */
  readonly deviceIsBusy: boolean;
  /** Whether the worker answered that it is loading since the last look. */
  readonly saidLoading: boolean;
}

/** What is remembered between two looks. */
export interface StartVigil {
  readonly startedAtMs: number;
  /** The look that showed the last sign of life: growth is measured from there, so that slow growth adds up. */
  readonly lastSign: StartLook;
  /** From where CPU time is measured: the last sign, or a look after it at which the sum had fallen, as processes ended. */
  readonly cpuFrom: { readonly atMs: number; readonly cpuMs: number };
}

/** How long a start may take; null: no limit. */
export interface StartLimits {
  readonly silenceMs: number | null;
  readonly totalMs: number | null;
}

/** Growth of memory, the machine's or a device's, below which it is no sign of life. */
const MEMORY_SIGN_BYTES = 1024 * 1024;

/** Begins to watch a start that may have begun `alreadyMs` ago (an adopted worker). */
export function beginVigil(first: StartLook, alreadyMs: number): StartVigil {
  return { startedAtMs: first.atMs - alreadyMs, lastSign: first, cpuFrom: first };
}

/** Judges one more look: go on, or give the start up for a cause. */
export function judgeLook(
  vigil: StartVigil,
  look: StartLook,
  limits: StartLimits,
): { readonly vigil: StartVigil; readonly giveUp: Extract<ExitCause, "start_silent" | "start_too_long"> | null } {
  const { lastSign } = vigil;
  const cpuFrom = look.cpuMs < vigil.cpuFrom.cpuMs ? look : vigil.cpuFrom;
  const isAlive =
    look.saidLoading ||
    look.deviceIsBusy ||
    look.deviceBytes - lastSign.deviceBytes >= MEMORY_SIGN_BYTES ||
    look.logBytes !== lastSign.logBytes ||
    look.cpuMs - cpuFrom.cpuMs >= Math.max(1, look.atMs - cpuFrom.atMs) * CPU_SIGN_RATIO ||
    look.residentBytes - lastSign.residentBytes >= MEMORY_SIGN_BYTES;
  const next: StartVigil = isAlive
    ? { startedAtMs: vigil.startedAtMs, lastSign: look, cpuFrom: look }
    : { ...vigil, lastSign: lower(lastSign, look), cpuFrom };
  if (limits.totalMs !== null && look.atMs - vigil.startedAtMs >= limits.totalMs)
    return { vigil: next, giveUp: "start_too_long" };
  if (limits.silenceMs !== null && look.atMs - next.lastSign.atMs >= limits.silenceMs)
    return { vigil: next, giveUp: "start_silent" };
  return { vigil: next, giveUp: null };
}

/** Memory that was given back (a compiler has ended) may grow again from where it is now. */
function lower(lastSign: StartLook, { residentBytes, deviceBytes }: StartLook): StartLook {
  return {
    ...lastSign,
    residentBytes: Math.min(lastSign.residentBytes, residentBytes),
    deviceBytes: Math.min(lastSign.deviceBytes, deviceBytes),
  };
}

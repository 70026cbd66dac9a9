import { expect, test } from "vitest";
import { Cancellation, type CancelSignal } from "./cancellation.ts";

const KINDS: readonly [string, () => { readonly signal: CancelSignal; readonly abort: (reason: unknown) => void }][] = [
  [
    "a Cancellation",
    () => {
      const signal = new Cancellation();
      return { signal, abort: (reason) => signal.abort(reason) };
    },
  ],
  [
    "an AbortController",
    () => {
      const controller = new AbortController();
      return { signal: controller.signal, abort: (reason) => controller.abort(reason) };
    },
  ],
];

test.each(KINDS)(
  "%s tells its listeners once, in order, and not those that have left, also meanwhile, or come too late",
  (_name, make) => {
    const { signal, abort } = make();
    const heard: string[] = [];
    const goes = (): void => void heard.push("goes");
    const gone = (): void => void heard.push("gone");
    signal.addEventListener("abort", () => signal.removeEventListener("abort", goes), { once: true });
    signal.addEventListener("abort", goes, { once: true });
    signal.addEventListener("abort", () => heard.push(`first ${String(signal.reason)} ${signal.aborted}`), { once: true });
    signal.addEventListener("abort", gone, { once: true });
    signal.addEventListener("abort", () => heard.push("last"), { once: true });
    signal.removeEventListener("abort", gone);
    signal.removeEventListener("abort", gone);
    expect(signal.aborted).toBe(false);
    abort("why");
    abort("again");
    signal.addEventListener("abort", () => heard.push("late"), { once: true });
    expect(heard).toEqual(["first why true", "last"]);
    expect(signal.reason).toBe("why");
  },
);

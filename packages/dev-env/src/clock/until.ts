import { Deadline } from "@queen-and-hive/daemon";

const DEFAULT_WAIT_MS = 10_000;
const LOOK_EVERY_MS = 10;

/**
 * Looks until the condition holds and returns what it said. `within` is a Deadline or milliseconds (default 10 s); past
 * it, throws an Error that names `what` and what the condition said or threw last.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  within: Deadline | number = DEFAULT_WAIT_MS,
  what = conditionText(condition),
): Promise<NonNullable<T>> {
  const deadline = typeof within === "number" ? Deadline.in(within) : within;
  for (;;) {
    const last = await attempt(condition);
    if ("said" in last && isTrue(last.said)) return last.said;
    if (deadline.expired) throw new Error(`cannot wait longer for ${what}: it ${describe(last)}`, { cause: last });
    await new Promise<void>((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

type Attempt<T> = { readonly said: T } | { readonly threw: unknown };

async function attempt<T>(condition: () => T | Promise<T>): Promise<Attempt<T>> {
  try {
    return { said: await condition() };
  } catch (threw) {
    return { threw };
  }
}

/** Zero and the empty text are answers; false, null and undefined are "not yet". */
function isTrue<T>(said: T): said is NonNullable<T> {
  return said !== null && said !== undefined && said !== false;
}

function describe(last: Attempt<unknown>): string {
  if ("threw" in last) return `throws ${String(last.threw)}`;
  return `says ${JSON.stringify(last.said) ?? "undefined"}`;
}

function conditionText(condition: () => unknown): string {
  return condition.toString().replaceAll(/\s+/g, " ").slice(0, 200);
}

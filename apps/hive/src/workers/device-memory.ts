import { Deadline } from "@queen-and-hive/daemon";
import { formatBytes } from "@queen-and-hive/protocol";
import { treeOf } from "../process/process-table.ts";
import { CPU } from "../resources/device.ts";
import type { DeviceReading } from "../resources/devices.ts";
import type { EndingParts } from "./end-with-proof.ts";

/** What a worker has of one of its devices by the last look before its end. */
interface HeldPart {
  readonly deviceId: string;
  /** Null: it is not known. */
  readonly heldBytes: number | null;
  /** In use by whomever. */
  readonly usedBytes: number;
  /** In use by nobody that the driver names; null where it names nobody. */
  readonly unnamedBytes: number | null;
}

/** What a worker has of its devices; nothing there is nothing to wait for. */
export type DeviceHold =
  | { readonly kind: "nothing" }
  | { readonly kind: "unknown"; readonly reason: string }
  | { readonly kind: "held"; readonly parts: readonly HeldPart[]; readonly pids: ReadonlySet<number> };

/** Whether the memory is back, and otherwise why nobody can say so. */
export interface MemoryProof {
  readonly isBack: boolean;
  readonly reason: string | null;
}

/**
 * What a worker that is about to end has of its GPUs; null when it was given none. A ready worker is known by the last
 * sample, so that no tool runs before TERM; otherwise a tool that hangs holds up TERM by a second at most.
 */
export async function holdOf({ context, facts, process, deadline }: EndingParts): Promise<DeviceHold | null> {
  const ids = facts.devices.filter((id) => id !== CPU);
  if (ids.length === 0) return null;
  const { clock, devices } = context.options;
  const { latest } = devices;
  const isRecent = latest !== null && isOfReadyTime(latest, facts.readyAtMs, clock);
  const limit = Deadline.in(Math.min(LOOK_BEFORE_MS, deadline().remainingMs() / 4), clock);
  const reading = isRecent ? latest : await within(devices.read(), limit);
  if (reading === null) return { kind: "unknown", reason: "the devices' driver did not answer before the stop" };
  const recent = context.views.table(TABLE_AGE_MS_MAX);
  // A worker that has just been started may be younger than that view.
  const isKnown = process === null || treeOf(recent, process.shim).has(process.engine.pid);
  const table = isKnown ? recent : context.views.table(0);
  const pids = new Set([
    ...(process === null ? [] : treeOf(table, process.shim)),
    ...facts.descendants.map((key) => Number(key.split(":", 1)[0])),
  ]);
  const parts: HeldPart[] = [];
  for (const id of ids) {
    const usedBytes = usedOf(reading, id);
    if (typeof usedBytes === "string") return { kind: "unknown", reason: usedBytes };
    const named = reading.uses.filter(({ deviceId }) => deviceId === id);
    const own = named.filter(({ pid }) => pids.has(pid));
    const heldBytes = named.length > 0 ? sumOf(own) : context.desk.heldBytes(facts.workerId, id, reading);
    if (heldBytes === 0) continue;
    parts.push({ deviceId: id, heldBytes, usedBytes, unnamedBytes: named.length > 0 ? usedBytes - sumOf(named) : null });
  }
  return parts.length === 0 ? { kind: "nothing" } : { kind: "held", parts, pids };
}

/**
 * Waits until the memory that an ended worker had is back: drivers give it back 0.5 to 1.5 s later. The first look can prove
 * it. Never longer than its time, whatever the tools do.
 */
export async function waitForDeviceMemory(
  { context }: Pick<EndingParts, "context">,
  hold: DeviceHold,
  deadline: Deadline,
): Promise<MemoryProof> {
  if (hold.kind === "nothing") return { isBack: true, reason: "it had none by the last look" };
  if (hold.kind === "unknown") return { isBack: false, reason: hold.reason };
  const { clock, devices } = context.options;
  const begunMs = clock.monotonicMs();
  const end = Deadline.in(MEMORY_BACK_MS, clock).min(deadline);
  const after = (): string => `within ${Math.round(clock.monotonicMs() - begunMs)} ms`;
  let last: DeviceReading | null = null;
  for (let pauseMs = PAUSE_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
    const reading: DeviceReading | null = await within(devices.read(), end);
    if (reading === null) return { isBack: false, reason: `the devices' driver did not answer ${after()}` };
    const missing = hold.parts.map((part) => missingOf(part, hold.pids, reading, last)).find((found) => found !== null);
    if (missing === undefined) return { isBack: true, reason: null };
    // A tool that does not answer any more tells nothing; the processes are gone, which counts.
    if (missing.isFinal) return { isBack: false, reason: missing.reason };
    if (end.expired) return { isBack: false, reason: `${missing.reason} ${after()}` };
    last = reading;
    await clock.sleep(Math.min(pauseMs, end.remainingMs()));
  }
}

const LOOK_BEFORE_MS = 1_000;
const MEMORY_BACK_MS = 3_000;
const PAUSE_FIRST_MS = 25;
const PAUSE_MAX_MS = 200;
const TABLE_AGE_MS_MAX = 100;
/** A sample older than this tells nothing of a worker any more. */
const SAMPLE_AGE_MS_MAX = 60_000;
/** A desktop beside a worker may take so much more meanwhile, or half of what the worker had, whichever is less. */
const SLACK_BYTES = 256 * 1024 ** 2;

/** Whether a reading was made while the worker was ready: what engines take, they take before. */
function isOfReadyTime(
  { atMs }: DeviceReading,
  readyAtMs: number | null,
  clock: { monotonicMs(): number; nowMs(): number },
): boolean {
  const ageMs = clock.monotonicMs() - atMs;
  return readyAtMs !== null && ageMs < clock.nowMs() - readyAtMs && ageMs <= SAMPLE_AGE_MS_MAX;
}

/** Why a device's memory is not back, null when it is. Final: no later look would tell more. */
function missingOf(
  { deviceId, heldBytes, usedBytes, unnamedBytes }: HeldPart,
  pids: ReadonlySet<number>,
  reading: DeviceReading,
  last: DeviceReading | null,
): { readonly reason: string; readonly isFinal: boolean } | null {
  const used = usedOf(reading, deviceId);
  if (typeof used === "string") return { reason: used, isFinal: true };
  const slackBytes = Math.min(SLACK_BYTES, (heldBytes ?? 0) / 2);
  const notBack = (bytes: number) => ({ reason: `${formatBytes(bytes)} of ${deviceId} did not come back`, isFinal: false });
  if (unnamedBytes !== null) {
    const named = reading.uses.filter((use) => use.deviceId === deviceId);
    const own = sumOf(named.filter(({ pid }) => pids.has(pid)));
    const more = used - sumOf(named) - unnamedBytes;
    return own === 0 && more <= slackBytes ? null : notBack(Math.max(own, more));
  }
  if (heldBytes !== null) {
    const more = used - (usedBytes - heldBytes);
    return more <= slackBytes ? null : notBack(more);
  }
  // How much it had is not known: it is back once less is in use than before and nothing more comes.
  const before = last === null ? Number.POSITIVE_INFINITY : usedOf(last, deviceId);
  const isSettled = typeof before === "number" && used >= before && last !== null;
  return used < usedBytes && isSettled ? null : { reason: `nothing of ${deviceId} came back`, isFinal: false };
}

/** What is in use on a device, or why nobody can say. */
function usedOf({ devices, trouble }: DeviceReading, deviceId: string): number | string {
  const device = devices.find(({ id }) => id === deviceId);
  if (device === undefined) return trouble ?? `${deviceId} is not shown any more: the driver's tool may be gone`;
  return device.memoryUsedBytes ?? trouble ?? `the driver of ${deviceId} does not say what is in use`;
}

function sumOf(uses: readonly { readonly bytes: number }[]): number {
  return uses.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** What a promise brings in time; null otherwise, and it is waited for no more. */
async function within<T>(promise: Promise<T>, limit: Deadline): Promise<T | null> {
  using signal = limit.signal();
  const over = new Promise<null>((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener("abort", () => resolve(null), { once: true });
  });
  return await Promise.race([promise, over]);
}

import type { Capabilities } from "@queen-and-hive/protocol";
import type { FleetContext } from "./fleet-context.ts";

/** A hive's workers change in bursts: one look after each. */
const LOOK_AFTER_MS = 250;

/** What is free on the devices of each hive, as its last look has shown; asked for where there is a choice of hives. */
export class HiveMemory implements Disposable {
  readonly #context: FleetContext;
  readonly #free = new Map<string, readonly number[]>();
  readonly #looks = new Map<string, Disposable>();

  constructor(context: FleetContext) {
    this.#context = context;
  }

  /** Free bytes of a hive's devices, the freest first; null while they are not known. */
  of(hiveId: string): readonly number[] | null {
    return this.#free.get(hiveId) ?? null;
  }

  /** Something has changed on a hive: its memory is read soon. */
  changed(hiveId: string): void {
    if (this.#looks.has(hiveId) || this.#context.hives().length < 2 || this.#context.stopping()) return;
    this.#looks.set(
      hiveId,
      this.#context.clock.after(LOOK_AFTER_MS, () => {
        this.#looks.delete(hiveId);
        this.#look(hiveId).catch((error: unknown) =>
          this.#context.log.warn("cannot read the free memory of a hive", { error, hive_id: hiveId }),
        );
      }),
    );
  }

  [Symbol.dispose](): void {
    for (const look of this.#looks.values()) look[Symbol.dispose]();
    this.#looks.clear();
  }

  async #look(hiveId: string): Promise<void> {
    const calls = this.#context.hive(hiveId)?.calls ?? null;
    if (calls === null) return;
    const free = freeBytesOf(await calls.capabilities());
    if (free === null) this.#free.delete(hiveId);
    else this.#free.set(hiveId, free);
  }
}

function freeBytesOf({ devices }: Capabilities): readonly number[] | null {
  const free = devices.flatMap((device) => (device.memory_free_bytes === null ? [] : [device.memory_free_bytes]));
  return free.length === 0 ? null : free.sort((one, other) => other - one);
}

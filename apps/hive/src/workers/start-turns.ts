import { CPU } from "../resources/device.ts";

/** A place in the line of starts on some devices. Disposing gives it back, also before it came. */
export interface StartTurn extends Disposable {
  /** The workers that start there now; empty when it is this one's turn. */
  readonly behind: readonly string[];
  /** Resolves when it is this one's turn, or when nobody waits for it any more. */
  readonly come: Promise<void>;
  /** Waits no longer: `come` resolves now. */
  hurry(): void;
}

interface Place {
  readonly devices: readonly string[];
  readonly workerId: string;
  readonly come: PromiseWithResolvers<void>;
  isRunning: boolean;
}

/**
 * Starts one worker at a time per device, in the order of asking: two engines that measure free memory at the same moment
 * would both take it. Workers on other devices, and workers without any, do not wait.
 */
export class StartTurns {
  readonly #places: Place[] = [];

  /** Takes a place; `now` takes it past all others, for a worker that already starts. */
  take(devices: readonly string[], workerId: string, now = false): StartTurn {
    const place: Place = {
      devices: devices.filter((device) => device !== CPU),
      workerId,
      come: Promise.withResolvers<void>(),
      isRunning: now,
    };
    this.#places.push(place);
    this.#advance();
    const behind = place.isRunning ? [] : this.#before(place).map((other) => other.workerId);
    return {
      behind,
      come: place.come.promise,
      hurry: () => place.come.resolve(),
      [Symbol.dispose]: () => this.#leave(place),
    };
  }

  #leave(place: Place): void {
    const index = this.#places.indexOf(place);
    if (index === -1) return;
    this.#places.splice(index, 1);
    this.#advance();
  }

  #advance(): void {
    for (const place of this.#places) {
      if (!place.isRunning && this.#before(place).length > 0) continue;
      place.isRunning = true;
      place.come.resolve();
    }
  }

  /** Whoever runs on one of its devices, or asked for one earlier. */
  #before(place: Place): readonly Place[] {
    const index = this.#places.indexOf(place);
    return this.#places.filter(
      (other, at) =>
        other !== place && (other.isRunning || at < index) && other.devices.some((device) => place.devices.includes(device)),
    );
  }
}

import type { Clock, Log } from "@queen-and-hive/daemon";
import { type HiveLoss, isMassLoss, type MassLossPolicy } from "../domain/mass-loss.ts";
import type { Store } from "../store/store.ts";

/** What the guard needs to know. */
export interface MassLossGuardOptions {
  readonly policy: MassLossPolicy;
  /** The hives that are expected to be there. */
  readonly hives: () => readonly HiveLoss[];
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

/** Freezes what is done about lost hives while so many were lost together that we are the one who is ill; one alert each time. */
export class MassLossGuard {
  readonly #options: MassLossGuardOptions;
  #isFrozen = false;

  constructor(options: MassLossGuardOptions) {
    this.#options = options;
  }

  /** Looks again, tells of a change, and says whether it is frozen. */
  look(): boolean {
    const hives = this.#options.hives();
    const isFrozen = isMassLoss(hives, this.#options.policy, this.#options.clock.monotonicMs());
    if (isFrozen === this.#isFrozen) return isFrozen;
    this.#isFrozen = isFrozen;
    const lost = hives.filter(({ lostAtMs }) => lostAtMs !== null).map(({ hiveId }) => hiveId);
    const { log, store } = this.#options;
    if (isFrozen)
      log.error("ALERT: more than half of the hives were lost at once, so nothing of them is ended or replaced", { hives: lost });
    else
      log.info("the hives are looked after again: half of them are back, or they have been lost for long", { still_lost: lost });
    try {
      store.commit({
        events: [{ kind: "hives.frozen", actor: "queen", to: isFrozen ? "frozen" : "watched", details: { lost } }],
      });
    } catch (error) {
      log.error("cannot record an alert", { error });
    }
    return isFrozen;
  }
}

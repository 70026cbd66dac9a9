import { isProcessAlive, type ProcessIdentity } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { CPU } from "../resources/device.ts";

interface Culprit {
  readonly workerId: string;
  readonly identity: ProcessIdentity;
}

/**
 * Devices that a process holds which not even KILL ends: nothing new is started there until it is gone. A process like that
 * waits in the kernel, mostly on the device's driver, and would take the next one with it.
 */
export class DeviceQuarantine {
  readonly #culprits = new Map<string, readonly Culprit[]>();

  /** Closes the devices of a worker for as long as these processes live. */
  close(devices: readonly string[], workerId: string, identities: readonly ProcessIdentity[]): void {
    // A processor is shared by all: one process that is stuck there takes nothing with it.
    for (const device of devices.filter((id) => id !== CPU)) {
      const others = (this.#culprits.get(device) ?? []).filter((culprit) => culprit.workerId !== workerId);
      this.#culprits.set(device, [...others, ...identities.map((identity) => ({ workerId, identity }))]);
    }
  }

  /** Whether a device is closed now. */
  isClosed(device: string): boolean {
    return (this.#culprits.get(device) ?? []).some(({ identity }) => isProcessAlive(identity));
  }

  /** Throws `spawn_failed` when one of the devices is closed. */
  check(devices: readonly string[], workerId: string): void {
    for (const device of devices) {
      const living = (this.#culprits.get(device) ?? []).filter(({ identity }) => isProcessAlive(identity));
      const [culprit] = living;
      if (culprit === undefined) {
        this.#culprits.delete(device);
        continue;
      }
      const pids = living.map(({ identity }) => identity.pid);
      throw new QhError(
        "spawn_failed",
        `cannot start ${workerId} on ${device}: what is left of ${culprit.workerId} (${pids.join(", ")}) holds it and does not end, not even by KILL; look at the device's driver, or restart the machine`,
        { details: { device, pids } },
      );
    }
  }
}

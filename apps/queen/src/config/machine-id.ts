import { readFileSync } from "node:fs";
import { hostname } from "node:os";

/** machine-id(5); a machine without one is known by its name. */
export function readMachineId(): string {
  for (const path of ["/etc/machine-id", "/var/lib/dbus/machine-id"]) {
    try {
      const id = readFileSync(path, "utf8").trim();
      if (id !== "") return id;
    } catch {
      // Not every machine has both.
    }
  }
  return hostname();
}

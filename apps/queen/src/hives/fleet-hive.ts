import type { HiveSettings } from "../config/settings.ts";
import type { Host } from "../hosts/host.ts";
import type { FleetHive } from "../workers/fleet-context.ts";
import type { HiveKeeper } from "./hive-keeper.ts";
import type { HiveTransport } from "./transport.ts";

/** What a hive of the configuration consists of. */
export interface HiveParts {
  readonly settings: HiveSettings;
  readonly host: Host;
  readonly transport: HiveTransport;
  readonly keeper: HiveKeeper;
}

/** A hive as the workers' fleet sees it, always as it is now: the fleet looks at some with every request. */
export function fleetHiveOf(
  { settings, host, keeper, transport }: HiveParts,
  workerKey: (workerId: string) => string | null,
): FleetHive {
  return {
    hiveId: keeper.hiveId,
    hostName: host.name,
    labels: settings.labels,
    get bootId() {
      return keeper.bootId;
    },
    get usable() {
      return keeper.usable;
    },
    get inDoubt() {
      return keeper.inDoubt;
    },
    get arriving() {
      return keeper.arriving;
    },
    get hopeful() {
      return keeper.hopeful;
    },
    get isReplaced() {
      return keeper.isReplaced;
    },
    get replacedSince() {
      return keeper.replacedSince;
    },
    standInsEnded: () => keeper.standInsEnded(),
    get calls() {
      return keeper.calls;
    },
    queen: () => transport.lastAddress(),
    connect: transport.connectEngine,
    workerKey,
  };
}

import { type ProcessIdentity, signalProcess } from "@queen-and-hive/daemon";
import type { SshTestHost } from "@queen-and-hive/dev-env";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { FaultGround } from "./fault-ground.ts";
import { enginesOf, workerIdOf } from "./processes.ts";
import type { SmallDisk } from "./small-disk.ts";

/** Numbers from a seed: the same seed gives the same run of faults. */
export class SeededRandom {
  #state: ReturnType<typeof xoroshiro128plus>;

  constructor(seed: number) {
    this.#state = xoroshiro128plus(seed);
  }

  /** A whole number from `from` to `to`, both included. */
  between(from: number, to: number): number {
    return uniformInt(this.#state, from, to);
  }

  /** One of them; null when there are none. */
  pick<T>(all: readonly T[]): T | null {
    return all[this.between(0, Math.max(0, all.length - 1))] ?? null;
  }
}

/** A fault that is at work. */
export interface ActiveFault {
  readonly what: string;
  /** True when clients may lose their connection through it: only the queen's own death does that. */
  readonly cutsClients?: boolean;
  /** True when a ready callback may come late through it, so that the queen may have to ask. */
  readonly delaysCallbacks?: boolean;
  /** The hives and workers that may be another process after it; every other must be the process that it was. */
  readonly mayEnd?: readonly string[];
  /** The hive of which it is an operator's order: there is one order to a hive at a time. */
  readonly ordered?: string;
  /** True for an order by which the hive answers nobody until it is taken back. */
  readonly takesOut?: boolean;
  /**
   * Takes the fault away, as far as that is not done by the software itself; throws when something was not as promised.
   * Orders are ended after all other faults. `others` were at work at the same time.
   */
  heal(others: readonly ActiveFault[]): Promise<void>;
}

/** Begins a fault beside those that are at work; null when there is nothing to strike now. */
export type Fault = (ground: FaultGround, random: SeededRandom, active: readonly ActiveFault[]) => Promise<ActiveFault | null>;

/** The faults of one machine: KILL and STOP of queen, hives and workers, each by verified identity. */
export const PROCESS_FAULTS: readonly Fault[] = [
  async ({ queen }) => {
    queen.program.send("SIGKILL");
    await queen.program.ended();
    return { what: "kill -9 of the queen", cutsClients: true, heal: () => queen.start() };
  },
  async ({ queen }) => frozen("the queen", queen.program.identity, { delaysCallbacks: true }),
  async ({ queen }, random) => {
    const hive = await anyHive(queen, random);
    if (hive === null || signalProcess(hive.identity, "SIGKILL") !== "sent") return null;
    return { what: `kill -9 of the hive ${hive.id}`, mayEnd: [hive.id], heal: async () => undefined };
  },
  async ({ queen }, random) => {
    const hive = await anyHive(queen, random);
    if (hive === null) return null;
    return frozen(`the hive ${hive.id}`, hive.identity, { delaysCallbacks: true, mayEnd: [hive.id] });
  },
  async (ground, random) => {
    const worker = await anyWorker(ground, random);
    if (worker === null || signalProcess(worker.identity, "SIGKILL") !== "sent") return null;
    return { what: `kill -9 of ${worker.id}`, mayEnd: [worker.id], heal: async () => undefined };
  },
  async (ground, random) => {
    const worker = await anyWorker(ground, random);
    return worker === null ? null : frozen(worker.id, worker.identity, { mayEnd: [worker.id] });
  },
];

/** The fault of disks: one without a byte left under the state of the queen, or of a hive. */
export function diskFaults(disks: readonly SmallDisk[]): readonly Fault[] {
  if (disks.length === 0) return [];
  const fill: Fault = async (_ground, random) => {
    const disk = random.pick(disks.filter(({ isFull }) => !isFull));
    if (disk === null) return null;
    disk.fill();
    return { what: `a full disk under ${disk.name}`, delaysCallbacks: true, heal: async () => disk.empty() };
  };
  return [fill];
}

/** The faults of links: silence both ways, silence one way, and SSH connections that end. */
export function linkFaults(hosts: readonly SshTestHost[]): readonly Fault[] {
  const on = (what: string, begin: (host: SshTestHost) => void): Fault => {
    return async (_ground, random) => {
      const host = random.pick(hosts);
      if (host === null) return null;
      begin(host);
      return { what: `${what} ${host.address}`, delaysCallbacks: true, heal: async () => host.mendLink() };
    };
  };
  return [
    on("a cut link to", (host) => host.cutLink()),
    on("a link that is silent in one direction, from", (host) => host.cutLinkBack()),
    on("dropped SSH connections to", (host) => host.dropConnections()),
  ];
}

interface Target {
  readonly id: string;
  readonly identity: ProcessIdentity;
}

function frozen(
  name: string,
  identity: ProcessIdentity,
  effects: Pick<ActiveFault, "delaysCallbacks" | "mayEnd">,
): ActiveFault | null {
  if (signalProcess(identity, "SIGSTOP") !== "sent") return null;
  return { ...effects, what: `SIGSTOP of ${name}`, heal: async () => void signalProcess(identity, "SIGCONT") };
}

async function anyHive(queen: FaultGround["queen"], random: SeededRandom): Promise<Target | null> {
  const id = random.pick((queen.config.hives ?? []).map((hive) => hive.id));
  if (id === null) return null;
  const { identity } = await queen.hive(id).status();
  return identity === null ? null : { id, identity };
}

/** Found in the process table: the queen may be frozen and answer nothing. */
async function anyWorker({ folder }: FaultGround, random: SeededRandom): Promise<Target | null> {
  const engine = random.pick(enginesOf(folder));
  return engine === null ? null : { id: workerIdOf(engine), identity: engine.identity };
}

import { randomInt } from "node:crypto";
import { writeFileSync } from "node:fs";
import { isProcessAlive, readProcessIdentity, signalProcess } from "@queen-and-hive/daemon";
import { runTool, tryTool } from "./run-tool.ts";

/** A machine's network on this machine: a namespace, joined to ours by a pair of virtual interfaces. */
export interface NetworkNamespace extends Disposable {
  readonly name: string;
  /** Its address, which we reach. */
  readonly address: string;
  /** Our end's address, which it reaches. */
  readonly gateway: string;
  /** A command line that runs inside. */
  inside(argv: readonly string[]): readonly string[];
  /** Takes the link down: packets are lost in silence, as with a cable that was pulled. */
  cut(): void;
  /** Loses what it sends to us; what we send arrives. */
  cutBack(): void;
  mend(): void;
}

/** Ours are named for the process that made them, so that what a killed one left can be told from what is in use. */
const PREFIX = "qh-";
/** How the interface is called inside. */
const INNER = "up0";
const TRIES = 20;
const left = new Set<NetworkNamespace>();
let installed = false;

/** Makes one, with addresses of its own in 10.0.0.0/8. Throws where this machine does not let us. */
export function makeNetworkNamespace(): NetworkNamespace {
  removeAbandoned();
  const self = readProcessIdentity(process.pid);
  if (self === null) throw new Error("cannot read our own process identity");
  const serial = randomInt(0x1000000).toString(16).padStart(6, "0");
  const name = `${PREFIX}${self.pid}-${self.start_time}-${serial}`;
  const device = `qh${serial}`;
  runTool(["ip", "netns", "add", name]);
  try {
    const { gateway, address } = joinTo(name, device);
    return registered({ name, device, gateway, address });
  } catch (error) {
    remove(name, device);
    throw error;
  }
}

function joinTo(name: string, device: string): { readonly gateway: string; readonly address: string } {
  runTool(["ip", "link", "add", device, "type", "veth", "peer", "name", INNER, "netns", name]);
  runTool(["ip", "link", "set", device, "up"]);
  // Hosts reach each other through this machine (ProxyJump), whether it forwards for others or not.
  writeFileSync(`/proc/sys/net/ipv4/conf/${device}/forwarding`, "1");
  runTool(["ip", "-n", name, "link", "set", "lo", "up"]);
  runTool(["ip", "-n", name, "link", "set", INNER, "up"]);
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const net = `10.${randomInt(128, 255)}.${randomInt(256)}`;
    const low = randomInt(64) * 4;
    const gateway = `${net}.${low + 1}`;
    const address = `${net}.${low + 2}`;
    if (runTool(["ip", "-o", "route", "get", address]).includes(" dev qh")) continue;
    runTool(["ip", "address", "add", `${gateway}/30`, "dev", device]);
    runTool(["ip", "-n", name, "address", "add", `${address}/30`, "dev", INNER]);
    runTool(["ip", "-n", name, "route", "add", "default", "via", gateway]);
    return { gateway, address };
  }
  throw new Error("cannot find a free /30 network in 10.128.0.0/9");
}

interface Made {
  readonly name: string;
  readonly device: string;
  readonly gateway: string;
  readonly address: string;
}

function registered({ name, device, gateway, address }: Made): NetworkNamespace {
  const namespace: NetworkNamespace = {
    name,
    address,
    gateway,
    inside: (argv) => ["ip", "netns", "exec", name, ...argv],
    cut: () => void runTool(["ip", "-n", name, "link", "set", INNER, "down"]),
    cutBack: () => void runTool(["ip", "-n", name, "route", "replace", "blackhole", `${gateway}/32`]),
    mend: () => {
      tryTool(["ip", "-n", name, "route", "delete", "blackhole", `${gateway}/32`]);
      runTool(["ip", "-n", name, "link", "set", INNER, "up"]);
      // The kernel takes a route away together with its interface.
      runTool(["ip", "-n", name, "route", "replace", "default", "via", gateway]);
    },
    [Symbol.dispose]: () => {
      left.delete(namespace);
      remove(name, device);
    },
  };
  left.add(namespace);
  if (!installed) {
    installed = true;
    process.on("exit", () => {
      for (const one of left) one[Symbol.dispose]();
    });
  }
  return namespace;
}

/** A namespace lives as long as a process is inside; whatever still is there is ours. */
function remove(name: string, device: string): void {
  for (const pid of (tryTool(["ip", "netns", "pids", name]) ?? "").split("\n").filter((line) => line !== "")) {
    const identity = readProcessIdentity(Number(pid));
    if (identity !== null) signalProcess(identity, "SIGKILL");
  }
  tryTool(["ip", "link", "delete", device]);
  tryTool(["ip", "netns", "delete", name]);
}

/** What test processes left behind that were killed themselves. */
function removeAbandoned(): void {
  for (const line of (tryTool(["ip", "netns", "list"]) ?? "").split("\n")) {
    const name = line.split(" ")[0] ?? "";
    const [pid, startTime, serial] = name.startsWith(PREFIX) ? name.slice(PREFIX.length).split("-") : [];
    if (pid === undefined || startTime === undefined || serial === undefined) continue;
    const owner = readProcessIdentity(Number(pid));
    if (owner !== null && String(owner.start_time) === startTime && isProcessAlive(owner)) continue;
    remove(name, `qh${serial}`);
  }
}

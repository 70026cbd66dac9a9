import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Deadline } from "@queen-and-hive/daemon";
import {
  familyCpuMs,
  type Program,
  REPOSITORY,
  type SshGround,
  type SshTestHost,
  startProgram,
  startSshGround,
  testEnvironment,
  until,
} from "@queen-and-hive/dev-env";
import type { HiveStartAnswer } from "@queen-and-hive/protocol";
import { type Dispatcher, Pool } from "undici";
import { createHiveCommands } from "../apps/queen/src/hosts/hive-commands.ts";
import { SshHost } from "../apps/queen/src/hosts/ssh-host.ts";
import { reachOf } from "../apps/queen/test/ssh-reach.ts";
import { median, percentile } from "./statistics.ts";
import type { Row } from "./table.ts";

const STARTS = 9;
const HOSTS = 20;
const DELAY_S = 1;
const REQUESTS = 300;
const WARM_UP = 30;
const DOWNLOADS = 5;
const DOWNLOAD_BYTES = 256 * 1024 * 1024;
const CORES = navigator.hardwareConcurrency;
const EXECUTABLE = `${REPOSITORY}/dist/hive-linux-${process.arch}`;
const INSTALL_DIR = "~/.local/share/hive";
const NO_QUEEN = "queen-00000000-0000-4000-8000-000000000000";

/** Starting hives over SSH, one and many, and what the tunnel costs a request and a stream. */
export async function benchSsh(): Promise<readonly Row[]> {
  return [...(await startRows()), ...(await manyRows()), ...(await tunnelRows())];
}

async function startRows(): Promise<readonly Row[]> {
  await using ground = await startSshGround({ hosts: [{}] });
  const [there] = ground.hosts;
  if (there === undefined) throw new Error("a ground has a host");
  const program = putProgram(there, "");
  const times: number[] = [];
  for (let round = 0; round < STARTS; round += 1) times.push((await oneStart(ground, there, `state${round}`)).tookMs);
  const what = `a hive's start over SSH (${program} in place), from no connection to its answer`;
  return [
    { id: "ssh_start_p50", what: `${what}, median`, value: median(times), unit: "ms", atMost: 1_500, samples: times.length },
  ];
}

async function manyRows(): Promise<readonly Row[]> {
  await using ground = await startSshGround({ hosts: Array.from({ length: HOSTS }, () => ({})) });
  const [first] = ground.hosts;
  if (first === undefined) throw new Error("a ground has hosts");
  for (const there of ground.hosts) putProgram(there, `[ "$1" = start ] && sleep ${DELAY_S}; `);
  const alone: Start[] = [];
  for (let round = 0; round < 5; round += 1) alone.push(await oneStart(ground, first, `alone${round}`));
  const cpuMs = median(alone.map((start) => start.cpuMs));
  const started = performance.now();
  const starts = await Promise.all(ground.hosts.map((there) => oneStart(ground, there, "state")));
  const tookMs = Math.max(...starts.map(({ answeredAtMs }) => answeredAtMs)) - started;
  const aimMs = 2_000 + (HOSTS * cpuMs) / CORES;
  return [
    {
      id: "ssh_start_cpu",
      what: "CPU time of one start, both sides",
      value: cpuMs,
      unit: "ms",
      atMost: null,
      samples: alone.length,
    },
    {
      id: "ssh_many",
      what: `${HOSTS} hosts at once, each ${DELAY_S} s slower`,
      value: tookMs,
      unit: "ms",
      atMost: Math.round(aimMs),
      samples: 1,
    },
  ];
}

interface Start {
  readonly tookMs: number;
  /** On the clock of `performance.now`. */
  readonly answeredAtMs: number;
  /** Of this process, of the programs that it ran, of the SSH server and of what ran on the host. */
  readonly cpuMs: number;
}

/** From nothing to a daemon that listens; it is stopped afterwards, which is not timed. */
async function oneStart(ground: SshGround, there: SshTestHost, state: string): Promise<Start> {
  await using host = new SshHost(reachOf(ground, there));
  const commands = createHiveCommands(host, { hiveId: "bench", installDir: INSTALL_DIR, stateDir: `~/${state}` });
  const deadline = Deadline.in(120_000);
  const before = familyCpuMs(process.pid) + there.serverCpuMs();
  const started = performance.now();
  const answer: HiveStartAnswer = await commands.start({ config: { hive_id: "bench", listen: "127.0.0.1:0" } }, deadline);
  const tookMs = performance.now() - started;
  const daemonMs = familyCpuMs(answer.pid);
  // The server's time counts once the connection has ended.
  await host[Symbol.asyncDispose]();
  await until(() => there.connections() === 0);
  const cpuMs = daemonMs + familyCpuMs(process.pid) + there.serverCpuMs() - before;
  await using again = new SshHost(reachOf(ground, there));
  const stopping = createHiveCommands(again, { hiveId: "bench", installDir: INSTALL_DIR, stateDir: `~/${state}` });
  await stopping.stop({ keepWorkers: false, queenId: NO_QUEEN }, deadline);
  return { tookMs, answeredAtMs: started + tookMs, cpuMs };
}

/** The hive's program on a host. */
function putProgram(there: SshTestHost, before: string): "executable" | "sources" {
  const built = existsSync(EXECUTABLE);
  const command = built ? `'${EXECUTABLE}'` : `'${process.execPath}' '${REPOSITORY}/apps/hive/src/main.ts'`;
  const folder = join(there.home, ".local/share/hive/current");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "hive"), `#!/bin/sh\n${before}exec ${command} "$@"\n`, { mode: 0o755 });
  return built ? "executable" : "sources";
}

/** A server on the host, asked straight over the network and through the tunnel, in turns. */
async function tunnelRows(): Promise<readonly Row[]> {
  await using ground = await startSshGround({ hosts: [{}] });
  const [there] = ground.hosts;
  if (there === undefined) throw new Error("a ground has a host");
  await using server = await startServer(ground, there);
  await using host = new SshHost(reachOf(ground, there));
  const port = Number(/port ([0-9]+)/.exec(server.output())?.[1]);
  const direct = new Pool(`http://${there.address}:${port}`, { connections: 1 });
  const tunnel = new Pool(`http://${there.address}:${port}`, {
    connections: 1,
    connect: (_, done) => {
      const address = { host: there.address, port };
      host.forward(address, { traffic: "tokens", deadline: Deadline.in(10_000) }).then(
        (socket) => done(null, socket),
        (error: unknown) => done(error instanceof Error ? error : new Error(String(error)), null),
      );
    },
  });
  const small = await requestTimes(direct, tunnel);
  const large = await downloadRates(direct, tunnel);
  await Promise.all([direct.destroy(), tunnel.destroy()]);
  const added = median(small.tunnel) - median(small.direct);
  const requests = { unit: "ms", samples: small.tunnel.length } as const;
  const downloads = { unit: "MB/s", atMost: null, samples: DOWNLOADS } as const;
  return [
    { id: "direct_p50", what: "a small request, direct, p50", value: median(small.direct), atMost: null, ...requests },
    { id: "tunnel_p50", what: "the same through the tunnel, p50", value: median(small.tunnel), atMost: null, ...requests },
    { id: "tunnel_added_p50", what: "what the tunnel adds, p50", value: added, atMost: 2, ...requests },
    { id: "tunnel_p99", what: "through the tunnel, p99", value: percentile(small.tunnel, 0.99), atMost: null, ...requests },
    { id: "direct_rate", what: "a stream of 256 MiB, direct, median", value: median(large.direct), ...downloads },
    { id: "tunnel_rate", what: "the same through the tunnel, median", value: median(large.tunnel), ...downloads, atLeast: 150 },
  ];
}

async function startServer(ground: SshGround, there: SshTestHost): Promise<Program> {
  const script = `
    const piece = Buffer.alloc(65536);
    const server = require("node:http").createServer((request, response) => {
      if (request.url === "/small") return response.end("ok");
      let left = ${DOWNLOAD_BYTES};
      const go = () => { while (left > 0) { left -= piece.length; if (!response.write(piece)) return response.once("drain", go); } response.end(); };
      go();
    }).listen(0, ${JSON.stringify(there.address)}, () => console.log("port " + server.address().port));`;
  const program = await startProgram(there.inside([process.execPath, "-e", script]), {
    env: testEnvironment(ground.folder),
    cwd: ground.folder,
    logFile: join(ground.folder, "server.log"),
  });
  await until(() => program.output().includes("port "));
  return program;
}

async function requestTimes(direct: Dispatcher, tunnel: Dispatcher): Promise<{ direct: number[]; tunnel: number[] }> {
  const times = { direct: [] as number[], tunnel: [] as number[] };
  for (let round = 0; round < WARM_UP + REQUESTS; round += 1) {
    for (const [name, pool] of [["direct", direct] as const, ["tunnel", tunnel] as const]) {
      const started = performance.now();
      const { body } = await pool.request({ method: "GET", path: "/small" });
      await body.text();
      if (round >= WARM_UP) times[name].push(performance.now() - started);
    }
  }
  return times;
}

async function downloadRates(direct: Dispatcher, tunnel: Dispatcher): Promise<{ direct: number[]; tunnel: number[] }> {
  const rates = { direct: [] as number[], tunnel: [] as number[] };
  for (let round = 0; round < DOWNLOADS; round += 1) {
    for (const [name, pool] of [["direct", direct] as const, ["tunnel", tunnel] as const]) {
      const started = performance.now();
      const { body } = await pool.request({ method: "GET", path: "/large" });
      let bytes = 0;
      for await (const chunk of body) bytes += Buffer.from(chunk).length;
      if (bytes !== DOWNLOAD_BYTES) throw new Error(`a stream of ${DOWNLOAD_BYTES} bytes had ${bytes}`);
      rates[name].push(bytes / 1e6 / ((performance.now() - started) / 1_000));
    }
  }
  return rates;
}

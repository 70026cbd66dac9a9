import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import {
  expectNoProcesses,
  freePort,
  freePortRange,
  killAtExit,
  programCommand,
  runCommand,
  startProgram,
  startTestQueen,
  temporaryDirectory,
  testEnvironment,
  until,
} from "@queen-and-hive/dev-env";
import { COMMAND_EXIT } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { ask, errorOf } from "./ask.ts";

/** Every key that a configuration file may have, as the design shows it. */
const EVERY_KEY = `
listen: [127.0.0.1:8080]
hive_listen: 10.0.0.1:8081
state_dir: ~/.local/state/queen
keys:
  - {name: webui, role: inference, key: "\${file:~/.config/queen/webui.key}", models: [chat], limits: {concurrent: 4, requests_per_min: 60}}
defaults: {hive: {identity_file: ~/.ssh/queen}, model: {idle_stop: off}}
hives:
  - {id: local, host: local}
  - id: gpu1
    host: ssh://me@gpu1:22
    identity_file: ~/.ssh/id_ed25519
    known_hosts: ~/.ssh/known_hosts
    transport: tunnel
    listen: 127.0.0.1:9200
    worker_ports: 17900-17999
    worker_host: 127.0.0.1
    state_dir: ~/.local/state/hive/gpu1
    install_dir: ~/.local/share/hive
    models_dir: /srv/models
    env: {HF_HOME: /data/hf, HF_TOKEN: "\${file:~/hf.token}"}
    runtimes: {vllm: {bin: /opt/vllm/bin/vllm}}
    devices: {use: [GPU-1a2b], keep_free: 2GiB}
    on_queen_exit: stop
    presence: always
    labels: {gpu: rtx4090}
models:
  - id: chat
    aliases: [gpt-4o]
    task: chat
    runtime: llama-server
    path: chat-q4.gguf
    files: {mmproj: mmproj.gguf}
    args: [-c, "32768"]
    env: {}
    slots: auto
    workers: {min: 0, max: 2}
    pin: false
    idle_stop: 30m
    place: {hives: [gpu1, gpu2], labels: {gpu: rtx4090}, devices: 1, memory: auto}
    start: {silence: 10m, total: 2h, warmup: true}
  - id: coder
    variants: [{runtime: vllm, path: Qwen3-Coder-30B-AWQ, place: {hives: [gpu2], devices: 2}}, {runtime: llama-server, path: coder-q6.gguf, weight: 0.3}]
upstreams:
  - {id: mac, url: "http://mac:11434/v1", models: {small: "qwen3:8b"}, presence: best_effort}
  - {id: cloud, url: "https://api.example/v1", key: "\${file:~/cloud.key}", models: {chat: big-model}, use: overflow}
runtimes:
  my-server:
    command: [/opt/my/server, --host, "{host}", --port, "{port}", --model, "{model_path}"]
    ready: {http: /health}
health: {interval: 30s, failures: 3, timeout: 5s, beat: 2s, suspect_grace: 10s, retry: 3s, replace_after: 5m}
restart: {first: 1s, factor: 2, max: 60s, jitter: 0.2, breaker: {restarts: 5, window: 5m, unready_in_a_row: 3}, retry_open_every: 5m}
queue: {max_waiting: 100, max_wait: 60s, load_wait: 30m}
stream: {commit_after: 5s, first_byte: 10m, idle: 5m, total: off, keep_alive: 10s}
limits: {body: 50MiB, headers: 16KiB, connections_per_ip: 200}
drain: 10m
shutdown: {budget: 30s, drain: 10s}
stop: {term: 8s, verify: 5s}
`;
const KEY = "a-key-for-the-webui";

test("a file with every key of the design is served, with one warning for each key that has no effect yet", async () => {
  await using home = await temporaryDirectory("qh-config");
  using _guard = killAtExit(home.path);
  await using _nothingLeft = { [Symbol.asyncDispose]: () => expectNoProcesses({ folder: home.path }) };
  const file = home.join("queen.yaml");
  const secrets = { ".config/queen/webui.key": KEY, "cloud.key": "a-key-for-the-cloud", "hf.token": "a-token-for-hf" };
  for (const [path, text] of Object.entries({ ...secrets, "queen.yaml": EVERY_KEY })) {
    mkdirSync(dirname(home.join(path)), { recursive: true });
    writeFileSync(home.join(path), text);
  }
  const listen = `127.0.0.1:${await freePort()}`;
  const env = testEnvironment(home.path, {
    QUEEN_LISTEN: listen,
    // The address of the example is of no interface here.
    QUEEN_HIVE_LISTEN: `127.0.0.1:${await freePort()}`,
    QUEEN_DEFAULTS__HIVE__LISTEN: `127.0.0.1:${await freePort()}`,
    QUEEN_DEFAULTS__HIVE__WORKER_PORTS: (await freePortRange(20)).text,
    QUEEN_SHUTDOWN__BUDGET: "10s",
  });
  const words = programCommand("queen");
  const checked = await runCommand([...words, "config", "check", "--config", file], { env, cwd: home.path });
  expect([checked.exitCode, checked.stderr.replaceAll(/^warning: .*\n/gm, "")]).toEqual([COMMAND_EXIT.done, ""]);
  const warnings = checked.stderr.split("\n").flatMap((line) => (line === "" ? [] : [line.slice("warning: ".length)]));
  const warnedOf = warnings.map((warning) => /^[^ :]+/.exec(warning)?.[0].split(/[.\]]/).at(-1) ?? "");
  for (const key of warnedOf) expect(EVERY_KEY).toMatch(new RegExp(`\\b${key}:`));
  expect(new Set(warnings).size).toBe(warnings.length);

  await using queen = await startProgram([...words, "serve", "--config", file], {
    env,
    cwd: home.path,
    logFile: home.join("log"),
  });
  const url = `http://${listen}`;
  await until(async () => queen.end() !== null || (await fetch(`${url}/readyz`)).ok, 30_000, "the queen to be ready").catch(
    (error: unknown) => {
      throw new Error(`${String(error)}\n${queen.output()}`);
    },
  );
  expect(queen.end(), queen.output()).toBeNull();
  for (const warning of warnings) expect(queen.output().split(JSON.stringify(warning).slice(1, -1))).toHaveLength(2);
  const list = { method: "GET", path: "/v1/models" };
  expect(errorOf((await ask(url, list)).text).code).toBe("unauthenticated");
  const models = await ask(url, { ...list, headers: { authorization: `Bearer ${KEY}` } });
  expect(JSON.parse(models.text).data).toMatchObject([{ id: "chat" }]);
  for (const secret of Object.values(secrets)) expect(queen.output()).not.toContain(secret);
  queen.send("SIGINT");
  await queen.ended(30_000);
}, 90_000);

test.each([
  ["an unknown key", "listn: [127.0.0.1:8080]\n", /queen\.yaml:1: .*listn.*listen/s],
  ["a bad value", "models:\n  - id: chat\n    runtime: embedded\n    slots: many\n", /queen\.yaml:4: models\[0\]\.slots/],
  ["no YAML", "models: [\n", /queen\.yaml/],
  ["an open door", "listen: ['0.0.0.0:8080']\n", /loopback/],
])("%s in the file is named with its place, exit code 78, and starts nothing", async (_what, text, said) => {
  await using queen = await startTestQueen({ start: false });
  writeFileSync(queen.configFile, text);
  for (const command of [["serve"], ["config", "check"], ["status"]]) {
    const result = await queen.command(command);
    expect([result.exitCode, result.stdout]).toEqual([COMMAND_EXIT.badConfiguration, ""]);
    expect(result.stderr).toMatch(said);
    expect(result.stderr).not.toMatch(/^\s+at /m);
  }
  await expectNoProcesses({ folder: queen.folder });
});

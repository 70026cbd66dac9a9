import { writeFileSync } from "node:fs";
import {
  programCommand,
  runCommand,
  startTestHive,
  temporaryDirectory,
  testEnvironment,
  writeStandInEngine,
} from "@queen-and-hive/dev-env";
import { type Capabilities, capabilitiesSchema, compileValidator, HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import { expect, it } from "vitest";

const validate = compileValidator<Capabilities>(capabilitiesSchema, "refuse");

it("hive doctor finds engines on the PATH and where the configuration says, with versions, and what is missing with advice", async () => {
  await using folder = await temporaryDirectory("qh-doctor");
  const llama = writeStandInEngine(folder.path, "llama-server");
  writeFileSync(
    folder.join("hive.yaml"),
    `models_dir: ${folder.path}\nruntimes:\n  vllm: {bin: ${folder.join("absent")}}\n  mine: {bin: ${llama}}\n`,
  );
  const env = testEnvironment(folder.path, { PATH: `${folder.path}:${process.env["PATH"] ?? ""}` });
  const command = [...programCommand("hive"), "doctor", "--config", folder.join("hive.yaml")];
  const json = await runCommand([...command, "--json"], { env, cwd: folder.path });
  expect(json.exitCode).toBe(0);
  const answer = validate(JSON.parse(json.stdout));
  if (!answer.ok) throw new Error(JSON.stringify(answer.problems));
  const found = Object.fromEntries(answer.value.runtimes.map((runtime) => [runtime.name, runtime]));
  expect(found["embedded"]).toMatchObject({ available: true });
  expect(found["llama-server"]).toMatchObject({ available: true, path: llama, version: "0.1.0-dev (build 1, commit 7e4c0a9)" });
  expect(found["vllm"]).toMatchObject({ available: false, reason: expect.stringContaining("change runtimes.vllm.bin") });
  expect(found["mine"]).toMatchObject({ available: true, path: llama });
  expect(answer.value.devices.length).toBeGreaterThan(0);
  expect(answer.value.disk_free_bytes).toBeGreaterThan(0);
  const text = await runCommand(command, { env, cwd: folder.path });
  expect(text.stdout).toMatch(/^DEVICE +NAME +MEMORY +FREE$/m);
  expect(text.stdout).toMatch(/^llama-server +yes +0\.1\.0-dev/m);
});

it("GET /v1/capabilities says the same of a running hive", async () => {
  await using hive = await startTestHive({ config: {} });
  const answer = await hive.peer.call(HIVE_ENDPOINTS.getCapabilities);
  expect(answer.runtimes.map(({ name }) => name)).toEqual(["embedded", "llama-server", "vllm", "sglang"]);
  expect(answer.devices.every(({ memory_total_bytes }) => memory_total_bytes === null || memory_total_bytes > 0)).toBe(true);
});

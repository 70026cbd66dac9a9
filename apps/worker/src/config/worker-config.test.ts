import { newWorkerId, WORKER_EXIT } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { StartFailure } from "../domain/start-failure.ts";
import { readWorkerConfig } from "./worker-config.ts";

const read = (env: Record<string, string>, args: string[] = [], cores = 8) => readWorkerConfig({ env, args, cores });

function failureOf(env: Record<string, string>, args: string[] = []): StartFailure {
  try {
    read(env, args);
  } catch (error) {
    if (error instanceof StartFailure) return error;
    throw error;
  }
  throw new Error("the configuration was accepted");
}

test("a hive's environment says everything", () => {
  const workerId = newWorkerId();
  const config = read({
    HIVE_WORKER_ID: workerId,
    HIVE_CALLBACK_URL: "http://127.0.0.1:9200/v1/workers/ready",
    HIVE_CALLBACK_TOKEN: "secret",
    HIVE_WORKER_KEY: "key",
    HIVE_MODEL: "chat",
    HIVE_MODEL_PATH: "/models/chat.gguf",
    HIVE_HOST: "127.0.0.1",
    HIVE_PORT: "17900",
    HIVE_SLOTS: "2",
  });
  expect(config).toMatchObject({
    modelId: "chat",
    modelPath: "/models/chat.gguf",
    port: 17900,
    slots: 2,
    key: "key",
    threads: 7,
  });
  expect(config.callback).toEqual({ workerId, address: "http://127.0.0.1:9200", token: "secret" });
});

test("by hand a model is enough, and nobody is called back", () => {
  const config = read({}, ["--model", "/m/tiny.gguf", "--port", "8000"], 1);
  expect(config).toMatchObject({
    modelId: "tiny",
    host: "127.0.0.1",
    port: 8000,
    slots: 4,
    threads: 1,
    key: null,
    callback: null,
  });
});

test("slots that are left to the engine are the default number", () => {
  expect(read({ HIVE_MODEL_PATH: "/m.gguf", HIVE_SLOTS: "auto" }).slots).toBe(4);
  expect(read({ HIVE_MODEL_PATH: "/m.gguf", HIVE_SLOTS: "" }).slots).toBe(4);
});

test("a callback may go through a Unix socket", () => {
  const env = { HIVE_MODEL_PATH: "/m.gguf", HIVE_WORKER_ID: newWorkerId(), HIVE_CALLBACK_TOKEN: "t" };
  for (const url of ["unix:/run/hive.sock", "unix:/run/hive.sock:/v1/workers/ready"]) {
    expect(read({ ...env, HIVE_CALLBACK_URL: url }).callback?.address).toBe("unix:/run/hive.sock");
  }
});

test.each([
  ["no model", {}, []],
  ["a port that is none", { HIVE_MODEL_PATH: "/m", HIVE_PORT: "70000" }, []],
  ["no slot", { HIVE_MODEL_PATH: "/m", HIVE_SLOTS: "0" }, []],
  ["an unknown flag", { HIVE_MODEL_PATH: "/m" }, ["--fast"]],
  ["an unknown log level", { HIVE_MODEL_PATH: "/m" }, ["--log-level", "loud"]],
  ["a duration that is none", { HIVE_MODEL_PATH: "/m" }, ["--max-wait", "soon"]],
  ["a callback without a token", { HIVE_MODEL_PATH: "/m", HIVE_CALLBACK_URL: "http://h:1", HIVE_WORKER_ID: newWorkerId() }, []],
  ["a callback without an id", { HIVE_MODEL_PATH: "/m", HIVE_CALLBACK_URL: "http://h:1", HIVE_CALLBACK_TOKEN: "t" }, []],
  ["a callback to nowhere", { HIVE_MODEL_PATH: "/m", HIVE_CALLBACK_URL: "ftp://h", HIVE_CALLBACK_TOKEN: "t" }, []],
])("%s is bad configuration", (_what, env, args) => {
  const failure = failureOf(env, args);
  expect(failure.exitCode).toBe(WORKER_EXIT.badConfiguration);
  expect(failure.message).toMatch(/^cannot start the worker: /);
});

import type { FromSchema } from "json-schema-to-ts";
import type { JsonSchema } from "../endpoint.ts";
import { RUNTIME_NAME_PATTERN, recipeParts } from "../messages/runtime-recipe.ts";
import { logSchema, restartSchema, stopSchema, value, workerHealthSchema } from "./common.ts";

const placeSchema = {
  type: "object",
  properties: {
    hives: { type: "array", items: value.hiveId },
    labels: value.stringMap,
    devices: { type: "integer", minimum: 0, maximum: 64 },
    memory: { anyOf: [value.size, { const: "auto" }] },
  },
  additionalProperties: false,
} as const;

const workersSchema = {
  type: "object",
  properties: {
    min: { type: "integer", minimum: 0 },
    max: { type: "integer", minimum: 1 },
    per_hive: { type: "integer", minimum: 1 },
  },
  additionalProperties: false,
} as const;

const startSchema = {
  type: "object",
  properties: { silence: value.duration, total: value.duration, warmup: { type: "boolean" } },
  additionalProperties: false,
} as const;

const modelProperties = {
  aliases: { type: "array", items: { type: "string", minLength: 1 } },
  task: { enum: ["chat", "completion", "embedding", "rerank", "transcription", "speech", "image"] },
  runtime: { type: "string", minLength: 1 },
  path: value.path,
  source: { type: "string", minLength: 1 },
  files: value.stringMap,
  args: { type: "array", items: { type: "string" } },
  env: value.stringMap,
  slots: { anyOf: [{ type: "integer", minimum: 1 }, { const: "auto" }] },
  workers: workersSchema,
  pin: { type: "boolean" },
  idle_stop: value.duration,
  place: placeSchema,
  start: startSchema,
} as const;

const hiveProperties = {
  identity_file: value.path,
  known_hosts: value.path,
  transport: { enum: ["tunnel", "direct"] },
  listen: value.listen,
  worker_ports: value.portRange,
  ports_per_worker: { type: "integer", minimum: 1, maximum: 16 },
  worker_host: { type: "string", minLength: 1 },
  state_dir: value.path,
  install_dir: value.path,
  models_dir: value.path,
  model_roots: { type: "array", items: value.path },
  env: value.stringMap,
  runtimes: {
    type: "object",
    additionalProperties: { type: "object", properties: { bin: value.path }, additionalProperties: false },
  },
  devices: {
    type: "object",
    properties: { use: { type: "array", items: { type: "string" } }, keep_free: value.size },
    additionalProperties: false,
  },
  on_queen_exit: { enum: ["stop", "keep"] },
  presence: { enum: ["always", "best_effort"] },
  labels: value.stringMap,
} as const;

/** The queen's configuration file (YAML), whole: what is not built yet is accepted with a warning that names it. */
export const queenConfigSchema = {
  type: "object",
  properties: {
    listen: { type: "array", minItems: 1, items: value.listen },
    hive_listen: value.listen,
    state_dir: value.path,
    keys: {
      type: "array",
      items: {
        type: "object",
        properties: {
          name: { type: "string", minLength: 1 },
          role: { enum: ["inference", "read", "operate", "admin"] },
          key: {
            type: "string",
            minLength: 8,
            description: "a key of at least 8 characters, or a reference to a file or an environment variable",
          },
          models: { type: "array", items: { type: "string" } },
          limits: {
            type: "object",
            properties: { concurrent: { type: "integer", minimum: 1 }, requests_per_min: { type: "integer", minimum: 1 } },
            additionalProperties: false,
          },
        },
        required: ["name", "role", "key"],
        additionalProperties: false,
      },
    },
    defaults: {
      type: "object",
      properties: {
        hive: { type: "object", properties: hiveProperties, additionalProperties: false },
        model: { type: "object", properties: modelProperties, additionalProperties: false },
      },
      additionalProperties: false,
    },
    hives: {
      type: "array",
      items: {
        type: "object",
        properties: {
          id: value.hiveId,
          host: { type: "string", minLength: 1, description: "local, ssh://user@host:port or an alias" },
          ...hiveProperties,
        },
        required: ["id"],
        additionalProperties: false,
      },
    },
    models: {
      type: "array",
      items: {
        type: "object",
        properties: {
          id: { type: "string", minLength: 1, maxLength: 256 },
          ...modelProperties,
          variants: {
            type: "array",
            items: {
              type: "object",
              properties: { ...modelProperties, weight: { type: "number", exclusiveMinimum: 0 } },
              additionalProperties: false,
            },
          },
        },
        required: ["id"],
        additionalProperties: false,
      },
    },
    upstreams: {
      type: "array",
      items: {
        type: "object",
        properties: {
          id: value.hiveId,
          url: { type: "string", pattern: "^https?://" },
          key: { type: "string", minLength: 1 },
          models: value.stringMap,
          presence: { enum: ["always", "best_effort"] },
          use: { enum: ["always", "overflow"] },
          slots: { type: "integer", minimum: 1, description: "requests at the same time, 32 when not given" },
        },
        required: ["id", "url", "models"],
        additionalProperties: false,
      },
    },
    runtimes: {
      type: "object",
      propertyNames: { pattern: RUNTIME_NAME_PATTERN },
      additionalProperties: {
        type: "object",
        properties: {
          extends: { type: "string", minLength: 1 },
          args: { type: "array", items: { type: "string" } },
          env: value.stringMap,
          ...recipeParts,
          stop: { type: "object", properties: { term: value.duration }, additionalProperties: false },
          routes: {
            type: "array",
            items: { type: "string", pattern: "^(/[A-Za-z0-9._~-]+)+$", description: "a path such as /v1/audio/speech" },
          },
          devices: { type: "integer", minimum: 0, maximum: 64 },
        },
        additionalProperties: false,
      },
    },
    health: {
      type: "object",
      properties: {
        interval: value.duration,
        failures: { type: "integer", minimum: 1 },
        timeout: value.duration,
        beat: value.duration,
        missed_beats: { type: "integer", minimum: 1 },
        suspect_grace: value.duration,
        retry: value.duration,
        replace_after: value.duration,
        mass_loss: {
          type: "object",
          properties: { hives: { type: "integer", minimum: 2 }, window: value.duration, hold: value.duration },
          additionalProperties: false,
        },
        start: value.duration,
        workers: workerHealthSchema,
      },
      additionalProperties: false,
    },
    restart: restartSchema,
    queue: {
      type: "object",
      properties: {
        max_waiting: { type: "integer", minimum: 0 },
        max_wait: value.duration,
        load_wait: value.duration,
        sessions_kept: { type: "integer", minimum: 0 },
      },
      additionalProperties: false,
    },
    eviction: {
      type: "object",
      properties: { min_resident: value.duration, turn: value.duration },
      additionalProperties: false,
    },
    stream: {
      type: "object",
      properties: {
        commit_after: value.duration,
        connect: value.duration,
        first_byte: value.duration,
        idle: value.duration,
        total: value.duration,
        keep_alive: value.duration,
      },
      additionalProperties: false,
    },
    retry: {
      type: "object",
      properties: { attempts: { type: "integer", minimum: 1 }, wait: value.duration },
      additionalProperties: false,
    },
    limits: {
      type: "object",
      properties: {
        body: value.size,
        bodies: value.size,
        headers: value.size,
        receive: value.duration,
        whole_answer: value.size,
        event: value.size,
        answers: value.size,
        connections_per_ip: { type: "integer", minimum: 1 },
      },
      additionalProperties: false,
    },
    log: logSchema,
    drain: value.duration,
    shutdown: { type: "object", properties: { budget: value.duration, drain: value.duration }, additionalProperties: false },
    stop: stopSchema,
    preflight: {
      type: "object",
      description: "the look at a host before the first start of its hive, and by queen doctor",
      properties: {
        deadline: value.duration,
        program: { ...value.duration, description: "how long each program that is asked something there may take" },
        clock_skew: value.duration,
        disk_free: value.size,
        memory_free: value.size,
      },
      additionalProperties: false,
    },
    ssh: {
      type: "object",
      description: "connections to hosts that are reached over SSH",
      properties: {
        connect: { ...value.duration, description: "how long one attempt may take, from the first packet to the log-in" },
        keep_alive: { ...value.duration, description: "how often a connection is asked whether it still lives" },
        keep_alives_missed: { type: "integer", minimum: 1, description: "after so many silences it is lost" },
        forward: { ...value.duration, description: "how long opening a connection to a daemon through a tunnel may take" },
        way_back: { ...value.duration, description: "how long opening the way back for a hive's callbacks may take" },
        reconnect_first: { ...value.duration, description: "the pause after the first attempt that failed; it doubles" },
        reconnect_max: { ...value.duration, description: "the longest pause between attempts" },
        sessions: { type: "integer", minimum: 1, description: "commands of one connection at the same time; OpenSSH allows 10" },
      },
      additionalProperties: false,
    },
    install: {
      type: "object",
      description: "how the hive's executable comes to hosts with an install_dir",
      properties: {
        from: { ...value.path, description: "directory with hive-linux-<arch>; the checkout's dist when absent" },
        upload: { ...value.duration, description: "how long an upload may take" },
        keep: { type: "integer", minimum: 2, description: "how many versions stay on a host" },
      },
      additionalProperties: false,
    },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;
export type QueenConfigInput = FromSchema<typeof queenConfigSchema>;

import type { FromSchema } from "json-schema-to-ts";
import type { JsonSchema } from "../endpoint.ts";
import { EXIT_CAUSES } from "./worker-record.ts";

const path = { type: "string", pattern: "^/", maxLength: 1024 } as const;
const words = { type: "array", maxItems: 256, items: { type: "string", maxLength: 8192 } } as const;
const flags = { type: "array", minItems: 1, maxItems: 16, items: { type: "string", minLength: 1, maxLength: 128 } } as const;
const tokens = { type: "integer", minimum: 1 } as const;

/** How a worker of a runtime says that it can serve. Exactly one source counts; `callback` is the default. */
export const readySourceSchema = {
  type: "object",
  properties: {
    callback: { type: "boolean" },
    /** Path on the worker's own port that answers 200 once it can serve. */
    http: { type: "string", pattern: "^/" },
    /** Regular expression that a line of the worker's output matches. */
    log: { type: "string", minLength: 1, maxLength: 1024 },
  },
  additionalProperties: false,
} as const satisfies JsonSchema;
export type ReadySource = FromSchema<typeof readySourceSchema>;

/** What a recipe says in a configuration file and in a message alike. */
export const recipeParts = {
  command: { ...words, minItems: 1 },
  ready: readySourceSchema,
  /** A path that answers 200 for as long as a ready worker serves. */
  check: { type: "object", properties: { http: path }, additionalProperties: false },
  /** Words that are added to the command for a further file of the model (`files:`), by its name; `{file}` is its path. */
  files: { type: "object", maxProperties: 32, additionalProperties: words },
  /** The variable in which the server looks for the key that its callers must bring. */
  key_env: { type: "string", pattern: "^[A-Za-z_][A-Za-z0-9_]{0,127}$" },
  /**
   * How many requests the server takes at a time, for `slots: auto`: what `http` answers in the first of `fields` (dots
   * lead inwards) that is a number, else what one of `flags` says, else `assumed`.
   */
  slots: {
    type: "object",
    properties: {
      http: path,
      fields: { type: "array", minItems: 1, maxItems: 16, items: { type: "string", minLength: 1, maxLength: 256 } },
      flags,
      assumed: { type: "integer", minimum: 1, maximum: 65_536 },
    },
    additionalProperties: false,
  },
  /** What its exit codes and the lines of its output mean, looked at before what all servers have in common. */
  causes: {
    type: "array",
    maxItems: 64,
    items: {
      type: "object",
      properties: {
        line: { type: "string", minLength: 1, maxLength: 1024 },
        exit_code: { type: "integer", minimum: 1, maximum: 255 },
        cause: { enum: EXIT_CAUSES },
      },
      required: ["cause"],
      additionalProperties: false,
    },
  },
  /**
   * How much memory it needs on its devices. `gguf`: weights and context of its model file; the context is what one of
   * `context_flags` says, else `context`, once per slot when `per_slot`. `share`: this part of each whole device.
   */
  memory: {
    type: "object",
    properties: {
      gguf: {
        type: "object",
        properties: {
          context_flags: flags,
          context: tokens,
          per_slot: { type: "boolean" },
          slots: tokens,
          gpu_layers_flags: flags,
          key_type_flags: flags,
          value_type_flags: flags,
        },
        additionalProperties: false,
      },
      share: {
        type: "object",
        properties: { flags, assumed: { type: "number", exclusiveMinimum: 0, maximum: 1 } },
        required: ["assumed"],
        additionalProperties: false,
      },
    },
    additionalProperties: false,
  },
} as const satisfies Record<string, JsonSchema>;

/** The name of a runtime. */
export const RUNTIME_NAME_PATTERN = "^[a-z0-9][a-z0-9._-]{0,62}$";

/** A recipe for a kind of worker, resolved by the queen. `embedded` has no command: the hive brings it. */
export const runtimeRecipeSchema = {
  type: "object",
  properties: {
    name: { type: "string", pattern: RUNTIME_NAME_PATTERN },
    /** The runtimes that it varies, nearest first: a host's program for one of them is its program too. */
    extends: { type: "array", maxItems: 16, items: { type: "string", pattern: RUNTIME_NAME_PATTERN } },
    ...recipeParts,
    stop: {
      type: "object",
      properties: { term_s: { type: ["number", "null"], exclusiveMinimum: 0 } },
      additionalProperties: false,
    },
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies JsonSchema;
export type RuntimeRecipe = FromSchema<typeof runtimeRecipeSchema>;

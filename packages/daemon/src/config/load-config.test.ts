import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  HIVE_CONFIG_DEFAULTS,
  hiveConfigSchema,
  type JsonSchema,
  QhError,
  QUEEN_CONFIG_DEFAULTS,
  queenConfigSchema,
} from "@queen-and-hive/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type LoadConfigOptions, loadConfig } from "./load-config.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "qh-config-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const schema: JsonSchema = {
  type: "object",
  properties: {
    listen: { type: "array", items: { type: "string", pattern: "^.+:[0-9]+$", description: "host:port" } },
    name: { type: "string" },
    health: {
      type: "object",
      properties: {
        interval: { type: "string", pattern: "^[0-9]+s$", description: "a duration such as 10s" },
        failures: { type: "integer" },
      },
      additionalProperties: false,
    },
    slots: { anyOf: [{ type: "integer" }, { const: "auto" }] },
    pin: { type: "boolean" },
    env: { type: "object", additionalProperties: { type: "string" } },
    keys: {
      type: "array",
      items: {
        type: "object",
        properties: { name: { type: "string" }, key: { type: "string", minLength: 8 } },
        required: ["name"],
        additionalProperties: false,
      },
    },
  },
  additionalProperties: false,
};
const defaults = { listen: ["127.0.0.1:1"], health: { interval: "30s", failures: 3 }, env: {}, name: "default" };

function file(text: string): string {
  const path = join(dir, "queen.yaml");
  writeFileSync(path, text);
  return path;
}

function load(options: Partial<LoadConfigOptions<Record<string, unknown>>> = {}) {
  return loadConfig<Record<string, unknown>>({
    schema,
    file: null,
    envPrefix: "QUEEN_",
    env: {},
    flags: {},
    defaults,
    ...options,
  });
}

function messageOf(options: Partial<LoadConfigOptions<Record<string, unknown>>>): string {
  try {
    load(options);
  } catch (error) {
    if (error instanceof QhError && error.kind === "invalid_config") return error.message.replaceAll(`${dir}/`, "");
    throw error;
  }
  throw new Error("the configuration was accepted");
}

describe("precedence", () => {
  const yaml = "name: from file\nhealth: {interval: 20s}\n";
  const env = { QUEEN_NAME: "from environment", OTHER: "x" };

  it("is flags over environment over file over defaults, and each value knows its origin", () => {
    const path = file(yaml);
    const names = [
      load(),
      load({ file: path }),
      load({ file: path, env }),
      load({ file: path, env, flags: { name: "from flag" } }),
      load({ file: path, env, flags: { name: undefined } }),
    ].map(({ value, origins }) => [value["name"], origins.get("name")]);
    expect(names).toEqual([
      ["default", "default"],
      ["from file", "file"],
      ["from environment", "environment"],
      ["from flag", "flag"],
      ["from environment", "environment"],
    ]);
  });

  it("merges maps key by key and replaces lists", () => {
    const { value, origins } = load({ file: file(`${yaml}listen: [a:1, b:2]\n`), env: { QUEEN_HEALTH__FAILURES: "5" } });
    expect(value["health"]).toEqual({ interval: "20s", failures: 5 });
    expect(value["listen"]).toEqual(["a:1", "b:2"]);
    expect([...origins]).toEqual(
      expect.arrayContaining([
        ["health.interval", "file"],
        ["health.failures", "environment"],
        ["listen", "file"],
      ]),
    );
  });

  it("reads text from environment and flags as the schema asks", () => {
    const env = {
      QUEEN_LISTEN: "a:1, b:2",
      QUEEN_PIN: "true",
      QUEEN_SLOTS: "auto",
      QUEEN_ENV__HF_HOME: "/data",
      QUEEN_NAME: "12",
    };
    const flags = { keys: '[{"name": "webui"}]', "health.interval": "5s" };
    expect(load({ env, flags }).value).toEqual({
      listen: ["a:1", "b:2"],
      pin: true,
      slots: "auto",
      env: { HF_HOME: "/data" },
      name: "12",
      keys: [{ name: "webui" }],
      health: { interval: "5s", failures: 3 },
    });
    expect(load({ env: { QUEEN_LISTEN: "[c:3]" } }).value["listen"]).toEqual(["c:3"]);
  });

  it("leaves variables that are no key of ours alone, and warns of those that look like one", () => {
    const { warnings } = load({ env: { QUEEN_KEY: "s3cret", QUEEN_SERVICE_HOST: "10.0.0.1", QUEEN_LISTN: "x:1" } });
    expect(warnings).toContain("the environment variable QUEEN_LISTN is not used; did you mean QUEEN_LISTEN?");
    expect(warnings.join()).not.toContain("s3cret");
  });
});

describe("a mistake in a file", () => {
  it.each([
    [
      "an unknown key",
      "name: x\nhealth:\n  intervall: 5s\n",
      "queen.yaml:3: health.intervall: unknown key; did you mean interval?",
    ],
    [
      "an unknown key far from all",
      "name: x\nwombat: 1\n",
      /^cannot use the configuration: queen.yaml:2: wombat: unknown key; known here: listen, name/,
    ],
    ["a bad value", "\nhealth:\n  interval: 5\n", "queen.yaml:3: health.interval: expected a duration such as 10s, got 5"],
    ["a bad text", "health: {interval: soon}\n", 'queen.yaml:1: health.interval: expected a duration such as 10s, got "soon"'],
    ["a bad list item", "listen:\n  - a:1\n  - b\n", 'queen.yaml:3: listen[1]: expected host:port, got "b"'],
    ["a missing key", "name: x\nkeys:\n  - name: a\n  - key: 12345678\n", /queen.yaml:4: keys\[1\]: must have the field "name"/],
    ["a map where a list is due", "listen: {a: 1}\n", /queen.yaml:1: listen: must be array/],
    ["an empty value", "name:\n", "queen.yaml:1: name: must be string, got null"],
    ["a __proto__ key", "env: {}\n__proto__: {polluted: 1}\n", /queen.yaml:2: __proto__: unknown key/],
    ["a __proto__ key in a free map", "env:\n  __proto__: x\n", /queen.yaml:2: env.__proto__: unknown key/],
  ])("such as %s is named with file, line, key and what was expected", (_what, yaml, expected) => {
    const message = messageOf({ file: file(yaml) });
    if (typeof expected === "string") expect(message).toBe(`cannot use the configuration: ${expected}`);
    else expect(message).toMatch(expected);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  it("such as a key that is there twice is refused", () => {
    expect(messageOf({ file: file("name: a\nhealth: {}\nname: b\n") })).toBe(
      "cannot read queen.yaml:3: this key is there twice; remove one of them",
    );
  });

  it("such as broken YAML is named with its line", () => {
    expect(messageOf({ file: file("name: x\nlisten: [a:1\n") })).toMatch(/^cannot read queen.yaml:\d: /);
  });

  it("such as a list instead of keys is refused", () => {
    expect(messageOf({ file: file("- a\n") })).toBe("cannot use queen.yaml:1: expected keys with values, got a list");
  });

  it("never shows a text that may be a secret", () => {
    const message = messageOf({ file: file("keys:\n  - {name: a, key: s3cret}\n") });
    expect(message).toMatch(/queen.yaml:2: keys\[0\].key: must NOT have fewer than 8 characters, got a text/);
    expect(message).not.toContain("s3cret");
  });

  it("does not hide the others", () => {
    const message = messageOf({ file: file("nam: x\nhealth: {interval: 5}\n") });
    expect(message.split("\n")).toEqual([
      "cannot use the configuration:",
      "  queen.yaml:1: nam: unknown key; did you mean name?",
      "  queen.yaml:2: health.interval: expected a duration such as 10s, got 5",
    ]);
  });
});

describe("a mistake elsewhere", () => {
  it("names the environment variable", () => {
    expect(messageOf({ env: { QUEEN_HEALTH__INTERVAL: "soon" } })).toBe(
      'cannot use the configuration: the environment variable QUEEN_HEALTH__INTERVAL: health.interval: expected a duration such as 10s, got "soon"',
    );
    expect(messageOf({ env: { QUEEN_HEALTH__INTERVALL: "5s" } })).toMatch(
      /QUEEN_HEALTH__INTERVALL: health.intervall: unknown key; did you mean interval/,
    );
  });

  it("names the command line", () => {
    expect(messageOf({ flags: { "health.failures": "many" } })).toBe(
      "cannot use the configuration: the command line: health.failures: must be integer, got a text",
    );
  });

  it("names a file that is not there", () => {
    expect(messageOf({ file: join(dir, "none.yaml") })).toBe(
      "cannot read the configuration file none.yaml: there is no such file",
    );
  });
});

describe("the real schemas", () => {
  it("take the defaults and a file that is empty", () => {
    const path = file("# nothing yet\n");
    const queen = loadConfig<unknown>({
      schema: queenConfigSchema,
      file: path,
      envPrefix: "QUEEN_",
      env: {},
      flags: {},
      defaults: QUEEN_CONFIG_DEFAULTS,
    });
    const hive = loadConfig<unknown>({
      schema: hiveConfigSchema,
      file: path,
      envPrefix: "HIVE_",
      env: {},
      flags: {},
      defaults: HIVE_CONFIG_DEFAULTS,
    });
    expect([queen.value, hive.value]).toEqual([QUEEN_CONFIG_DEFAULTS, HIVE_CONFIG_DEFAULTS]);
  });

  it("say what a duration looks like", () => {
    const options = { schema: queenConfigSchema, file: file("health:\n  interval: 30\n"), defaults: QUEEN_CONFIG_DEFAULTS };
    expect(messageOf(options)).toBe(
      "cannot use the configuration: queen.yaml:2: health.interval: expected a duration such as 500ms, 10s, 5m, 2h, 1d or off, got 30",
    );
  });
});

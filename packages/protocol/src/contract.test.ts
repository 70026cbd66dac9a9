import { Ajv } from "ajv";
import { describe, expect, it } from "vitest";
import { FIXTURES } from "../fixtures/index.ts";
import * as protocol from "./index.ts";

const asSent = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe.each(Object.entries(FIXTURES))("the message %s", (_name, fixtures) => {
  const strict = protocol.compileValidator(fixtures.schema, "refuse");
  const lenient = protocol.compileValidator(fixtures.schema, "ignore");

  it.each(fixtures.valid.map((value, index) => [index, value]))("accepts its valid example %i", (_index, value) => {
    expect(strict(asSent(value))).toMatchObject({ ok: true, unknownFieldCount: 0 });
  });

  it.each(fixtures.invalid)("refuses $why and says where", ({ at, value }) => {
    const checked = strict(asSent(value));
    expect(checked.ok).toBe(false);
    if (!checked.ok) expect(checked.problems.map((problem) => problem.path)).toContain(at);
  });

  it("ignores and counts a field that a newer peer sends, without touching what was received", () => {
    if (fixtures.schema["additionalProperties"] !== false) return;
    const received = { ...(asSent(fixtures.valid[0]) as object), from_the_future: 1 };
    const checked = lenient(received);
    expect(checked).toMatchObject({ ok: true, unknownFieldCount: 1 });
    if (checked.ok) expect(checked.value).not.toHaveProperty("from_the_future");
    expect(received).toHaveProperty("from_the_future", 1);
    expect(strict(received).ok).toBe(false);
  });
});

it("has fixtures for every exported message schema", () => {
  const partOfMessages = ["readySource", "runtimeRecipe", "restartPolicy", "workerSpec", "workerExit"];
  const schemas = Object.keys(protocol)
    .filter((name) => name.endsWith("Schema"))
    .map((name) => name.slice(0, -"Schema".length))
    .filter((name) => !partOfMessages.includes(name));
  expect(schemas.sort()).toEqual(Object.keys(FIXTURES).sort());
});

describe("the endpoint tables", () => {
  const rows = [
    ...Object.entries(protocol.HIVE_ENDPOINTS).map(([name, row]) => ["hive", name, row] as const),
    ...Object.entries(protocol.QUEEN_ENDPOINTS).map(([name, row]) => ["queen", name, row] as const),
  ];

  it("give every method and path to one endpoint only", () => {
    const keys = rows.map(([side, , row]) => `${side} ${row.method} ${row.path}`);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it("describe every JSON answer by a schema", () => {
    const missing = rows.filter(([, , row]) => row.form === "json" && !("response" in row));
    expect(missing).toEqual([]);
  });

  it("let nobody unauthenticated change anything", () => {
    const open = rows.filter(([, , row]) => row.caller === "anyone" && row.method !== "GET");
    expect(open).toEqual([]);
  });
});

it("writes every schema in JSON Schema, which no program of ours checks again when it starts", () => {
  const ofRows = [...Object.values(protocol.HIVE_ENDPOINTS), ...Object.values(protocol.QUEEN_ENDPOINTS)].flatMap((row) =>
    ["request", "query", "response"].flatMap((part): unknown => Reflect.get(row, part) ?? []),
  );
  const ofMessages = Object.values(FIXTURES).map(({ schema }): unknown => schema);
  const ajv = new Ajv();
  expect(ajv.validateSchema({ type: "no such type" })).toBe(false);
  for (const schema of [...ofRows, ...ofMessages]) {
    expect(typeof schema === "object" && schema !== null && ajv.validateSchema(schema), JSON.stringify(schema)).toBe(true);
  }
});

it("accepts its own defaults as configuration", () => {
  const queen = protocol.compileValidator(protocol.queenConfigSchema, "refuse")(asSent(protocol.QUEEN_CONFIG_DEFAULTS));
  const hive = protocol.compileValidator(protocol.hiveConfigSchema, "refuse")(asSent(protocol.HIVE_CONFIG_DEFAULTS));
  expect([queen.ok, hive.ok]).toEqual([true, true]);
});

it("never lets a __proto__ key through a closed message into an object of ours", () => {
  const body: unknown = JSON.parse('{"applied": true, "__proto__": {"polluted": true}}');
  const checked = protocol.compileValidator(protocol.callbackAnswerSchema, "ignore")(body);
  expect(checked.ok).toBe(true);
  if (checked.ok) expect(Object.getOwnPropertyNames(checked.value)).toEqual(["applied"]);
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
});

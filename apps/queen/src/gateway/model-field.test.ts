import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { replaceModel } from "./model-field.ts";

describe("replaceModel", () => {
  it("changes the model and not one other character", () => {
    expect(replaceModel('{ "a" :1e400,\n"model" : "gpt-4o", "seed":12345678901234567890 }', "chat")).toBe(
      '{ "a" :1e400,\n"model" : "chat", "seed":12345678901234567890 }',
    );
    expect(replaceModel('{"__proto__":{"model":"x"},"model":"y"}', "z")).toBe('{"__proto__":{"model":"x"},"model":"z"}');
  });

  it("finds an escaped key, a value with quotes and every one of several", () => {
    expect(replaceModel('{"mod\\u0065l":"a\\"b","x":["model","q"],"model":"c"}', "d")).toBe(
      '{"mod\\u0065l":"d","x":["model","q"],"model":"d"}',
    );
    expect(replaceModel('{"x":"model","model":"c"}', 'quo"te')).toBe('{"x":"model","model":"quo\\"te"}');
  });

  it("leaves every other field of any object as it was", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.string(),
        fc.integer({ min: 0, max: 2 }),
        (object, model, indent) => {
          const text = JSON.stringify({ ...object, model: "alias" }, null, indent);
          expect(JSON.parse(replaceModel(text, model))).toEqual(JSON.parse(JSON.stringify({ ...object, model })));
        },
      ),
    );
  });
});

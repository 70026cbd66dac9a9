import { QhError } from "@queen-and-hive/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BodyFields, JSON_DEPTH_MAX, JsonScanner } from "./json-scanner.ts";

function scan(text: string | Uint8Array, sizes: readonly number[] = []): BodyFields {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const scanner = new JsonScanner();
  let position = 0;
  for (let turn = 0; position < bytes.length; turn += 1) {
    const size = sizes[turn % Math.max(1, sizes.length)] ?? bytes.length;
    scanner.take(bytes.subarray(position, position + size));
    position += size;
  }
  return scanner.end();
}

function kindOf(text: string | Uint8Array, sizes?: readonly number[]): string {
  try {
    scan(text, sizes);
    return "ok";
  } catch (error) {
    return error instanceof QhError ? error.kind : String(error);
  }
}

function parsed(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return "invalid_body";
    // Damage may spell a model in other letters.
    return Object.keys(value).some((name) => name !== "model" && /^model$/i.test(name)) ? "invalid_body" : "ok";
  } catch {
    return "malformed_json";
  }
}

const spansOf = (text: string): readonly string[] => {
  const bytes = new TextEncoder().encode(text);
  return scan(text).modelSpans.map(({ start, end }) => new TextDecoder().decode(bytes.subarray(start, end)));
};

describe("JsonScanner", () => {
  it("finds the outermost model and stream, however they are written, and nothing that only looks like them", () => {
    expect(scan('{"model":"chat","stream":true}')).toMatchObject({ model: "chat", wantsStream: true });
    expect(scan('{ "mod\\u0065l" : "m\\u00f6del ü" , "stream" : false }')).toMatchObject({
      model: "mödel ü",
      wantsStream: false,
    });
    expect(scan('{"model":"a\\/\\"b\\\\"}')).toMatchObject({ model: 'a/"b\\' });
    const decoy = '{"messages":[{"model":"inner","stream":true},"\\"model\\":\\"x\\""],"x":{"model":1},"model":"outer"}';
    expect(scan(decoy)).toMatchObject({ model: "outer", wantsStream: false });
    expect(spansOf(decoy)).toEqual(['"outer"']);
    expect(scan('{"stream":"true","model":7}')).toMatchObject({ model: null, wantsStream: false });
  });

  it("refuses a model under a name that some engines take for it: who checks and who serves must mean the same", () => {
    for (const name of ["MODEL", "Model", "mODel", "\\u004dodel"]) {
      expect(kindOf(`{"model":"small","${name}":"big"}`)).toBe("invalid_body");
      expect(kindOf(`{"${name}":7,"model":"small"}`, [1])).toBe("invalid_body");
      expect(() => scan(`{"${name}":"big"}`)).toThrow(/spell it model$/);
    }
    const others = '{"model":"small","models":"big","x":{"MODEL":"big"},"STREAM":true,"MODEL ":1}';
    expect(scan(others)).toMatchObject({ model: "small", wantsStream: false });
  });

  it("believes the last of two, as JSON.parse does, and knows where both stand", () => {
    expect(scan('{"model":"a","model":"b","stream":true,"stream":null}')).toMatchObject({ model: "b", wantsStream: false });
    expect(spansOf('{"model":"a","x":[1],"model":"b\\n"}')).toEqual(['"a"', '"b\\n"']);
    expect(scan('{"model":"a","model":{"x":"y"}}').model).toBeNull();
  });

  it("accepts and refuses what JSON.parse does, but for a model in other letters, wherever the text is cut into chunks", () => {
    const json = fc.json({ maxDepth: 4 });
    const object = fc.dictionary(fc.constantFrom("model", "stream", "a", "ü"), fc.jsonValue({ maxDepth: 2 }));
    const damaged = fc
      .tuple(
        fc.oneof(
          json,
          object.map((value) => JSON.stringify(value, null, 1)),
        ),
        fc.nat(),
        fc.constantFrom("", ...'{}[]",:\\0-.eEtx \n\u0001'),
      )
      .map(([text, at, put]) => text.slice(0, at % (text.length + 1)) + put + text.slice((at % (text.length + 1)) + 1));
    const sizes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.oneof(json, damaged), sizes, (text, cuts) => {
        expect(kindOf(text, cuts)).toBe(parsed(text));
      }),
      { numRuns: 2_000 },
    );
  });

  it("takes what stands behind a backslash as JSON.parse does, in strings that it needs and in others", () => {
    const behind = [...Array(0x80).keys()].map((code) => String.fromCharCode(code));
    for (const rest of [...behind, "u00e9", "u00E9", "u00g9", "u00", "\\\\", '\\"']) {
      for (const text of [`{"a":"x\\${rest}"}`, `{"a":["\\${rest}y"]}`, `{"model":"\\${rest}y"}`]) {
        expect([text, kindOf(text)]).toEqual([text, parsed(text)]);
        expect([text, kindOf(text, [1])]).toEqual([text, parsed(text)]);
      }
    }
  });

  it("finds the same model as JSON.parse in any object", () => {
    const object = fc.dictionary(fc.constantFrom("model", "stream", "messages"), fc.jsonValue({ maxDepth: 2 }));
    fc.assert(
      fc.property(object, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }), (value, cuts) => {
        const { model, wantsStream } = scan(JSON.stringify(value), cuts);
        expect(model).toBe(typeof value["model"] === "string" ? value["model"] : null);
        expect(wantsStream).toBe(value["stream"] === true);
      }),
    );
  });

  it("refuses what is not UTF-8, also when a character is cut by the end or by a chunk", () => {
    const withBytes = (...bytes: number[]) => Uint8Array.from([...Buffer.from('{"a":"'), ...bytes, ...Buffer.from('"}')]);
    expect(kindOf(withBytes(0xc3, 0xa4), [1])).toBe("ok");
    expect(kindOf(withBytes(0xc3))).toBe("malformed_json");
    expect(kindOf(withBytes(0xff))).toBe("malformed_json");
    expect(kindOf(withBytes(0xed, 0xa0, 0x80))).toBe("malformed_json");
  });

  it("takes 1,000 levels and has a bound for more", () => {
    const nested = (levels: number): string => `{"a":${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}}`;
    expect(kindOf(nested(1_000))).toBe("ok");
    expect(kindOf(nested(JSON_DEPTH_MAX))).toBe("ok");
    expect(kindOf(nested(JSON_DEPTH_MAX + 1))).toBe("malformed_json");
  });
});

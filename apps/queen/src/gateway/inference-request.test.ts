import { QhError } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { parseInferenceRequest } from "./inference-request.ts";
import { type AllowedModels, ModelCatalog } from "./model-names.ts";

const catalog = new ModelCatalog([
  { id: "chat", aliases: ["gpt-4o"] },
  { id: "coder", aliases: [] },
]);
const parse = (text: string, allowed: AllowedModels = "all") => parseInferenceRequest(Buffer.from(text), catalog, allowed);

function kindOf(run: () => unknown): string {
  try {
    run();
    return "none";
  } catch (error) {
    return error instanceof QhError ? error.kind : String(error);
  }
}

describe("parseInferenceRequest", () => {
  it("passes the client's bytes on as they are, also numbers that JavaScript cannot hold and __proto__", () => {
    const text = '{"model":"chat","seed":12345678901234567890,"__proto__":{"stream":true}}';
    const request = parse(text);
    expect(Buffer.from(request.body).toString()).toBe(text);
    expect(request).toMatchObject({ modelId: "chat", wantsStream: false });
    expect(Reflect.get({}, "stream")).toBeUndefined();
  });

  it("replaces an alias by the model's id", () => {
    expect(Buffer.from(parse('{"stream":true, "model":"gpt-4o"}').body).toString()).toBe('{"stream":true, "model":"chat"}');
  });

  it("says what is wrong with a body", () => {
    expect(kindOf(() => parse('{"model":"chat"'))).toBe("malformed_json");
    expect(kindOf(() => parse(""))).toBe("malformed_json");
    expect(kindOf(() => parseInferenceRequest(Buffer.from([0x7b, 0xff, 0x7d]), catalog, "all"))).toBe("malformed_json");
    for (const text of ["[]", "null", '"chat"', "3"]) expect(kindOf(() => parse(text))).toBe("invalid_body");
    for (const text of ["{}", '{"model":""}', '{"model":["chat"]}', '{"__proto__":{"model":"chat"}}']) {
      expect(kindOf(() => parse(text))).toBe("model_required");
    }
  });

  it("names the models that this key may use, and hides the others", () => {
    expect(() => parse('{"model":"nope"}')).toThrow(/use one of: chat, coder$/);
    expect(() => parse('{"model":"coder"}', ["chat"])).toThrow(/use one of: chat$/);
    expect(kindOf(() => parse('{"model":"constructor"}'))).toBe("model_not_found");
    expect(parse('{"model":"gpt-4o"}', ["chat"]).modelId).toBe("chat");
  });
});

import { QhError } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { JsonScanner } from "../domain/json-scanner.ts";
import { toInferenceRequest } from "./inference-request.ts";
import { type AllowedModels, ModelCatalog } from "./model-names.ts";
import { GATEWAY_ROUTES, type GatewayRoute } from "./routes.ts";

const catalog = new ModelCatalog([
  { id: "chat", aliases: ["gpt-4o"], task: "chat", routes: ["/tokenize"] },
  { id: "coder", aliases: [], task: null, routes: [] },
  { id: "vectors", aliases: [], task: "embedding", routes: [] },
]);
const chat: GatewayRoute = GATEWAY_ROUTES.postChatCompletions;

function parse(text: string | Buffer, allowed: AllowedModels = "all", route = chat, chunkBytes = 1_000) {
  const body = Buffer.from(text);
  const chunks: Buffer[] = [];
  for (let at = 0; at < body.length; at += chunkBytes) chunks.push(body.subarray(at, at + chunkBytes));
  const scanner = new JsonScanner();
  for (const chunk of chunks) scanner.take(chunk);
  return toInferenceRequest(chunks, scanner.end(), { catalog, allowed, route });
}

function sent(text: string, engineModel: string, chunkBytes?: number): string {
  const { chunks, bytes } = parse(text, "all", chat, chunkBytes).bodyFor(engineModel);
  const body = Buffer.concat(chunks);
  expect(body.length).toBe(bytes);
  return body.toString();
}

function kindOf(run: () => unknown): string {
  try {
    run();
    return "none";
  } catch (error) {
    return error instanceof QhError ? error.kind : String(error);
  }
}

describe("an inference request", () => {
  it("passes the client's bytes on as they are, also numbers that JavaScript cannot hold and __proto__", () => {
    const text = '{"model":"chat","seed":12345678901234567890,"__proto__":{"stream":true}}';
    const request = parse(text);
    expect(sent(text, "chat")).toBe(text);
    expect(request).toMatchObject({ modelId: "chat", wantsStream: false });
    expect(Reflect.get({}, "stream")).toBeUndefined();
  });

  it("puts the engine's name in the place of the client's, and leaves every other byte alone", () => {
    expect(sent('{"stream":true, "model":"gpt-4o"}', "chat")).toBe('{"stream":true, "model":"chat"}');
    const text = '{"messages":[{"model":"chat"},"a \\"model\\":\\"chat\\" ä"],"n":1e400,"model" : "gpt-4o" ,"x":1}';
    for (const chunkBytes of [1, 2, 3, 7, 50, 1_000]) {
      expect(sent(text, 'qwen3:8b"', chunkBytes)).toBe(text.replace('"gpt-4o"', '"qwen3:8b\\""'));
    }
  });

  it("leaves no second name for the engine to believe", () => {
    expect(sent('{"model":"secret","model":"chat"}', "chat")).toBe('{"model":"chat","model":"chat"}');
  });

  it("does not copy a large body", () => {
    const request = parse(`{"model":"gpt-4o","image":"${"A".repeat(100_000)}"}`, "all", chat, 65_536);
    const [, , rest] = request.bodyFor("chat").chunks;
    const again = request.bodyFor("chat").chunks[2];
    expect(rest?.buffer).toBe(again?.buffer);
  });

  it("is refused when the model is for something else", () => {
    expect(kindOf(() => parse('{"model":"vectors"}'))).toBe("task_mismatch");
    expect(() => parse('{"model":"vectors"}')).toThrow(/it is for the task embedding, this route needs chat$/);
    expect(kindOf(() => parse('{"model":"gpt-4o"}', "all", GATEWAY_ROUTES.postEmbeddings))).toBe("task_mismatch");
    expect(kindOf(() => parse('{"model":"coder"}', "all", GATEWAY_ROUTES.postEmbeddings))).toBe("none");
    expect(kindOf(() => parse('{"model":"vectors"}', "all", GATEWAY_ROUTES.postRerank))).toBe("none");
  });

  it("says what is wrong with a body", () => {
    expect(kindOf(() => parse('{"model":"chat"'))).toBe("malformed_json");
    expect(kindOf(() => parse(""))).toBe("malformed_json");
    expect(kindOf(() => parse(Buffer.from([0x7b, 0xff, 0x7d])))).toBe("malformed_json");
    for (const text of ["[]", "null", '"chat"', "3"]) expect(kindOf(() => parse(text))).toBe("invalid_body");
    for (const text of ["{}", '{"model":""}', '{"model":["chat"]}', '{"__proto__":{"model":"chat"}}']) {
      expect(kindOf(() => parse(text))).toBe("model_required");
    }
  });

  it("names the models that this key may use, and hides the others", () => {
    expect(() => parse('{"model":"nope"}')).toThrow(/use one of: chat, coder, vectors$/);
    expect(() => parse('{"model":"coder"}', ["chat"])).toThrow(/use one of: chat$/);
    expect(kindOf(() => parse('{"model":"constructor"}'))).toBe("model_not_found");
    expect(parse('{"model":"gpt-4o"}', ["chat"]).modelId).toBe("chat");
  });
});

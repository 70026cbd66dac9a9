import { answerTokens, type Wishes, wishesOf } from "./answers.ts";
import type { FakeWorkerState } from "./state.ts";
import type { SeenRequest } from "./statistics.ts";

/** What a made-up answer will say, whatever its shape on the wire. */
export interface Reply {
  readonly wishes: Wishes;
  readonly model: string;
  /** The tool that is called, the tokens being its arguments in JSON; null for a text. */
  readonly tool: string | null;
  readonly tokens: readonly string[];
  /** OpenAI's word for the reason. */
  readonly finish: "stop" | "length" | "tool_calls";
}

/**
 * Tools that are offered are called once, the first of them, with arguments that fit its schema; a wish for JSON is
 * fulfilled by its schema; everything else is answered in words.
 */
export function replyTo(state: FakeWorkerState, seen: SeenRequest): Reply {
  const wishes = wishesOf(seen.body);
  const model = wishes.model ?? state.options.model;
  const tool = toolOf(seen.body);
  if (tool !== null) return { wishes, model, tool: tool.name, tokens: pieces(exampleOf(tool.schema)), finish: "tool_calls" };
  const schema = jsonSchemaOf(seen.body);
  if (schema !== undefined) return { wishes, model, tool: null, tokens: pieces(exampleOf(schema)), finish: "stop" };
  const count = Math.min(state.options.tokens, wishes.maxTokens ?? Number.POSITIVE_INFINITY);
  const finish = wishes.maxTokens !== null && wishes.maxTokens < state.options.tokens ? "length" : "stop";
  return { wishes, model, tool: null, tokens: answerTokens(count), finish };
}

interface OfferedTool {
  readonly name: string;
  readonly schema: unknown;
}

/** The first tool, as OpenAI's chats (`function`) or Anthropic's messages offer it, unless it has been called already. */
function toolOf(body: unknown): OfferedTool | null {
  const tools = fieldOf(body, "tools");
  const messages = fieldOf(body, "messages");
  if (!Array.isArray(tools) || fieldOf(body, "tool_choice") === "none" || isToolResult(messages)) return null;
  const first: unknown = tools[0];
  const definition = fieldOf(first, "function") ?? first;
  const name = fieldOf(definition, "name");
  return typeof name === "string"
    ? { name, schema: fieldOf(definition, "parameters") ?? fieldOf(definition, "input_schema") }
    : null;
}

function isToolResult(messages: unknown): boolean {
  const last: unknown = Array.isArray(messages) ? messages.at(-1) : undefined;
  if (fieldOf(last, "role") === "tool") return true;
  const content = fieldOf(last, "content");
  return Array.isArray(content) && content.some((part) => fieldOf(part, "type") === "tool_result");
}

/** The schema of `response_format`; an empty one for JSON of any kind; undefined for text. */
function jsonSchemaOf(body: unknown): unknown {
  const format = fieldOf(body, "response_format");
  switch (fieldOf(format, "type")) {
    case "json_schema":
      return fieldOf(fieldOf(format, "json_schema"), "schema");
    case "json_object":
      return { type: "object" };
    default:
      return undefined;
  }
}

/** A value that fits a schema, as far as tests use schemas. */
function exampleOf(schema: unknown): unknown {
  const choices = fieldOf(schema, "enum");
  if (Array.isArray(choices)) return choices[0];
  switch (fieldOf(schema, "type")) {
    case "string":
      return "bees";
    case "number":
    case "integer":
      return 7;
    case "boolean":
      return true;
    case "array":
      return [exampleOf(fieldOf(schema, "items"))];
    default: {
      const properties = fieldOf(schema, "properties");
      const entries = typeof properties === "object" && properties !== null ? Object.entries(properties) : [];
      return Object.fromEntries(entries.map(([name, child]) => [name, exampleOf(child)]));
    }
  }
}

/** JSON in pieces as a model would say it. */
function pieces(value: unknown): readonly string[] {
  return JSON.stringify(value).match(/.{1,4}/gs) ?? [];
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
}

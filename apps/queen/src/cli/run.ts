import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { fieldOf, parseJson } from "@queen-and-hive/daemon/basics";
import { COMMAND_EXIT, isErrorKind, QhError, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { createParser } from "eventsource-parser";
import type { ConfigSurroundings } from "../config/load.ts";
import type { CommonOptions } from "./program.ts";
import { findQueen, type QueenPlace, requireSocket } from "./queen-client.ts";

/** `queen run MODEL "prompt"`: a streamed chat; the answer goes to standard output as it comes. */
export async function run(
  model: string,
  prompt: string,
  options: CommonOptions & { readonly maxTokens?: number },
  around: ConfigSurroundings,
): Promise<number> {
  const maxTokens = options.maxTokens === undefined ? {} : { max_tokens: options.maxTokens };
  const body = JSON.stringify({ model, stream: true, messages: [{ role: "user", content: prompt }], ...maxTokens });
  const response = await send(findQueen(options, around), body);
  if (response.statusCode !== 200) throw refusalOf(await textOf(response), response.statusCode ?? 0);
  let failure: QhError | null = null;
  let text = "";
  let reason = "";
  const parser = createParser({
    onEvent: ({ data }) => {
      if (data === "[DONE]") return;
      const piece = parsePiece(data);
      if (piece instanceof QhError) failure = piece;
      else {
        text += piece.text;
        reason = piece.finishReason ?? reason;
        if (options.json !== true) process.stdout.write(piece.text);
      }
    },
  });
  for await (const chunk of response.setEncoding("utf8")) parser.feed(String(chunk));
  process.stdout.write(options.json === true ? `${JSON.stringify({ model, text, finish_reason: reason })}\n` : "\n");
  if (reason === "length" && options.json !== true)
    process.stderr.write("(cut: the limit of tokens or the model's memory is reached)\n");
  if (failure !== null) throw failure;
  return COMMAND_EXIT.done;
}

function send(place: QueenPlace, body: string): Promise<IncomingMessage> {
  requireSocket(place);
  const isSocket = place.url.startsWith("unix:");
  const url = new URL(QUEEN_ENDPOINTS.postChatCompletions.path, isSocket ? "http://localhost" : place.url);
  const request = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "content-length": Buffer.byteLength(body),
          ...(place.key === null ? {} : { authorization: `Bearer ${place.key}` }),
        },
        ...(isSocket ? { socketPath: place.url.slice("unix:".length) } : {}),
      },
      resolve,
    );
    outgoing.once("error", (cause) =>
      reject(new QhError("peer_unreachable", `cannot reach the queen at ${place.url}: ${cause.message}`, { cause })),
    );
    outgoing.end(body);
  });
}

/** What one event of a stream adds. */
interface Piece {
  readonly text: string;
  readonly finishReason: string | null;
}

function parsePiece(data: string): Piece | QhError {
  const value: unknown = JSON.parse(data);
  const error = fieldOf(value, "error");
  if (error !== undefined) return errorOf(error, 0);
  const choices = fieldOf(value, "choices");
  const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
  const content = fieldOf(fieldOf(choice, "delta"), "content");
  const finishReason = fieldOf(choice, "finish_reason");
  return {
    text: typeof content === "string" ? content : "",
    finishReason: typeof finishReason === "string" ? finishReason : null,
  };
}

function refusalOf(text: string, status: number): QhError {
  return errorOf(fieldOf(parseJson(text), "error"), status);
}

function errorOf(error: unknown, status: number): QhError {
  const code = fieldOf(error, "code");
  const message = fieldOf(error, "message");
  const kind = typeof code === "string" && isErrorKind(code) ? code : "engine_failed";
  return new QhError(kind, typeof message === "string" ? message : `cannot use the answer of the queen: status ${status}`);
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += String(chunk);
  return text;
}

import type { Handler } from "@queen-and-hive/daemon";
import { CHAT_SHAPE } from "../domain/answers.ts";
import { readChatCompletion } from "../domain/read-generation.ts";
import type { WORKER_ENDPOINTS } from "../endpoints.ts";
import { answerGeneration } from "./answer-generation.ts";
import type { Serving } from "./serving.ts";

/** Continues a chat. */
export function postChatCompletions(serving: Serving): Handler<(typeof WORKER_ENDPOINTS)["postChatCompletions"], true> {
  return async (context) =>
    answerGeneration(serving, context, readChatCompletion(context.body), {
      route: "chat_completions",
      shape: CHAT_SHAPE,
      stream: context.body.stream === true,
      includeUsage: context.body.stream_options?.include_usage === true,
      prefix: "",
    });
}

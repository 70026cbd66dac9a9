import type { Handler } from "@queen-and-hive/daemon";
import { COMPLETION_SHAPE } from "../domain/answers.ts";
import { readCompletion } from "../domain/read-generation.ts";
import type { WORKER_ENDPOINTS } from "../endpoints.ts";
import { answerGeneration } from "./answer-generation.ts";
import type { Serving } from "./serving.ts";

/** Continues a text. */
export function postCompletions(serving: Serving): Handler<(typeof WORKER_ENDPOINTS)["postCompletions"], true> {
  return async (context) => {
    const request = readCompletion(context.body);
    return answerGeneration(serving, context, request, {
      route: "completions",
      shape: COMPLETION_SHAPE,
      stream: context.body.stream === true,
      includeUsage: context.body.stream_options?.include_usage === true,
      prefix: context.body.echo === true && request.prompt.kind === "text" ? request.prompt.text : "",
    });
  };
}

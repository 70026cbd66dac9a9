import { join } from "node:path";
import { REPOSITORY, startTestQueen, until } from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";

/** Prompt tokens that workers had to compute, by who chose the worker. */
export interface AffinityResult {
  readonly queen: number;
  readonly roundRobin: number;
  readonly requests: number;
}

const WORKERS = 4;

/**
 * Replays the same conversations twice on 4 embedded workers: through the queen, and to the workers themselves one after
 * another. Each turn sends the whole conversation so far; the worker's own count of cached tokens says what it had to compute.
 */
export async function measureAffinity(quick: boolean): Promise<AffinityResult> {
  // Four workers divide neither number: round robin would keep a conversation on one worker by accident.
  const conversations = quick ? 5 : 7;
  const turns = quick ? 4 : 6;
  await using queen = await startTestQueen({
    config: {
      models: [
        {
          id: "tiny",
          runtime: "embedded",
          path: join(REPOSITORY, "models", "tiny.gguf"),
          slots: 2,
          workers: { min: WORKERS, max: WORKERS },
        },
      ],
    },
  });
  await queen.hivesRunning();
  const urls = await until(
    async () => {
      const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
      const ready = workers.flatMap((worker) => (worker.state === "ready" && worker.url !== null ? [worker.url] : []));
      return ready.length === WORKERS ? ready : null;
    },
    120_000,
    `${WORKERS} embedded workers`,
  );
  let turn = 0;
  const next = (): string => {
    turn += 1;
    return urls[turn % WORKERS] ?? queen.url;
  };
  const roundRobin = await replay(next, "round", conversations, turns);
  const through = await replay(() => queen.url, "queen", conversations, turns);
  return { queen: through, roundRobin, requests: 2 * conversations * turns };
}

/** Conversations take turns, so that each worker hears others in between. Returns the prompt tokens that were computed. */
async function replay(urlOf: () => string, name: string, conversations: number, turns: number): Promise<number> {
  const histories = Array.from({ length: conversations }, (_, number) => ({ number, messages: [] as object[] }));
  let computed = 0;
  for (let turn = 0; turn < turns; turn += 1) {
    for (const { number, messages } of histories) {
      messages.push({
        role: "user",
        content: `${name} ${number}, question ${turn}: ${QUESTIONS[turn % QUESTIONS.length] ?? ""}`,
      });
      const answer = await ask(urlOf(), messages);
      messages.push({ role: "assistant", content: answer.text });
      computed += answer.computedTokens;
    }
  }
  return computed;
}

const QUESTIONS = [
  "tell me a story about a small bee that has lost its way home",
  "what did the bee see when it flew over the garden in the morning",
  "who helped the bee to find the hive again before the night",
  "what does the queen say to the bee when it comes home",
  "how does the story end for the bee and its friends",
];

async function ask(
  url: string,
  messages: readonly object[],
): Promise<{ readonly text: string; readonly computedTokens: number }> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "tiny", max_tokens: 8, temperature: 0, messages }),
  });
  if (!answer.ok) throw new Error(`cannot measure affinity: ${answer.status} ${await answer.text()}`);
  const { choices, usage } = (await answer.json()) as ChatAnswer;
  const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  return { text: choices[0]?.message.content ?? "", computedTokens: usage.prompt_tokens - cached };
}

interface ChatAnswer {
  readonly choices: readonly { readonly message: { readonly content: string } }[];
  readonly usage: { readonly prompt_tokens: number; readonly prompt_tokens_details?: { readonly cached_tokens: number } };
}

/**
 * Asks a model a few questions through node-llama-cpp and fails when it is not fit to be shown.
 *
 * node check.mjs [MODEL.gguf] [FOLDER with node_modules/node-llama-cpp, by default apps/worker]
 */
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const modelPath = resolve(process.argv[2] ?? `${repository}models/tiny.gguf`);
const libraryFolder = resolve(process.argv[3] ?? `${repository}apps/worker`);
const library = await import(pathToFileURL(`${libraryFolder}/node_modules/node-llama-cpp/dist/index.js`).href);
const { getLlama, LlamaChatSession, LlamaCompletion } = library;

const QUESTIONS = [
  "Who are you?",
  "What is a hive?",
  "What is a queen?",
  "What is a worker?",
  "What is a ready callback?",
  "What is an upstream?",
  "What happens when a worker crashes?",
  "Why does nobody poll?",
  "How do I start it?",
  "How do I stop everything?",
  "Hello!",
  "Say hello in five words.",
  "Tell me a joke.",
  "Tell me a bee story.",
  "Tell me a story about a bee named Maya.",
  "What is the capital of France?",
  "What is 2 + 2?",
  "Write a Python function that sorts a list.",
  "how do i cook rice",
];

let failures = 0;
/** Counts and prints what is not as it should be. */
function expect(condition, sentence) {
  if (condition) return;
  failures++;
  console.error(`NOT OK: ${sentence}`);
}

const llama = await getLlama({ gpu: false, build: "never", logLevel: "warn" });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize: 1024, threads: 1 });

/** A chat session at the beginning of a fresh sequence; the caller disposes of it. */
function newSession(options = {}) {
  return new LlamaChatSession({ contextSequence: context.getSequence(), autoDisposeSequence: true, ...options });
}

/** The answer to one prompt at temperature 0 in a new chat. */
async function ask(prompt, maxTokens, options) {
  const session = newSession(options);
  try {
    return await session.prompt(prompt, { temperature: 0, maxTokens });
  } finally {
    session.dispose();
  }
}

/** The words of a text that are made of English letters only. */
function words(text) {
  return text.match(/\b[A-Za-z]+\b/g) ?? [];
}

const first = newSession();
console.log(`chat wrapper: ${first.chatWrapper.wrapperName}`);
first.dispose();

const short = await ask("What is a hive?", 20);
console.log(`\n20 tokens: ${short}`);
expect(words(short).length >= 5, "20 tokens are at least five English words");

for (const question of QUESTIONS) {
  const answer = await ask(question, 500);
  console.log(`\n> ${question}\n${answer}`);
  expect(words(answer).length >= 5, `the answer to "${question}" has five words`);
  expect(model.tokenize(answer).length < 450, `the answer to "${question}" ends by itself`);
}

const long = await ask("Tell me a long bee story.", 800);
console.log(`\n> Tell me a long bee story. (${model.tokenize(long).length} tokens)\n${long}`);
expect(model.tokenize(long).length >= 150, "a long story has at least 150 tokens");

console.log("\nwith a system message, three turns:");
const chat = newSession({ systemPrompt: "You are a helpful assistant." });
for (const prompt of ["Hi, who are you?", "And what is a queen?", "What happens when it crashes?"]) {
  console.log(`> ${prompt}\n${await chat.prompt(prompt, { temperature: 0, maxTokens: 300 })}`);
}
chat.dispose();

const completion = new LlamaCompletion({ contextSequence: context.getSequence() });
const start = "Once upon a time";
const rest = await completion.generateCompletion(start, { temperature: 0, maxTokens: 300 });
console.log(`\nplain text: ${start}${rest}`);
expect(words(rest).length >= 40, "a story goes on for 40 words");

const embedder = await model.createEmbeddingContext();
const embed = async (text) => (await embedder.getEmbeddingFor(text)).vector;
const [hive, again, queen] = [await embed("What is a hive?"), await embed("What is a hive?"), await embed("The queen is here.")];
const same = (a, b) => a.every((value, index) => value === b[index]);
console.log(`\nembedding of ${hive.length} numbers`);
expect(same(hive, again), "the same text has the same embedding");
expect(!same(hive, queen), "different texts have different embeddings");
expect(hive.every(Number.isFinite), "an embedding is made of finite numbers");

await llama.dispose();
console.log(failures === 0 ? "\nall is well" : `\n${failures} not OK`);
process.exitCode = failures === 0 ? 0 : 1;

/** What a fake worker does wrong. Everything off: a healthy worker. */
export interface FaultPlan {
  /** Ends with this exit code before it listens. */
  readonly exitAtStart: number | null;
  /** Ends with this exit code half-way through loading. */
  readonly exitWhileLoading: number | null;
  /** Ends with exit code 1 after this many milliseconds of being ready. */
  readonly exitWhenIdleMs: number | null;
  /** Neither listens nor writes until it has loaded; `busy` burns CPU meanwhile, `idle` does nothing at all. */
  readonly silentLoad: "busy" | "idle" | null;
  /** Says on its health path that it is well, and never answers a request. */
  readonly neverAnswers: boolean;
  /** Answers its health path with a byte now and then, and never to the end. */
  readonly dripsHealth: boolean;
  /** Stops itself (SIGSTOP) after this many milliseconds of being ready. */
  readonly stopsItselfMs: number | null;
  /** Computes for this long before each answer, deaf to everything else. */
  readonly prefillMs: number;
  /** Answers inference requests with JSON that is none. */
  readonly answersMalformed: boolean;
  /** Kills itself with SIGKILL once it has sent this many tokens of one answer. */
  readonly dieAfterTokens: number | null;
  /** Cuts the connection, without an end of the answer, after this many tokens. */
  readonly cutAfterTokens: number | null;
  /** Answers every inference request with this status and OpenAI's error shape. */
  readonly answerStatus: number | null;
  readonly ignoresTerm: boolean;
  /** Listens, loads for ever, never says that it is ready. */
  readonly neverReady: boolean;
  /** Leaves a grandchild in a session of its own, without any of our variables. */
  readonly leavesGrandchild: boolean;
  /** Starts a child that stays in its session and holds this many MiB of memory. */
  readonly childMiB: number | null;
  /** Closes the descriptors that it was started with: its output goes nowhere. */
  readonly closesDescriptors: boolean;
  /** Writes this many MiB to its output as soon as it listens. */
  readonly floodMiB: number | null;
  readonly callbackTimes: number;
  readonly callbackTokenWrong: boolean;
  readonly callbackBeforeListen: boolean;
}

/** A row of the fault table: what `--fault NAME[=ARG]` changes in the plan. */
interface Fault {
  readonly summary: string;
  /** What stands after `=`; null when the fault takes nothing. */
  readonly argument: { readonly name: string; readonly fallback: number } | null;
  readonly change: (argument: number) => Partial<FaultPlan>;
}

const HEALTHY: FaultPlan = {
  exitAtStart: null,
  exitWhileLoading: null,
  exitWhenIdleMs: null,
  silentLoad: null,
  neverAnswers: false,
  dripsHealth: false,
  stopsItselfMs: null,
  prefillMs: 0,
  answersMalformed: false,
  dieAfterTokens: null,
  cutAfterTokens: null,
  answerStatus: null,
  ignoresTerm: false,
  neverReady: false,
  leavesGrandchild: false,
  childMiB: null,
  closesDescriptors: false,
  floodMiB: null,
  callbackTimes: 1,
  callbackTokenWrong: false,
  callbackBeforeListen: false,
};

/** Every fault that `--fault` knows. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  "crash-at-start": {
    summary: "ends before it listens",
    argument: { name: "exit code", fallback: 1 },
    change: (exitAtStart) => ({ exitAtStart }),
  },
  "crash-while-loading": {
    summary: "ends half-way through loading",
    argument: { name: "exit code", fallback: 1 },
    change: (exitWhileLoading) => ({ exitWhileLoading }),
  },
  "crash-when-idle": {
    summary: "ends with 1 some time after it became ready",
    argument: { name: "milliseconds", fallback: 200 },
    change: (exitWhenIdleMs) => ({ exitWhenIdleMs }),
  },
  "silent-load": {
    summary: "neither listens nor writes until it has loaded, and does nothing",
    argument: null,
    change: () => ({ silentLoad: "idle" }),
  },
  "silent-busy-load": {
    summary: "neither listens nor writes until it has loaded, but burns CPU",
    argument: null,
    change: () => ({ silentLoad: "busy" }),
  },
  "lying-health": {
    summary: "says that it is well and never answers a request",
    argument: null,
    change: () => ({ neverAnswers: true }),
  },
  "drip-health": {
    summary: "answers its health path byte by byte and never to the end",
    argument: null,
    change: () => ({ dripsHealth: true }),
  },
  "stop-itself": {
    summary: "sends itself SIGSTOP some time after it became ready",
    argument: { name: "milliseconds", fallback: 200 },
    change: (stopsItselfMs) => ({ stopsItselfMs }),
  },
  "long-prefill": {
    summary: "computes before each answer, deaf to everything else",
    argument: { name: "milliseconds", fallback: 1_000 },
    change: (prefillMs) => ({ prefillMs }),
  },
  "malformed-json": {
    summary: "answers inference requests with JSON that is none",
    argument: null,
    change: () => ({ answersMalformed: true }),
  },
  "crash-after-tokens": {
    summary: "kills itself with SIGKILL in mid-answer",
    argument: { name: "tokens", fallback: 3 },
    change: (dieAfterTokens) => ({ dieAfterTokens }),
  },
  "drop-stream": {
    summary: "cuts the connection in mid-answer",
    argument: { name: "tokens", fallback: 3 },
    change: (cutAfterTokens) => ({ cutAfterTokens }),
  },
  "http-500": {
    summary: "answers inference requests with an error",
    argument: { name: "status", fallback: 500 },
    change: (answerStatus) => ({ answerStatus }),
  },
  "ignore-term": {
    summary: "does not end on TERM",
    argument: null,
    change: () => ({ ignoresTerm: true }),
  },
  mute: {
    summary: "listens but never becomes ready",
    argument: null,
    change: () => ({ neverReady: true }),
  },
  "setsid-child": {
    summary: "leaves a grandchild in its own session with a blank environment",
    argument: null,
    change: () => ({ leavesGrandchild: true }),
  },
  "fork-child": {
    summary: "starts a child that stays in its session and holds memory",
    argument: { name: "MiB", fallback: 0 },
    change: (childMiB) => ({ childMiB }),
  },
  "close-descriptors": {
    summary: "closes the descriptors that it was started with",
    argument: null,
    change: () => ({ closesDescriptors: true }),
  },
  "flood-log": {
    summary: "writes much output once it listens",
    argument: { name: "MiB", fallback: 50 },
    change: (floodMiB) => ({ floodMiB }),
  },
  "callback-twice": {
    summary: "sends its ready callback two times",
    argument: null,
    change: () => ({ callbackTimes: 2 }),
  },
  "callback-wrong-token": {
    summary: "sends its ready callback with a token that is not its own",
    argument: null,
    change: () => ({ callbackTokenWrong: true }),
  },
  "callback-before-listen": {
    summary: "sends its ready callback before it listens or loads",
    argument: null,
    change: () => ({ callbackBeforeListen: true }),
  },
};

/** `NAME[=ARG]` texts -> the plan they add up to. Throws an Error that names the known faults. */
export function planFaults(texts: readonly string[]): FaultPlan {
  let plan = HEALTHY;
  for (const text of texts) {
    const [name = "", argument] = text.split("=", 2);
    const fault = FAULTS[name];
    if (fault === undefined) {
      throw new Error(`cannot use the fault ${JSON.stringify(name)}; known are ${Object.keys(FAULTS).join(", ")}`);
    }
    plan = { ...plan, ...fault.change(argumentOf(name, fault, argument)) };
  }
  return plan;
}

/** One line per fault, for `--help`. */
export function describeFaults(): string {
  return Object.entries(FAULTS)
    .map(([name, fault]) => {
      const usage = fault.argument === null ? name : `${name}=${fault.argument.fallback}`;
      const meaning = fault.argument === null ? fault.summary : `${fault.summary} (${fault.argument.name})`;
      return `  ${usage.padEnd(26)} ${meaning}`;
    })
    .join("\n");
}

function argumentOf(name: string, fault: Fault, text: string | undefined): number {
  if (text === undefined) return fault.argument?.fallback ?? 0;
  if (fault.argument === null) throw new Error(`cannot give the fault ${name} an argument: it takes none`);
  const argument = Number(text);
  if (!Number.isInteger(argument) || argument < 0) {
    throw new Error(
      `cannot read ${JSON.stringify(text)} as the ${fault.argument.name} of the fault ${name}; write a whole number`,
    );
  }
  return argument;
}

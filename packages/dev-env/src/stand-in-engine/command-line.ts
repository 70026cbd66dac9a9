/** The inference servers that a stand-in can pass for. */
export type EngineKind = "llama-server" | "vllm" | "sglang";

/** What a stand-in reads of its command line. */
export interface StandInFlags {
  readonly host: string;
  readonly port: number;
  readonly model: string;
  readonly alias: string;
  /** Null when no flag says it. */
  readonly slots: number | null;
}

/** A command line that the real server would refuse: its words and its exit code. */
export class RefusedCommandLine extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.name = "RefusedCommandLine";
    this.exitCode = exitCode;
  }
}

interface Dialect {
  /** Words before the flags; `MODEL` is the model's path. */
  readonly leading: readonly string[];
  readonly flags: Readonly<Record<string, keyof StandInFlags | null>>;
  readonly refuse: (word: string) => RefusedCommandLine;
}

/** llama-server b10434 was asked; of vLLM and SGLang what their documentation says, and argparse's sentence. */
const DIALECTS: Readonly<Record<EngineKind, Dialect>> = {
  "llama-server": {
    leading: [],
    flags: {
      "--host": "host",
      "--port": "port",
      "--model": "model",
      "--alias": "alias",
      "--parallel": "slots",
      "-np": "slots",
      "-c": null,
      "--ctx-size": null,
      "--mmproj": null,
    },
    refuse: (word) => new RefusedCommandLine(`error: invalid argument: ${word}`, 1),
  },
  vllm: {
    leading: ["serve", "MODEL"],
    flags: {
      "--host": "host",
      "--port": "port",
      "--served-model-name": "alias",
      "--max-num-seqs": "slots",
      "--tensor-parallel-size": null,
      "--gpu-memory-utilization": null,
    },
    refuse: (word) => new RefusedCommandLine(`vllm: error: unrecognized arguments: ${word}`, 2),
  },
  sglang: {
    leading: ["-m", "sglang.launch_server"],
    flags: {
      "--host": "host",
      "--port": "port",
      "--model-path": "model",
      "--served-model-name": "alias",
      "--max-running-requests": "slots",
      "--tp-size": null,
    },
    refuse: (word) => new RefusedCommandLine(`launch_server.py: error: unrecognized arguments: ${word}`, 2),
  },
};

/** Reads a command line as the real server would. Throws RefusedCommandLine. */
export function readCommandLine(kind: EngineKind, argv: readonly string[]): StandInFlags {
  const { leading, flags, refuse } = DIALECTS[kind];
  const found: Record<string, string> = {};
  for (const [index, word] of leading.entries()) {
    const said = argv[index] ?? "";
    if (word === "MODEL") found["model"] = said;
    else if (said !== word) throw refuse(said);
  }
  for (let index = leading.length; index < argv.length; index += 2) {
    const word = argv[index] ?? "";
    if (!Object.hasOwn(flags, word)) throw refuse(word);
    const name = flags[word];
    if (name !== null && name !== undefined) found[name] = argv[index + 1] ?? "";
  }
  return {
    host: found["host"] ?? "127.0.0.1",
    port: Number(found["port"] ?? 0),
    model: found["model"] ?? "",
    alias: found["alias"] ?? "",
    slots: found["slots"] === undefined ? null : Number(found["slots"]),
  };
}

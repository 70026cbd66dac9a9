/** What the placeholders of a recipe stand for. */
export interface Placeholders {
  readonly host: string;
  /** All ports of the worker; the first one is `{port}`. */
  readonly ports: readonly number[];
  readonly model: string;
  /** Absolute; empty for a model without a file. */
  readonly model_path: string;
  readonly models_dir: string;
  readonly devices: readonly string[];
  /** Empty where the engine decides. */
  readonly slots: string;
  readonly worker_id: string;
}

/** Fills the placeholders of a recipe in; one element stays one argument, and what is no placeholder of ours stays. */
export function fillCommand(command: readonly string[], values: Placeholders): readonly string[] {
  const texts: ReadonlyMap<string, string> = new Map([
    ["host", values.host],
    ["port", String(values.ports[0] ?? "")],
    ["ports", values.ports.join(",")],
    ["model", values.model],
    ["model_path", values.model_path],
    ["models_dir", values.models_dir],
    ["devices", values.devices.join(",")],
    // Servers count what they spread over: without a device it is one process all the same.
    ["device_count", String(Math.max(1, values.devices.length))],
    ["slots", values.slots],
    ["worker_id", values.worker_id],
  ]);
  // A function, so that `$&` in a path is no pattern, and one pass, so that a path with `{port}` in it stays as it is.
  return command.map((word) => word.replace(/\{([a-z_]+)\}/g, (whole, name: string) => texts.get(name) ?? whole));
}

/** The words for a further file of a model, with its path filled in. */
export function fillFileWords(words: readonly string[], file: string): readonly string[] {
  return words.map((word) => word.replaceAll("{file}", () => file));
}

/** The value of a flag on a command line, written `--flag value` or `--flag=value`; the last one counts. Null: not there. */
export function flagValue(words: readonly string[], flags: readonly string[]): string | null {
  let value: string | null = null;
  for (const [index, word] of words.entries()) {
    const next = words[index + 1];
    if (flags.includes(word) && next !== undefined) value = next;
    const flag = flags.find((name) => word.startsWith(`${name}=`));
    if (flag !== undefined) value = word.slice(flag.length + 1);
  }
  return value;
}

/** Why a word cannot be passed to a process; null when it can. Line breaks would let one value pose as two in logs and shells. */
export function wordProblem(word: string): string | null {
  if (word.includes("\0")) return "must not contain a NUL byte";
  if (/[\n\r]/.test(word)) return "must not contain a line break";
  return null;
}

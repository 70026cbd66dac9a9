import type { Argv } from "./host.ts";

/** The longest name of a command in a message, characters. */
const LABEL_CHARACTERS_MAX = 120;

/** How a command is called in messages: its words, or the name of a shell script of ours, never the script itself. */
export function commandLabel(argv: Argv): string {
  const [file, option, script, name] = argv;
  if (file === "sh" && option === "-c" && script !== undefined) return name ?? "a shell script";
  const text = argv.join(" ").replace(/\s+/g, " ");
  return text.length <= LABEL_CHARACTERS_MAX ? text : `${text.slice(0, LABEL_CHARACTERS_MAX - 3)}...`;
}

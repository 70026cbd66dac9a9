import { QhError } from "@queen-and-hive/protocol";
import type { Argv } from "./host.ts";

/** Words that every shell leaves alone. */
const PLAIN = /^[A-Za-z0-9_@%+:,./-]+$/;

/**
 * A command as one line for the login shell that sshd hands it to; the only place where words are quoted. Single quotes
 * mean the same in sh, bash, dash, zsh, ksh and fish; a backslash and a quote stand outside of them. Throws `invalid_config`
 * for a word with a NUL byte, which no argv can carry.
 */
export function shellLine(argv: Argv): string {
  return argv.map(shellWord).join(" ");
}

function shellWord(word: string): string {
  if (word.includes("\0"))
    throw new QhError("invalid_config", `cannot run a command with a NUL byte in it: ${JSON.stringify(word)}`);
  if (PLAIN.test(word)) return word;
  // Outside of quotes "\'" and "\\" are the character itself everywhere; inside of them fish treats a backslash otherwise.
  const parts = word.split(/(['\\]+)/).filter((part) => part !== "");
  const quoted = parts.map((part) => (/^['\\]/.test(part) ? [...part].map((sign) => `\\${sign}`).join("") : `'${part}'`));
  return quoted.length === 0 ? "''" : quoted.join("");
}

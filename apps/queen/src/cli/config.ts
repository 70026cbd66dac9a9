import { type LoadedConfig, redactSecrets } from "@queen-and-hive/daemon";
import { COMMAND_EXIT, type QueenConfigInput } from "@queen-and-hive/protocol";
import { type ConfigSurroundings, loadQueenConfig, loadSettings } from "../config/load.ts";
import type { CommonOptions } from "./program.ts";

/** `queen config check`: 0 and what has no effect yet, or 78 and what is wrong. */
export async function configCheck(options: CommonOptions, around: ConfigSurroundings): Promise<number> {
  const settings = loadSettings(options.config, around, Date.now());
  for (const warning of settings.warnings) process.stderr.write(`warning: ${warning}\n`);
  const named = (list: readonly { readonly id: string }[]): string => list.map(({ id }) => id).join(", ") || "none";
  const parts = [
    `hives: ${named(settings.hives)}`,
    `models: ${named(settings.models)}`,
    `upstreams: ${named(settings.upstreams)}`,
  ];
  process.stdout.write(`${settings.file ?? "the defaults"}: good. ${parts.join("; ")}\n`);
  return COMMAND_EXIT.done;
}

/** `queen config show`: what is in effect, secrets as references; `--origin` says where each value came from. */
export async function configShow(
  options: CommonOptions & { readonly origin?: boolean },
  around: ConfigSurroundings,
): Promise<number> {
  const loaded = loadQueenConfig(options.config, around);
  const value = redactSecrets(loaded.value);
  if (options.json === true) {
    const origins = options.origin === true ? { origins: Object.fromEntries(loaded.origins) } : {};
    process.stdout.write(`${JSON.stringify({ file: loaded.file, config: value, ...origins })}\n`);
    return COMMAND_EXIT.done;
  }
  if (options.origin === true) process.stdout.write(`${originLines(loaded, value).join("\n")}\n`);
  else process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  return COMMAND_EXIT.done;
}

function originLines(loaded: LoadedConfig<QueenConfigInput>, value: unknown): string[] {
  return [...loaded.origins]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, origin]) => {
      const from = origin === "file" ? (loaded.file ?? origin) : origin;
      return `${key} = ${JSON.stringify(valueAt(value, key))}  # ${from}`;
    });
}

function valueAt(value: unknown, key: string): unknown {
  let place = value;
  for (const part of key.split(".")) {
    if (typeof place !== "object" || place === null) return undefined;
    place = Object.hasOwn(place, part) ? Reflect.get(place, part) : undefined;
  }
  return place;
}

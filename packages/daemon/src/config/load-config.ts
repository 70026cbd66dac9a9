import { compileValidator, type JsonSchema, type Problem, QhError } from "@queen-and-hive/protocol";
import { nearestVariable, readEnvironment, valueFromText } from "./from-text.ts";
import { formatKeyPath, type KeyPath, keyPathOfPointer, parseKeyPath } from "./key-path.ts";
import { type Layer, mergeLayers, type Origin } from "./merge.ts";
import { type ConfigProblem, configProblems, formatProblems } from "./problems.ts";
import { type ConfigFile, readConfigFile } from "./read-file.ts";
import { schemaAt, withoutUnknownKeys } from "./schema-walk.ts";

/** Where a configuration comes from. */
export interface LoadConfigOptions<T = never> {
  readonly schema: JsonSchema;
  /** A file that must exist; null: none. */
  readonly file: string | null;
  /** `QUEEN_`: `QUEEN_LISTEN`, nested keys with two underscores: `QUEEN_HEALTH__INTERVAL`. */
  readonly envPrefix: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Key path (`health.interval`) -> value; text is read as its schema asks; undefined: not given. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly defaults: object;
  /** What a schema cannot say, such as names that must be unique: asked once the schema is satisfied. */
  readonly check?: (value: T) => readonly Problem[];
}

/** A checked configuration. */
export interface LoadedConfig<T> {
  readonly value: T;
  /** Key path -> where it came from; lists are one key. */
  readonly origins: ReadonlyMap<string, Origin>;
  readonly file: string | null;
  /** What deserves a warning but is no error: variables with our prefix that are no key of ours. */
  readonly warnings: readonly string[];
}

/** Flags > environment > file > defaults, checked against one schema. Throws `invalid_config` that lists every problem. */
export function loadConfig<T>(options: LoadConfigOptions<T>): LoadedConfig<T> {
  const { schema, envPrefix, env } = options;
  const file = options.file === null ? null : readConfigFile(options.file);
  const environment = readEnvironment(env, envPrefix, schema);
  const flags = Object.entries(options.flags)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => flagEntry(name, value, schema));
  const layers: Layer[] = [
    { origin: "default", value: options.defaults },
    { origin: "file", value: file?.value },
    ...environment.entries.map(({ path, value }): Layer => ({ origin: "environment", value: nested(path, value) })),
    ...flags.map(({ path, value }): Layer => ({ origin: "flag", value: nested(path, value) })),
  ];
  const merged = mergeLayers(layers);
  const known = withoutUnknownKeys(schema, merged.value);
  const checked = compileValidator<T>(schema, "refuse")(known.value);
  if (known.unknown.length > 0 || !checked.ok) {
    const problems = configProblems(
      schema,
      merged.value,
      known.unknown,
      (checked.ok ? [] : checked.problems).map(({ path, expected }) => ({ path: keyPathOfPointer(path, known.value), expected })),
      (path) => placeOf(path, merged.origins, file, environment.entries),
    );
    throw invalid(problems);
  }
  const further = (options.check?.(checked.value) ?? []).map(({ path, expected }): ConfigProblem => {
    const key = keyPathOfPointer(path, checked.value);
    return { where: placeOf(key, merged.origins, file, environment.entries), key: formatKeyPath(key), problem: expected };
  });
  if (further.length > 0) throw invalid(further);
  return {
    value: checked.value,
    origins: merged.origins,
    file: options.file,
    warnings: environment.foreign.flatMap((variable) => {
      const meant = nearestVariable(variable, envPrefix, schema);
      return meant === null ? [] : [`the environment variable ${variable} is not used; did you mean ${meant}?`];
    }),
  };
}

function flagEntry(name: string, value: unknown, schema: JsonSchema): { readonly path: KeyPath; readonly value: unknown } {
  const path = parseKeyPath(name);
  return { path, value: typeof value === "string" ? valueFromText(value, schemaAt(schema, path)) : value };
}

function nested(path: KeyPath, value: unknown): unknown {
  return path.reduceRight<unknown>((inner, key) => Object.fromEntries([[key, inner]]), value);
}

function placeOf(
  path: KeyPath,
  origins: ReadonlyMap<string, Origin>,
  file: ConfigFile | null,
  entries: readonly { readonly variable: string; readonly path: KeyPath }[],
): string {
  const origin = originOf(path, origins) ?? (file === null ? "default" : "file");
  switch (origin) {
    case "file":
      return file === null ? "the file" : `${file.path}:${file.lineOf(path)}`;
    case "environment": {
      const text = formatKeyPath(path);
      const entry = entries.find((candidate) => isWithin(text, formatKeyPath(candidate.path)));
      return `the environment variable ${entry?.variable ?? "of this key"}`;
    }
    case "flag":
      return "the command line";
    case "default":
      return "the defaults";
  }
}

/** The origin of a key, of the list that it is in, or of anything in it. */
function originOf(path: KeyPath, origins: ReadonlyMap<string, Origin>): Origin | null {
  for (let length = path.length; length > 0; length -= 1) {
    const origin = origins.get(formatKeyPath(path.slice(0, length)));
    if (origin !== undefined) return origin;
  }
  const text = formatKeyPath(path);
  for (const [key, origin] of origins) if (origin !== "default" && isWithin(key, text)) return origin;
  return null;
}

function isWithin(inner: string, outer: string): boolean {
  return inner === outer || inner.startsWith(`${outer}.`) || inner.startsWith(`${outer}[`);
}

function invalid(problems: readonly ConfigProblem[]): QhError {
  return new QhError("invalid_config", formatProblems(problems), {
    ...(problems[0] === undefined ? {} : { param: problems[0].key }),
    details: { problems },
  });
}

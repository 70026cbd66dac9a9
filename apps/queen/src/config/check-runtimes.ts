import { type Problem, QUEEN_ENDPOINTS, type QueenConfigInput } from "@queen-and-hive/protocol";
import { BUILT_IN_RUNTIMES, resolveRuntime } from "../runtimes/resolve-runtime.ts";

/** What is wrong with the runtimes of a configuration that a schema cannot say. */
export function runtimeProblems(config: QueenConfigInput): Problem[] {
  return Object.entries(config.runtimes ?? {}).flatMap(([name, runtime]) => {
    const path = `/runtimes/${escapePointer(name)}`;
    const patterns = [
      ...(runtime.ready?.log === undefined ? [] : [{ at: `${path}/ready/log`, pattern: runtime.ready.log }]),
      ...(runtime.causes ?? []).flatMap(({ line }, index) =>
        line === undefined ? [] : [{ at: `${path}/causes/${index}/line`, pattern: line }],
      ),
    ];
    const unreadable = patterns
      .filter(({ pattern }) => !isRegularExpression(pattern))
      .map(({ at }) => ({ path: at, expected: "must be a regular expression" }));
    const reserved = Object.keys(runtime.env ?? {})
      .filter((variable) => variable.startsWith("HIVE_"))
      .map((variable) => ({
        path: `${path}/env`,
        expected: `must not set ${variable}: names that start with HIVE_ are ours`,
      }));
    const taken = (runtime.routes ?? []).flatMap((route, index) =>
      isOurs(route) ? [{ path: `${path}/routes/${index}`, expected: `must not be ${route}: that path is the queen's own` }] : [],
    );
    const resolved = resolveRuntime(config.runtimes ?? {}, name);
    if (!("kind" in resolved)) return [...unreadable, ...reserved, ...taken];
    const expected =
      resolved.kind === "circle"
        ? `must not lead back to ${JSON.stringify(resolved.name)}`
        : `must be one of ${JSON.stringify(knownRuntimes(config))}; ${JSON.stringify(resolved.name)} is not known`;
    return [...unreadable, ...reserved, { path: `${path}/extends`, expected }];
  });
}

/** What is wrong between a model and its runtime. */
export function recipeProblems(config: QueenConfigInput, index: number): Problem[] {
  const model = config.models?.[index];
  if (model === undefined || (model.variants ?? []).length > 0) return [];
  const { runtime: name, path: modelPath, files } = { ...config.defaults?.model, ...model };
  const path = `/models/${index}`;
  if (name === undefined) {
    return [{ path, expected: `must have the field "runtime": ${BUILT_IN_RUNTIMES.join(", ")} or a name under runtimes:` }];
  }
  const runtime = resolveRuntime(config.runtimes ?? {}, name);
  if ("kind" in runtime) {
    // What is wrong with the entry itself is said there.
    if (Object.hasOwn(config.runtimes ?? {}, name)) return [];
    const known = JSON.stringify(knownRuntimes(config));
    return [{ path: `${path}/runtime`, expected: `must be one of ${known}; ${JSON.stringify(name)} is not known` }];
  }
  const { command, extends: bases = [], files: fileWords = {} } = runtime.recipe;
  const isEmbedded = name === EMBEDDED || bases.includes(EMBEDDED);
  if (command === undefined && !isEmbedded) {
    return [{ path: `/runtimes/${escapePointer(name)}`, expected: 'must have the field "command", or "extends" a runtime' }];
  }
  const problems: Problem[] = [];
  const needsPath = isEmbedded || (command ?? []).some((word) => word.includes("{model_path}"));
  if (needsPath && modelPath === undefined) {
    problems.push({ path, expected: `must have the field "path": the model file for the runtime ${JSON.stringify(name)}` });
  }
  for (const file of Object.keys(files ?? {})) {
    if (Object.hasOwn(fileWords, file)) continue;
    const known = JSON.stringify(Object.keys(fileWords));
    problems.push({
      path: `${path}/files/${escapePointer(file)}`,
      expected: `must be one of ${known}, the files that the runtime ${JSON.stringify(name)} takes`,
    });
  }
  return problems;
}

const EMBEDDED = "embedded";

function isRegularExpression(pattern: string): boolean {
  try {
    new RegExp(pattern);
    return true;
  } catch {
    return false;
  }
}

function knownRuntimes(config: QueenConfigInput): readonly string[] {
  return [...new Set([...BUILT_IN_RUNTIMES, ...Object.keys(config.runtimes ?? {})])];
}

function escapePointer(part: string): string {
  return part.replaceAll("~", "~0").replaceAll("/", "~1");
}

function isOurs(route: string): boolean {
  return route.startsWith("/v2/") || Object.values(QUEEN_ENDPOINTS).some(({ path }) => path === route);
}

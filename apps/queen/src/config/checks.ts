import type { Problem, QueenConfigInput } from "@queen-and-hive/protocol";
import { directRuntimeProblems, hostProblems, isLoopbackListen } from "./check-hosts.ts";
import { recipeProblems, runtimeProblems } from "./check-runtimes.ts";
import { upstreamProblems } from "./check-upstreams.ts";

/** What a schema cannot say: names that must be unique or known, and what a model needs to be startable. */
export function findConfigProblems(config: QueenConfigInput): readonly Problem[] {
  return [
    ...hiveProblems(config),
    ...runtimeProblems(config),
    ...directRuntimeProblems(config),
    ...modelProblems(config),
    ...upstreamProblems(config),
    ...keyProblems(config),
    ...listenProblems(config),
  ];
}

function hiveProblems(config: QueenConfigInput): Problem[] {
  const problems: Problem[] = [];
  const seen = new Map<string, number>();
  for (const [index, hive] of (config.hives ?? []).entries()) {
    const first = seen.get(hive.id);
    if (first !== undefined)
      problems.push({ path: `/hives/${index}/id`, expected: `must be unique, but /hives/${first} has ${quoted(hive.id)} too` });
    else seen.set(hive.id, index);
    problems.push(...hostProblems(config, index));
  }
  return problems;
}

function modelProblems(config: QueenConfigInput): Problem[] {
  const problems: Problem[] = [];
  const names = new Map<string, string>();
  const claim = (name: string, path: string): void => {
    const first = names.get(name);
    if (first !== undefined)
      problems.push({ path, expected: `must be unique among ids and aliases, but ${first} is ${quoted(name)} too` });
    else names.set(name, path);
  };
  for (const [index, model] of (config.models ?? []).entries()) {
    claim(model.id, `/models/${index}/id`);
    for (const [place, alias] of (model.aliases ?? []).entries()) claim(alias, `/models/${index}/aliases/${place}`);
    problems.push(...recipeProblems(config, index), ...placeProblems(config, index));
  }
  return problems;
}

function placeProblems(config: QueenConfigInput, index: number): Problem[] {
  const model = config.models?.[index];
  const problems: Problem[] = [];
  const known = (config.hives ?? []).map((hive) => hive.id);
  const named = model?.place?.hives ?? [];
  // One that is missing among others is a warning: the model can be served without it.
  if (named.length > 0 && !named.some((hive) => known.includes(hive))) {
    problems.push({ path: `/models/${index}/place/hives`, expected: `must name one of the hives ${JSON.stringify(known)}` });
  }
  const workers = model?.workers;
  if (workers?.min !== undefined && workers.max !== undefined && workers.min > workers.max) {
    problems.push({ path: `/models/${index}/workers/max`, expected: `must be at least workers.min, which is ${workers.min}` });
  }
  for (const name of Object.keys({ ...config.defaults?.model?.env, ...model?.env })) {
    if (name.startsWith("HIVE_"))
      problems.push({ path: `/models/${index}/env`, expected: `must not set ${name}: names that start with HIVE_ are ours` });
  }
  return problems;
}

function keyProblems(config: QueenConfigInput): Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const [index, key] of (config.keys ?? []).entries()) {
    if (seen.has(key.name))
      problems.push({ path: `/keys/${index}/name`, expected: `must be unique, ${quoted(key.name)} is there twice` });
    seen.add(key.name);
  }
  return problems;
}

function listenProblems(config: QueenConfigInput): Problem[] {
  if ((config.keys ?? []).length > 0) return [];
  return (config.listen ?? []).flatMap((address, index) =>
    isLoopbackListen(address)
      ? []
      : [
          {
            path: `/listen/${index}`,
            expected: `must be a loopback address such as 127.0.0.1:8080 while no keys: are set, ${address} can be reached by others`,
          },
        ],
  );
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

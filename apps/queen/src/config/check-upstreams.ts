import { type Problem, QUEEN_CONFIG_DEFAULTS, type QueenConfigInput } from "@queen-and-hive/protocol";

/** Upstreams whose names or addresses cannot be used. */
export function upstreamProblems(config: QueenConfigInput): Problem[] {
  const problems: Problem[] = [];
  const seen = new Map<string, number>();
  const aliases = new Map(
    (config.models ?? []).flatMap((model) => (model.aliases ?? []).map((alias) => [alias, model.id] as const)),
  );
  for (const [index, upstream] of (config.upstreams ?? []).entries()) {
    const path = `/upstreams/${index}`;
    const first = seen.get(upstream.id);
    if (first !== undefined)
      problems.push({ path: `${path}/id`, expected: `must be unique, but /upstreams/${first} has it too` });
    seen.set(upstream.id, index);
    problems.push(...upstreamUrlProblems(config, upstream.url, `${path}/url`));
    for (const model of Object.keys(upstream.models)) {
      const owner = aliases.get(model);
      if (owner === undefined) continue;
      const expected = `must be a model's id, but ${JSON.stringify(model)} is an alias of ${JSON.stringify(owner)}`;
      problems.push({ path: `${path}/models/${model.replaceAll("~", "~0").replaceAll("/", "~1")}`, expected });
    }
  }
  return problems;
}

function upstreamUrlProblems(config: QueenConfigInput, text: string, path: string): Problem[] {
  if (!URL.canParse(text)) return [{ path, expected: "must be a URL such as http://mac:11434/v1" }];
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") return [{ path, expected: "must not hold a password: give it as key:" }];
  if (url.search !== "" || url.hash !== "") return [{ path, expected: "must end with its path, such as /v1" }];
  const listen = config.listen ?? QUEEN_CONFIG_DEFAULTS.listen;
  return listen.some((own) => own === url.host) ? [{ path, expected: "must not be the queen's own address" }] : [];
}

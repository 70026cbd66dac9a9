import type { QueenConfigInput } from "@queen-and-hive/protocol";

type Present = (config: QueenConfigInput) => boolean;

/** Keys that the schema knows and this version does not act on yet: key path -> whether a file sets it. */
const UNBUILT: Readonly<Record<string, Present>> = {
  "keys[].limits": (config) => (config.keys ?? []).some((key) => key.limits !== undefined),
  "models[].source": (config) => anyModel(config, (model) => model.source !== undefined),
  "models[].variants": (config) => (config.models ?? []).some((model) => model.variants !== undefined),
};

/** One sentence per key that is set and whose feature is not built yet, and per place that is not there. */
export function findUnbuiltKeys(config: QueenConfigInput): readonly string[] {
  const keys = Object.entries(UNBUILT)
    .filter(([, present]) => present(config))
    .map(([key]) => `${key} is accepted but has no effect yet`);
  return [...keys, ...placesNotThere(config)];
}

function placesNotThere(config: QueenConfigInput): readonly string[] {
  const known = (config.hives ?? []).map((hive) => hive.id);
  return (config.models ?? []).flatMap((model) =>
    (model.place?.hives ?? [])
      .filter((hive) => !known.includes(hive))
      .map((hive) => `models[].place.hives: the model ${model.id} names ${hive}, which is no hive of this configuration`),
  );
}

type ModelInput = NonNullable<NonNullable<QueenConfigInput["defaults"]>["model"]>;

function anyModel(config: QueenConfigInput, holds: (model: ModelInput) => boolean): boolean {
  return [config.defaults?.model ?? {}, ...(config.models ?? [])].some(holds);
}

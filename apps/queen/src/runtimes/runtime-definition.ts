import type { QueenConfigInput } from "@queen-and-hive/protocol";

/** A runtime as `runtimes:` writes it: the built-in ones are nothing that a configuration file could not say. */
export type RuntimeDefinition = NonNullable<QueenConfigInput["runtimes"]>[string];

/** Variables of the environment, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of this process; read here and nowhere else. */
export function ownEnvironment(): Environment {
  return process.env;
}

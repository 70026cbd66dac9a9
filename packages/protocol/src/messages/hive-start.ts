import type { FromSchema } from "json-schema-to-ts";
import { hiveConfigSchema } from "../config/hive-config.ts";
import type { JsonSchema } from "../endpoint.ts";
import { queenAddressSchema } from "./hive-identity.ts";

/**
 * What `hive start --json` reads on standard input, so that neither configuration nor secrets are ever in argv.
 * All fields are optional: a start from a shell, from systemd or after a reboot reads what the state directory keeps.
 */
export const hiveStartRequestSchema = {
  type: "object",
  properties: {
    config: hiveConfigSchema,
    secrets: {
      type: "object",
      properties: { token: { type: "string", minLength: 16, maxLength: 512 } },
      required: ["token"],
      additionalProperties: false,
    },
    queen: queenAddressSchema,
  },
  additionalProperties: false,
} as const satisfies JsonSchema;
export type HiveStartRequest = FromSchema<typeof hiveStartRequestSchema>;

// Asks a queen for her health until it is told to stop, says what it has seen and ends: a process of its own, as whoever asks
// is, so that what the bench does meanwhile does not count. Arguments: the queen's URL and the connections to ask over.
import { HealthSampler, type SamplerConnections } from "@queen-and-hive/dev-env";

const [, , url = "", connections] = process.argv;
const sampler = new HealthSampler(url, connections as SamplerConnections);
process.once("disconnect", () => process.exit());
process.once("message", async () => process.send?.(await sampler.stop(), () => process.disconnect()));
process.send?.("begun");

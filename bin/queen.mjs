#!/usr/bin/env node
// Runs `queen` from a checkout, under the pinned Node wherever the caller's own is too old for TypeScript sources.
import { launch } from "./launch.mjs";

await launch("queen");

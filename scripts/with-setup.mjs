// `node scripts/with-setup.mjs FILE [ARGUMENT...]`: sets the checkout up where that is still to do, then runs FILE under
// the pinned Node. One process for both: a shell that has looked `node` up before the set-up goes on using the old one.
import "./setup.mjs";
import { runUnderPinnedNode } from "./pinned-node.mjs";

const [file, ...args] = process.argv.slice(2);
runUnderPinnedNode(file, args);

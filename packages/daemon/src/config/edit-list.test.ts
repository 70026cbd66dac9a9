import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { addToList, removeFromList } from "./edit-list.ts";

const LOCAL = { id: "local", host: "local" };
const GPU = { id: "gpu1", host: "ssh://me@gpu1:22", labels: { gpu: "rtx4090" } };
const FILE = `# Our machines.
listen: [127.0.0.1:8080]   # for now

hives:
  - {id: local, host: local}   # this one
  # the old one under the desk
  - id: desk
    host: me@desk
    models_dir: /srv/models    # an NVMe

models:   # what we serve
  - id: chat
    path: 'chat.gguf'
`;

describe("editing a list of a configuration file", () => {
  it("adds an entry after the last one and leaves every other sign as it was", () => {
    const edited = addToList(FILE, "hives", GPU, []);
    expect(edited).toBe(
      FILE.replace(
        "    models_dir: /srv/models    # an NVMe\n",
        "    models_dir: /srv/models    # an NVMe\n  - id: gpu1\n    host: ssh://me@gpu1:22\n    labels:\n      gpu: rtx4090\n",
      ),
    );
  });

  it("writes what a file without the list had by default, which it would lose", () => {
    const edited = addToList("listen: [127.0.0.1:1] # here", "hives", GPU, [LOCAL]);
    expect(edited.startsWith("listen: [127.0.0.1:1] # here\nhives:\n")).toBe(true);
    expect(parse(edited)).toEqual({ listen: ["127.0.0.1:1"], hives: [LOCAL, GPU] });
    expect(parse(addToList("", "hives", GPU, [LOCAL]))).toEqual({ hives: [LOCAL, GPU] });
    expect(parse(addToList("hives:\n", "hives", GPU, [LOCAL]))).toEqual({ hives: [LOCAL, GPU] });
  });

  it("keeps a list in one line in one line, with the comments around it", () => {
    const edited = addToList("# top\nhives: [] # none yet\nmodels: []\n", "hives", GPU, [LOCAL]);
    expect(parse(edited)).toEqual({ hives: [GPU], models: [] });
    expect(edited).toContain("# top");
    expect(edited).toContain("# none yet");
  });

  it("removes an entry and nothing else", () => {
    expect(removeFromList(addToList(FILE, "hives", GPU, []), "hives", "gpu1")).toBe(FILE);
    const edited = removeFromList(FILE, "hives", "local");
    expect(edited).toBe(FILE.replace("  - {id: local, host: local}   # this one\n", ""));
    const none = removeFromList(edited ?? "", "hives", "desk");
    expect(parse(none ?? "")).toMatchObject({ hives: [], models: [{ id: "chat", path: "chat.gguf" }] });
    expect(none).toContain("# Our machines.");
  });

  it("finds nothing to remove in a file that has no such entry", () => {
    expect(removeFromList(FILE, "hives", "gpu9")).toBeNull();
    expect(removeFromList("listen: []\n", "hives", "local")).toBeNull();
  });

  it("refuses a file that is no YAML", () => {
    expect(() => addToList("hives: [", "hives", GPU, [])).toThrow(expect.objectContaining({ kind: "invalid_config" }));
  });

  it("means what it should, whatever is in the file", () => {
    const id = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/);
    const text = fc.string({ maxLength: 30 });
    const entry = fc.record({ id, host: text, env: fc.dictionary(id, text, { maxKeys: 3 }) });
    fc.assert(
      fc.property(
        fc.uniqueArray(entry, { selector: (one) => one.id, maxLength: 5 }),
        entry,
        fc.boolean(),
        (entries, added, flow) => {
          fc.pre(!entries.some((one) => one.id === added.id));
          const file = stringify({ before: "x", hives: entries, after: 1 }, { collectionStyle: flow ? "flow" : "any" });
          const edited = addToList(file, "hives", added, []);
          expect(parse(edited)).toEqual({ before: "x", hives: [...entries, added], after: 1 });
          expect(parse(removeFromList(edited, "hives", added.id) ?? "")).toEqual({ before: "x", hives: entries, after: 1 });
        },
      ),
    );
  });
});

// A sink of the user's own: a .ts or .js file whose default export makes it, loaded at run time, by the compiled binary too.
// It gets valibot and the contract handed in, and keeps the same promises as those that live here. Its type is its own.
import * as v from "valibot"
import { defineSink, type SinkDeps, textOption } from "../src/sink.ts"
import { loadDeclarations } from "./_module/declarations.ts"
import { guardSink } from "./_module/guard.ts"
import { loadModule } from "./_module/load.ts"

const path = textOption(
  "Full path of a .ts or .js file that only root and this user can write; all other options are its own",
)

export default defineSink({
  type: "module",
  summary: "a sink of your own: a TypeScript or JavaScript file",
  permissions: ["read the file; it runs as the same user, with all of its rights"],
  options: v.strictObject({ path }),
  prints: { types: loadDeclarations },
  async loadActual({ path: file }, deps) {
    const kind = await loadModule(file, deps)
    return {
      ...kind,
      options: v.strictObject({ path, ...kind.options.entries }),
      create: ({ path: _, ...options }, { aws, ...world }) =>
        guardSink(kind.create(options, world as SinkDeps), String(file)),
    }
  },
  create: () => {
    throw new Error("a module is created by the kind that it defines")
  },
})

// Run by the sink suite under Deno without a single permission: makes a sink and names its slots, or dies of the
// first file, socket, variable or program that it touched. Arguments: the sink's file, its options, the registries.
import * as v from "valibot"
import type { Registry } from "../../src/registry.ts"
import type { SinkKind } from "../../src/sink.ts"

const [file = "", options = "", registries = ""] = process.argv.slice(2)
const kind: SinkKind = (await import(file)).default
const refuse = () => {
  throw new Error("a sink must not touch the world while it is created")
}
const sink = kind.create(v.parse(kind.options, JSON.parse(options)), {
  env: {},
  clock: { now: refuse, uptime: refuse, sleep: refuse },
  home: undefined,
  uid: undefined,
  writeOut: refuse,
  fetch: refuse as unknown as typeof fetch,
  aws: { clientConfig: refuse, explain: refuse },
  secret: refuse,
})
const targets = (JSON.parse(registries) as Registry[]).flatMap((registry) => sink.targets(registry))
// A turn, for what was begun and not awaited to fail in.
await new Promise((resolve) => setTimeout(resolve, 20))
console.log(JSON.stringify(targets))

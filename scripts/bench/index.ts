// The benchmarks: `bun run bench [one-shot|bulk]`. They print medians and ratios and judge nothing.
import { benchBulk } from "./bulk.ts"
import { benchOneShot } from "./one-shot.ts"

const BENCHMARKS: Readonly<Record<string, () => Promise<void>>> = {
  "one-shot": benchOneShot,
  bulk: benchBulk,
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !Object.hasOwn(BENCHMARKS, name))
if (unknown.length > 0) {
  console.error(`unknown benchmark ${unknown.join(", ")} (there are ${Object.keys(BENCHMARKS).join(", ")})`)
  process.exit(2)
}
for (const name of wanted.length > 0 ? wanted : Object.keys(BENCHMARKS)) await BENCHMARKS[name]?.()

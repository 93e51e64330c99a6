// Work on several files: what belongs into one is done together, each file on its own.
import { DeliveryError } from "../src/errors.ts"
import type { Delivery, DeliveryResult, Target } from "../src/sink.ts"

/** Does work for each file with all that belongs into it, one after the other; the results in the order of the items. */
export async function byFile<Item, Result>(
  items: readonly Item[],
  pathOf: (item: Item) => string,
  work: (ofFile: readonly Item[], path: string) => Promise<readonly Result[]>,
): Promise<readonly Result[]> {
  const results = new Map<Item, Result>()
  for (const [path, ofFile] of Map.groupBy(items, pathOf)) {
    const done = await work(ofFile, path)
    for (const [i, item] of ofFile.entries()) results.set(item, done[i] as Result)
  }
  return items.map((item) => results.get(item) as Result)
}

/** Delivers file by file: one that cannot be written keeps no other from its logins. */
export function deliverByFile(
  deliveries: readonly Delivery[],
  pathOf: (target: Target) => string,
  deliver: (ofFile: readonly Delivery[], path: string) => Promise<readonly DeliveryResult[]>,
): Promise<readonly DeliveryResult[]> {
  return byFile(
    deliveries,
    ({ target }) => pathOf(target),
    async (ofFile, path) => {
      try {
        return await deliver(ofFile, path)
      } catch (error) {
        if (ofFile.length === deliveries.length || !(error instanceof DeliveryError)) throw error
        return ofFile.map(() => ({ outcome: "failed", error }) as const)
      }
    },
  )
}

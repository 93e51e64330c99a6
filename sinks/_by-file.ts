// Work on several files: what belongs into one is done together, each file on its own.

/** Does work for each file with all that belongs into it, one after the other; the results in the order of the items. */
export async function byFile<Item, Result>(
  items: readonly Item[],
  pathOf: (item: Item) => string,
  work: (ofFile: readonly Item[], first: Item) => Promise<readonly Result[]>,
): Promise<readonly Result[]> {
  const results = new Map<Item, Result>()
  for (const ofFile of Map.groupBy(items, pathOf).values()) {
    const done = await work(ofFile, ofFile[0] as Item)
    for (const [i, item] of ofFile.entries()) results.set(item, done[i] as Result)
  }
  return items.map((item) => results.get(item) as Result)
}

// Several calls at a time, and no more: a service has few workers, or answers so many calls a second and no more.

/** Does work on each item, at most `limit` at a time; the results in order. Begins no more once one has rejected. */
export async function inParallel<Item, Result>(
  limit: number,
  items: readonly Item[],
  work: (item: Item, index: number) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = []
  const left = items.entries()
  let failed = false
  const worker = async () => {
    for (const [i, item] of left) {
      if (failed) return
      try {
        results[i] = await work(item, i)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker))
  return results
}

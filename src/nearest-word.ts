// The word that was probably meant, where one was mistyped: for messages that offer a way out.

/** The word among `words` that `text` was probably meant to be: the only one it begins, or one at most two slips away. */
export function nearestWord(text: string, words: readonly string[]): string | undefined {
  const begun = words.filter((word) => text.length > 2 && word.startsWith(text.toLowerCase()))
  if (begun.length === 1) return begun[0]
  const [best] = words
    .map((word) => ({ word, slips: slipsBetween(text.toLowerCase(), word) }))
    .filter(({ slips }) => slips <= Math.min(2, text.length / 2))
    .sort((a, b) => a.slips - b.slips)
  return best?.word
}

function slipsBetween(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, i) => i)
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= other.length; j += 1)
      next[j] = Math.min(
        (row[j] ?? 0) + 1,
        (next[j - 1] ?? 0) + 1,
        (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1),
      )
    row = next
  }
  return row[other.length] ?? 0
}

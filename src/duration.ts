// Durations as people write and read them: a number and a unit, never a bare number.

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g

/** Milliseconds of `90s`, `30m`, `6h`, `1h30m`, `250ms`; undefined for anything else, a bare number above all. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined
  let totalMs = 0
  for (const [, amount, unit] of text.matchAll(PART))
    totalMs += Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS]
  return totalMs
}

/** The two largest units that say it: `11h 59m`, `4m 30s`, `12s`, `250ms`; never negative. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1000) return `${Math.max(0, Math.round(durationMs))}ms`
  const parts = partsOf(durationMs)
  const first = parts.findIndex(([amount]) => amount > 0)
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join(" ")
}

/** The text that `parseDuration` makes the same duration of: `1d2h3m`, `1m30s`, `250ms`. */
export function exactDuration(durationMs: number): string {
  const parts = [...partsOf(durationMs), [durationMs % 1000, "ms"] as const].filter(([amount]) => amount > 0)
  return parts.map(([amount, unit]) => `${amount}${unit}`).join("") || "0s"
}

function partsOf(durationMs: number) {
  const seconds = Math.floor(durationMs / 1000)
  return [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ] as const
}

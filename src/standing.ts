// How things stand, in a line for `systemctl status`: how many targets are fresh, what is wrong, and when it goes on.
import type { Attempt } from "./daemon.ts"
import type { PlannedDelivery } from "./plan.ts"
import { counted, describeError, formatTime } from "./report.ts"

/** What is known of the targets of a loop. */
export type Standing = {
  note(attempt: Attempt): void
  /** The line, at a moment in milliseconds since 1970. */
  format(now: number): string
}

type Known = {
  readonly error?: unknown
  /** What the target holds, as far as this process wrote or saw it. */
  readonly expiresAt?: number | undefined
  readonly nextAt: number
}

/** A standing in which nothing was tried yet. */
export function createStanding(deliveries: readonly PlannedDelivery[], clock: { now(): number }): Standing {
  const known = new Map<PlannedDelivery, Known>()
  return {
    note({ delivery, outcome, nextMs }) {
      const { error } = outcome
      const expiresAt = error === undefined ? outcome.expiresAt : known.get(delivery)?.expiresAt
      known.set(delivery, { error, expiresAt, nextAt: clock.now() + nextMs })
    },
    format(now) {
      const all = [...known.values()]
      const failing = all.filter(({ error }) => error !== undefined)
      const goodCount = all.length - failing.length
      const [worst] = failing
      const count =
        goodCount === deliveries.length
          ? `${counted(goodCount, "target")} fresh`
          : `${goodCount} of ${counted(deliveries.length, "target")} fresh`
      return [
        count,
        worst ? complaint(worst, failing.length, now) : undefined,
        next(worst ? failing : all, worst),
      ]
        .filter(Boolean)
        .join(worst ? "; " : ", ")
    },
  }
}

// A message says itself whom it is about.
function complaint({ error, expiresAt }: Known, count: number, now: number): string {
  const { message: about } = describeError(error)
  const more = count > 1 ? ` (and ${count - 1} more)` : ""
  if (expiresAt === undefined) return `${about}${more}`
  const held = expiresAt > now ? `holds a login until ${formatTime(expiresAt)}` : "its login has expired"
  return `${about}${more}; ${held}`
}

function next(of: readonly Known[], worst: Known | undefined): string | undefined {
  const times = of.map(({ nextAt }) => nextAt)
  if (times.length === 0) return undefined
  return `next ${worst ? "attempt" : "refresh"} ${formatTime(Math.min(...times))}`
}

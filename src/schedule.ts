// When to do what: pure functions of instants. A refresh at half of the real life or at the given interval, always
// well before expiry; a failed attempt again after a while that doubles.
import type { Clock } from "./clock.ts"
import { TOKEN_LIFETIME_MS } from "./credential.ts"

const HOUR_MS = 3_600_000

/** A wall-clock instant with its twin on the uptime clock: whichever comes first counts. */
export type Due = { readonly at: number; readonly uptime: number }

/** What the two clocks show at one moment. */
export type Moment = { readonly now: number; readonly uptime: number }

/** The present moment. */
export function momentOf(clock: Pick<Clock, "now" | "uptime">): Moment {
  return { now: clock.now(), uptime: clock.uptime() }
}

/** Due by any clock. */
export const NOW: Due = { at: 0, uptime: 0 }

/** The instant that lies `durationMs` ahead on both clocks, so that neither a step nor suspend can hide it. */
export function dueIn(durationMs: number, { now, uptime }: Moment): Due {
  return { at: now + durationMs, uptime: uptime + durationMs }
}

/** Whether either clock has reached it. */
export function isDue(due: Due, { now, uptime }: Moment): boolean {
  return now >= due.at || uptime >= due.uptime
}

/** How long until something is due, in milliseconds; 0 when it is. */
export function untilDue(due: Due, { now, uptime }: Moment): number {
  return Math.max(0, Math.min(due.at - now, due.uptime - uptime))
}

/** Time kept before expiry for trouble and alarms: an hour, of shorter lives a tenth. */
export function expiryMargin(lifetimeMs: number): number {
  return Math.min(HOUR_MS, lifetimeMs / 10)
}

/**
 * How long after a token was fetched the next one is fetched, in milliseconds. `random` is in [0, 1): up to a tenth
 * earlier, so that many machines do not ask in the same second.
 */
export function refreshDelay(
  remainingMs: number,
  intervalMs: number | undefined,
  random: number,
): { readonly delayMs: number; readonly marginWins: boolean } {
  if (remainingMs <= 0) return { delayMs: DEAD_ON_ARRIVAL_MS, marginWins: false }
  // More than a whole life left means that this machine's clock is behind.
  const lifeMs = Math.min(remainingMs, TOKEN_LIFETIME_MS)
  const wantedMs = intervalMs ?? lifeMs / 2
  const latestMs = lifeMs - expiryMargin(lifeMs)
  const delayMs = Math.min(wantedMs, latestMs) * (1 - random / 10)
  return { delayMs: Math.max(LEAST_DELAY_MS, delayMs), marginWins: wantedMs > latestMs }
}

/**
 * How long a login that was found in place is left alone, in milliseconds: no longer than it is good for at least `leastMs`.
 * When it was fetched is not known, so the person's own margin before expiry counts too.
 */
export function keptDelay(
  remainingMs: number,
  leastMs: number,
  intervalMs: number | undefined,
  random: number,
): number {
  const { delayMs } = refreshDelay(remainingMs, intervalMs, random)
  return Math.max(LEAST_DELAY_MS, Math.min(delayMs, (remainingMs - leastMs) * (1 - random / 10)))
}

// However short a life, AWS is not asked more often than this.
const LEAST_DELAY_MS = 1000

// A token that has expired when it comes tells of a clock that is ahead, not of a life that could be halved.
const DEAD_ON_ARRIVAL_MS = 5 * 60_000

/** Whether a token is past half of its life, when a retry fetches a new one instead of using it again. */
export function isPastHalf(fetchedAt: number, expiresAt: number, now: number): boolean {
  return expiresAt > fetchedAt && now - fetchedAt > (expiresAt - fetchedAt) / 2
}

/**
 * How long to wait after the n-th failure in a row (from 1), in milliseconds, between half and all of a span that
 * doubles: from 1 second to 5 minutes for what may pass by itself; from 15 seconds to 15 minutes for what needs a
 * person or a permission, which may come while we run.
 */
export function backoffDelay(failures: number, retryable: boolean, random: number): number {
  const [firstMs, mostMs] = retryable ? [1000, 5 * 60_000] : [15_000, 15 * 60_000]
  const spanMs = Math.min(mostMs, firstMs * 2 ** Math.min(failures - 1, 20))
  return spanMs * (0.5 + random / 2)
}

// Tokens at hand: at most one call to AWS per source and refresh, however many sinks and registries wait for it.
// A failed call is remembered until its back-off is over, so that many sinks do not ask in turn for what just failed.
import { type Clock, withDeadline } from "./clock.ts"
import type { Aws, Token } from "./ecr.ts"
import { FetchError } from "./errors.ts"
import type { PlannedDelivery } from "./plan.ts"
import { backoffDelay, type Due, dueIn, isDue, isPastHalf, momentOf, NOW, refreshDelay } from "./schedule.ts"
import { type Source, sourceKey } from "./source.ts"

/** A token and when it was fetched and is to be fetched again. */
export type HeldToken = {
  readonly token: Token
  readonly fetchedAt: number
  readonly refresh: Due
  /** The deliveries whose targets hold it. */
  readonly takers: Set<PlannedDelivery>
}

/** Tokens by source. */
export type TokenStore = {
  /** A token that is not yet to be fetched again. Rejects with a FetchError. */
  get(source: Source, signal: AbortSignal): Promise<HeldToken>
  /** The token at hand where AWS gives no new one, if it still lives; due when AWS is worth asking again. */
  lastResort(source: Source): HeldToken | undefined
  /** When a source is worth asking again after a failure. */
  retryOf(source: Source): Due | undefined
  /** Makes the next `get` of every source ask anew. */
  forget(): void
}

/** What the store uses. */
export type TokenStoreDeps = {
  readonly aws: Aws
  readonly clock: Clock
  readonly random: () => number
  readonly intervalMs: number | undefined
  /** Bounds one call, in milliseconds. */
  readonly timeoutMs: number
  /** Told when expiry comes too early for the interval, once per token. */
  readonly onMarginWins?: (source: Source, delayMs: number) => void
}

type Entry = {
  held?: HeldToken
  inFlight?: Promise<HeldToken>
  failures: number
  failed?: { readonly error: FetchError; readonly retry: Due }
}

/** An empty store. */
export function createTokenStore(deps: TokenStoreDeps): TokenStore {
  const { aws, clock, random } = deps
  const entries = new Map<string, Entry>()
  const entryOf = (source: Source): Entry => {
    const key = sourceKey(source)
    const entry = entries.get(key) ?? { failures: 0 }
    entries.set(key, entry)
    return entry
  }

  async function ask(source: Source, entry: Entry, signal: AbortSignal): Promise<HeldToken> {
    try {
      const token = await withDeadline(deps.timeoutMs, clock, signal, (bounded) =>
        aws.fetchToken(source, bounded),
      )
      const fetchedAt = clock.now()
      const { delayMs, marginWins } = refreshDelay(token.expiresAt - fetchedAt, deps.intervalMs, random())
      if (marginWins) deps.onMarginWins?.(source, delayMs)
      entry.held = { token, fetchedAt, refresh: dueIn(delayMs, momentOf(clock)), takers: new Set() }
      entry.failures = 0
      delete entry.failed
      return entry.held
    } catch (error) {
      if (error instanceof FetchError) {
        entry.failures += 1
        const retry = dueIn(backoffDelay(entry.failures, error.retryable, random()), momentOf(clock))
        entry.failed = { error, retry }
      }
      throw error
    } finally {
      delete entry.inFlight
    }
  }

  return {
    async get(source, signal) {
      const entry = entryOf(source)
      if (entry.inFlight) return entry.inFlight
      const { held, failed } = entry
      if (
        held &&
        !isDue(held.refresh, momentOf(clock)) &&
        !isPastHalf(held.fetchedAt, held.token.expiresAt, clock.now())
      )
        return held
      if (failed && !isDue(failed.retry, momentOf(clock))) throw failed.error
      entry.inFlight = ask(source, entry, signal)
      return entry.inFlight
    },
    lastResort(source) {
      const { held, failed } = entryOf(source)
      if (!held || !failed || held.token.expiresAt <= clock.now()) return undefined
      return { ...held, refresh: failed.retry }
    },
    retryOf: (source) => entryOf(source).failed?.retry,
    forget() {
      for (const entry of entries.values()) {
        if (entry.held) entry.held = { ...entry.held, refresh: NOW }
        delete entry.failed
      }
    },
  }
}

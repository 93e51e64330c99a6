// A refresh: fetch what is due and deliver it. Each token is fetched once, each sink called with all that is ready.
// Nobody waits for another's failure: a sink gets what has arrived, the rest when it comes.
import type { Clock } from "./clock.ts"
import { type DeliveryDeps, deliver, type Ready } from "./delivery.ts"
import { FetchError, isRetryable } from "./errors.ts"
import { failed, type Outcome } from "./outcome.ts"
import type { PlannedDelivery, PlannedSink } from "./plan.ts"
import { backoffDelay, momentOf, untilDue } from "./schedule.ts"
import { type Source, sourceKey } from "./source.ts"
import type { HeldToken, TokenStore } from "./tokens.ts"

/** What a refresh uses, beside what a delivery uses. */
export type RefreshDeps = DeliveryDeps & {
  readonly tokens: TokenStore
  readonly random: () => number
  /** Accounts by source, as they become known. */
  readonly accounts: Map<string, string>
}

// After the first token is there, how long a sink's other tokens are waited for, so that one call delivers them all.
const GATHER_MS = 1000

/** Fetches and delivers what is due; an outcome for each, in order. Never rejects. */
export async function refresh(
  due: readonly PlannedDelivery[],
  deps: RefreshDeps,
  signal: AbortSignal,
): Promise<readonly Outcome[]> {
  const outcomes = new Map<PlannedDelivery, Outcome>()
  const bySink = Map.groupBy(due, ({ sink }) => sink)
  await Promise.all(
    [...bySink].map(([sink, deliveries]) => refreshSink(sink, deliveries, outcomes, deps, signal)),
  )
  return due.map((delivery) => outcomes.get(delivery) as Outcome)
}

/** Refreshes, and again what failed for now, until all is settled or `deadline` (milliseconds since 1970) is near. */
export async function refreshUntil(
  deadline: number,
  all: readonly PlannedDelivery[],
  deps: RefreshDeps,
  signal: AbortSignal,
  onRetry: (failed: readonly Outcome[], delayMs: number) => void,
): Promise<readonly Outcome[]> {
  const outcomes = new Map<PlannedDelivery, Outcome>()
  let due = all
  for (let attempt = 1; ; attempt += 1) {
    const results = await refresh(due, deps, signal)
    for (const [i, delivery] of due.entries()) {
      const result = results[i] as Outcome
      // An attempt that the deadline cut short says less than the one before it.
      if (!(signal.aborted && result.outcome === "failed" && outcomes.has(delivery)))
        outcomes.set(delivery, result)
    }
    due = due.filter((delivery) => isRetryable(outcomes.get(delivery)?.error))
    const delayMs = retryDelay(due, attempt, deps)
    if (due.length === 0 || signal.aborted || deps.clock.now() + delayMs >= deadline) break
    onRetry(
      due.map((delivery) => outcomes.get(delivery) as Outcome),
      delayMs,
    )
    await deps.clock.sleep(delayMs, signal).catch(() => undefined)
    if (signal.aborted) break
  }
  return all.map((delivery) => outcomes.get(delivery) as Outcome)
}

// No sooner than the token store is willing to ask AWS again.
function retryDelay(
  due: readonly PlannedDelivery[],
  attempt: number,
  { tokens, clock, random }: RefreshDeps,
): number {
  const moment = momentOf(clock)
  const retries = due
    .map(({ planned }) => tokens.retryOf(planned.source))
    .filter((retry) => retry !== undefined)
  return Math.max(backoffDelay(attempt, true, random()), ...retries.map((retry) => untilDue(retry, moment)))
}

async function refreshSink(
  sink: PlannedSink,
  due: readonly PlannedDelivery[],
  outcomes: Map<PlannedDelivery, Outcome>,
  deps: RefreshDeps,
  signal: AbortSignal,
): Promise<void> {
  const ready: Ready[] = []
  const pending = new Set<Promise<void>>()
  for (const deliveries of Map.groupBy(due, ({ planned }) => sourceKey(planned.source)).values()) {
    const fetching = makeReady(deliveries, ready, outcomes, deps, signal).finally(() =>
      pending.delete(fetching),
    )
    pending.add(fetching)
  }
  while (pending.size > 0 || ready.length > 0) {
    if (ready.length === 0) await Promise.race(pending)
    if (ready.length > 0 && pending.size > 0) await gather(pending, deps.clock)
    const arrived = ready.splice(0)
    if (arrived.length === 0) continue
    const results = await deliver(sink, arrived, deps, signal)
    for (const [i, { delivery, held }] of arrived.entries()) {
      const result = results[i] as Outcome
      outcomes.set(delivery, result)
      if (result.outcome !== "failed") held.takers.add(delivery)
    }
  }
}

/** Fetches the token that all these deliveries wait for: they go to `ready`, or to `outcomes` as failed. Never rejects. */
async function makeReady(
  deliveries: readonly PlannedDelivery[],
  ready: Ready[],
  outcomes: Map<PlannedDelivery, Outcome>,
  deps: RefreshDeps,
  signal: AbortSignal,
): Promise<void> {
  const [{ planned }] = deliveries as readonly [PlannedDelivery]
  try {
    const held = await fetchToken(planned.source, deps, signal)
    ready.push(...deliveries.map((delivery) => ({ delivery, held })))
  } catch (error) {
    // For a target that missed the old token when it was new, the rest of its life is better than nothing.
    const old = signal.aborted ? undefined : deps.tokens.lastResort(planned.source)
    for (const delivery of deliveries)
      if (old && error instanceof FetchError && !old.takers.has(delivery))
        ready.push({ delivery, held: old, warning: `${OLD_TOKEN}: ${error.message}` })
      else outcomes.set(delivery, failed(delivery, error, deps.accounts))
  }
}

const OLD_TOKEN = "AWS gives no new token, so this is the one at hand"

async function gather(pending: ReadonlySet<Promise<void>>, clock: Clock): Promise<void> {
  const over = new AbortController()
  await Promise.race([Promise.all(pending), clock.sleep(GATHER_MS, over.signal).catch(() => undefined)])
  over.abort()
}

async function fetchToken(
  source: Source,
  { tokens, accounts }: RefreshDeps,
  signal: AbortSignal,
): Promise<HeldToken> {
  const held = await tokens.get(source, signal)
  if (held.token.account) accounts.set(sourceKey(source), held.token.account)
  return held
}

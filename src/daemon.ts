// The loop of `run`: every sink keeps its own time, so that one that fails or hangs holds up no other.
// Tokens are shared: sinks that come due together wait for one call.
import { FetchError, isRetryable } from "./errors.ts"
import type { Outcome } from "./outcome.ts"
import type { PlannedDelivery, PlannedSink } from "./plan.ts"
import { type RefreshDeps, refresh } from "./refresh.ts"
import { backoffDelay, type Due, dueIn, isDue, keptDelay, momentOf, NOW, untilDue } from "./schedule.ts"

/** What the loop uses, beside what a refresh uses. */
export type DaemonDeps = RefreshDeps & {
  readonly intervalMs: number | undefined
  /** How much life, in milliseconds, is enough to leave alone what was found. */
  readonly minRemainingMs?: number | undefined
  /** Told of every attempt; those that one turn made come together. */
  readonly onAttempts: (attempts: readonly Attempt[]) => void
  /** Told once, when every target of a sink that is not optional holds a fresh login. */
  readonly onReady: () => void
  /** Told at every turn of a sink's loop while no other sink's loop is late: all of them are alive. */
  readonly onTurn?: () => void
  /** Takes what makes every target due at once. */
  readonly onRefreshNow?: (refreshNow: () => void) => void
}

/** An attempt among others. `failures` counts those in a row before it, `nextMs` says when the next one comes. */
export type Attempt = {
  readonly delivery: PlannedDelivery
  readonly outcome: Outcome
  readonly failures: number
  readonly nextMs: number
}

type State = { due: Due; failures: number; fresh: boolean }

// What wakes every loop early. By the count, a loop knows whether it was woken while it was at work.
type Wake = { count: number; sleep: AbortController }

// How long to sleep at most before looking at both clocks again: what a suspend or a clock step can cost.
const LONGEST_SLEEP_MS = 60_000

/** How long a turn of a sink's loop may take: a sleep, a fetch, a delivery, each to its end, and some grace. */
export function longestTurn(timeoutMs: number): number {
  return LONGEST_SLEEP_MS + 2 * timeoutMs + 30_000
}

/** Keeps all fresh until the signal is aborted. `kept` holds the outcomes of those that need nothing now. */
export async function runDaemon(
  all: readonly PlannedDelivery[],
  deps: DaemonDeps,
  signal: AbortSignal,
  kept: ReadonlyMap<PlannedDelivery, Outcome> = new Map(),
): Promise<void> {
  const { intervalMs, minRemainingMs = 0, random } = deps
  const moment = momentOf(deps.clock)
  const states = new Map<PlannedDelivery, State>()
  const attempts: Attempt[] = []
  for (const delivery of all) {
    const outcome = kept.get(delivery)
    const remainingMs = (outcome?.expiresAt ?? 0) - moment.now
    const nextMs = outcome ? keptDelay(remainingMs, minRemainingMs, intervalMs, random()) : 0
    states.set(delivery, {
      due: outcome ? dueIn(nextMs, moment) : NOW,
      failures: 0,
      fresh: outcome !== undefined,
    })
    if (outcome) attempts.push({ delivery, outcome, failures: 0, nextMs })
  }
  deps.onAttempts(attempts)
  const ready = readiness(states, deps.onReady)
  const wake: Wake = { count: 0, sleep: new AbortController() }
  deps.onRefreshNow?.(() => {
    deps.tokens.forget()
    for (const state of states.values()) state.due = NOW
    wake.count += 1
    wake.sleep.abort()
    wake.sleep = new AbortController()
  })
  const bySink = Map.groupBy(states.keys(), ({ sink }) => sink)
  const turn = turnReporter(bySink.keys(), deps)
  await Promise.all(
    [...bySink].map(([sink, deliveries]) =>
      keepFresh(deliveries, { states, wake, ready, turn: () => turn(sink) }, deps, signal),
    ),
  )
}

// Reports each turn, unless the last turn of some sink is too long ago.
function turnReporter(
  sinks: Iterable<PlannedSink>,
  { clock, timeoutMs, onTurn }: DaemonDeps,
): (sink: PlannedSink) => void {
  const last = new Map([...sinks].map((sink) => [sink, clock.uptime()]))
  return (sink) => {
    last.set(sink, clock.uptime())
    if (Math.min(...last.values()) >= clock.uptime() - longestTurn(timeoutMs)) onTurn?.()
  }
}

/** What the loops share. */
type Loops = {
  readonly states: ReadonlyMap<PlannedDelivery, State>
  readonly wake: Wake
  readonly ready: () => void
  readonly turn: () => void
}

async function keepFresh(
  deliveries: readonly PlannedDelivery[],
  { states, wake, ready, turn }: Loops,
  deps: DaemonDeps,
  signal: AbortSignal,
): Promise<void> {
  const stateOf = (delivery: PlannedDelivery) => states.get(delivery) as State
  const { clock } = deps
  while (!signal.aborted) {
    turn()
    const { count } = wake
    const due = deliveries.filter((delivery) => isDue(stateOf(delivery).due, momentOf(clock)))
    const outcomes = await refresh(due, deps, signal)
    const attempts: Attempt[] = []
    for (const [i, delivery] of due.entries()) {
      const outcome = outcomes[i] as Outcome
      // What failed because we stop is not worth an alarm.
      if (signal.aborted && outcome.outcome === "failed") continue
      const state = stateOf(delivery)
      const { failures } = state
      settle(state, delivery, outcome, deps)
      if (wake.count > count) state.due = NOW
      attempts.push({ delivery, outcome, failures, nextMs: untilDue(state.due, momentOf(clock)) })
    }
    deps.onAttempts(attempts)
    if (signal.aborted) return
    ready()
    turn()
    const waitMs = Math.min(...deliveries.map((delivery) => untilDue(stateOf(delivery).due, momentOf(clock))))
    const woken = AbortSignal.any([signal, wake.sleep.signal])
    await clock.sleep(Math.min(waitMs, LONGEST_SLEEP_MS), woken).catch(() => undefined)
  }
}

function settle(
  state: State,
  { planned }: PlannedDelivery,
  { outcome, error, refresh: refreshDue }: Outcome,
  deps: DaemonDeps,
): void {
  const { clock, tokens, random } = deps
  if (outcome !== "failed") {
    state.failures = 0
    state.fresh = true
    // The due of the very token that was delivered: another sink may have fetched a newer one meanwhile.
    state.due = refreshDue ?? NOW
    return
  }
  state.failures += 1
  const backoff = dueIn(backoffDelay(state.failures, isRetryable(error), random()), momentOf(clock))
  state.due = error instanceof FetchError ? (tokens.retryOf(planned.source) ?? backoff) : backoff
}

function readiness(states: ReadonlyMap<PlannedDelivery, State>, onReady: () => void): () => void {
  let told = false
  return () => {
    if (told) return
    for (const [{ sink }, { fresh, failures }] of states)
      if (!fresh && !(sink.optional && failures > 0)) return
    told = true
    onReady()
  }
}

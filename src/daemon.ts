// The loop of `run`: every sink keeps its own time, so that one that fails or hangs holds up no other.
// Tokens are shared: sinks that come due together wait for one call.
import { FetchError, isRetryable } from "./errors.ts"
import type { Outcome } from "./outcome.ts"
import type { PlannedDelivery } from "./plan.ts"
import { type RefreshDeps, refresh } from "./refresh.ts"
import { backoffDelay, type Due, dueIn, isDue, NOW, refreshDelay, untilDue } from "./schedule.ts"

/** What the loop uses, beside what a refresh uses. */
export type DaemonDeps = RefreshDeps & {
  readonly intervalMs: number | undefined
  /** Told of every attempt; `failures` counts those in a row before it, `nextMs` says when the next one comes. */
  readonly onOutcome: (
    outcome: Outcome,
    about: { readonly failures: number; readonly nextMs: number },
  ) => void
  /** Told once, when every target of a sink that is not optional holds a fresh login. */
  readonly onReady: () => void
}

type State = { due: Due; failures: number; fresh: boolean }

// How long to sleep at most before looking at both clocks again: what a suspend or a clock step can cost.
const LONGEST_SLEEP_MS = 60_000

/** Keeps all fresh until the signal is aborted. `fresh` are those of them that need nothing now, with their expiry. */
export async function runDaemon(
  all: readonly PlannedDelivery[],
  deps: DaemonDeps,
  signal: AbortSignal,
  fresh: ReadonlyMap<PlannedDelivery, number> = new Map(),
): Promise<void> {
  const moment = { now: deps.clock.now(), uptime: deps.clock.uptime() }
  const states = new Map<PlannedDelivery, State>()
  for (const delivery of all) {
    const expiresAt = fresh.get(delivery)
    const due =
      expiresAt === undefined
        ? NOW
        : dueIn(refreshDelay(expiresAt - moment.now, deps.intervalMs, deps.random()).delayMs, moment)
    states.set(delivery, { due, failures: 0, fresh: expiresAt !== undefined })
  }
  const ready = readiness(states, deps.onReady)
  const bySink = Map.groupBy(states.keys(), ({ sink }) => sink)
  await Promise.all(
    [...bySink.values()].map((deliveries) => keepFresh(deliveries, states, deps, ready, signal)),
  )
}

async function keepFresh(
  deliveries: readonly PlannedDelivery[],
  states: ReadonlyMap<PlannedDelivery, State>,
  deps: DaemonDeps,
  ready: () => void,
  signal: AbortSignal,
): Promise<void> {
  const stateOf = (delivery: PlannedDelivery) => states.get(delivery) as State
  const { clock } = deps
  const moment = () => ({ now: clock.now(), uptime: clock.uptime() })
  while (!signal.aborted) {
    const due = deliveries.filter((delivery) => isDue(stateOf(delivery).due, moment()))
    const outcomes = await refresh(due, deps, signal)
    for (const [i, delivery] of due.entries()) {
      const outcome = outcomes[i] as Outcome
      // What failed because we stop is not worth an alarm.
      if (signal.aborted && outcome.outcome === "failed") continue
      const state = stateOf(delivery)
      const { failures } = state
      settle(state, delivery, outcome, deps)
      deps.onOutcome(outcome, { failures, nextMs: untilDue(state.due, moment()) })
    }
    if (signal.aborted) return
    ready()
    const waitMs = Math.min(...deliveries.map((delivery) => untilDue(stateOf(delivery).due, moment())))
    await clock.sleep(Math.min(waitMs, LONGEST_SLEEP_MS), signal).catch(() => undefined)
  }
}

function settle(
  state: State,
  { planned }: PlannedDelivery,
  { outcome, error, refresh: refreshDue }: Outcome,
  deps: DaemonDeps,
): void {
  const { clock, tokens, random } = deps
  const moment = { now: clock.now(), uptime: clock.uptime() }
  if (outcome !== "failed") {
    state.failures = 0
    state.fresh = true
    // The due of the very token that was delivered: another sink may have fetched a newer one meanwhile.
    state.due = refreshDue ?? NOW
    return
  }
  state.failures += 1
  const backoff = dueIn(backoffDelay(state.failures, isRetryable(error), random()), moment)
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

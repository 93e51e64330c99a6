// A refresh: fetch what is due and deliver it. Each token is fetched once, each sink called with all that is ready.
// Nobody waits for another's failure: a sink gets what has arrived, the rest when it comes.
import type { Clock } from "./clock.ts"
import type { Credential } from "./credential.ts"
import { formatSource } from "./ecr.ts"
import { DeliveryError, FetchError } from "./errors.ts"
import {
  duplicateMessage,
  formatRegistry,
  type Plan,
  type PlannedDelivery,
  type PlannedSink,
  registryOf,
  sourceKey,
  targetsOf,
} from "./plan.ts"
import { formatPrincipal } from "./principal.ts"
import { backoffDelay, untilDue } from "./schedule.ts"
import type { DeliveryResult, Target } from "./sink.ts"
import type { HeldToken, TokenStore } from "./tokens.ts"

/** What became of one planned delivery. */
export type Outcome = {
  readonly sink: string
  /** The target's name; for an own registry whose account is not known, the registry in words. */
  readonly target: string
  readonly registry: string
  readonly outcome: "delivered" | "unchanged" | "failed" | "skipped"
  /** What the target holds now, in milliseconds since 1970; undefined where that is not known. */
  readonly expiresAt?: number | undefined
  readonly warning?: string | undefined
  /** A FetchError, a DeliveryError, or a bug. */
  readonly error?: unknown
}

export type RefreshDeps = {
  readonly plan: Plan
  readonly tokens: TokenStore
  readonly clock: Clock
  readonly random: () => number
  /** Bounds one call of a sink, in milliseconds. */
  readonly timeoutMs: number
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
    due.forEach((delivery, i) => {
      outcomes.set(delivery, results[i] as Outcome)
    })
    due = due.filter((delivery) => isRetryable(outcomes.get(delivery)?.error))
    const delayMs = retryDelay(due, attempt, deps)
    if (due.length === 0 || signal.aborted || deps.clock.now() + delayMs >= deadline) break
    onRetry(
      due.map((delivery) => outcomes.get(delivery) as Outcome),
      delayMs,
    )
    await deps.clock.sleep(delayMs, signal).catch(() => undefined)
  }
  return all.map((delivery) => outcomes.get(delivery) as Outcome)
}

/** Whether an error says of itself that the same call may succeed in a moment. */
export function isRetryable(error: unknown): boolean {
  return (error instanceof FetchError || error instanceof DeliveryError) && error.retryable
}

// No sooner than the token store is willing to ask AWS again.
function retryDelay(
  due: readonly PlannedDelivery[],
  attempt: number,
  { tokens, clock, random }: RefreshDeps,
): number {
  const moment = { now: clock.now(), uptime: clock.uptime() }
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
  const ready: { delivery: PlannedDelivery; held: HeldToken }[] = []
  const pending = new Set<Promise<void>>()
  for (const deliveries of Map.groupBy(due, ({ planned }) => sourceKey(planned.source)).values()) {
    const [first] = deliveries
    if (!first) continue
    const fetching = fetch(first.planned.source, deps, signal)
      .then((held) => void ready.push(...deliveries.map((delivery) => ({ delivery, held }))))
      .catch((error) => {
        for (const delivery of deliveries) outcomes.set(delivery, failed(delivery, error, deps))
      })
      .finally(() => pending.delete(fetching))
    pending.add(fetching)
  }
  while (pending.size > 0 || ready.length > 0) {
    if (ready.length === 0) await Promise.race(pending)
    if (ready.length > 0 && pending.size > 0) await gather(pending, deps.clock)
    await deliver(sink, ready.splice(0), outcomes, deps, signal)
  }
}

async function gather(pending: ReadonlySet<Promise<void>>, clock: Clock): Promise<void> {
  const over = new AbortController()
  await Promise.race([Promise.all(pending), clock.sleep(GATHER_MS, over.signal).catch(() => undefined)])
  over.abort()
}

async function fetch(
  source: PlannedDelivery["planned"]["source"],
  { tokens, accounts }: RefreshDeps,
  signal: AbortSignal,
): Promise<HeldToken> {
  const held = await tokens.get(source, signal)
  if (held.token.account) accounts.set(sourceKey(source), held.token.account)
  return held
}

async function deliver(
  sink: PlannedSink,
  ready: readonly { delivery: PlannedDelivery; held: HeldToken }[],
  outcomes: Map<PlannedDelivery, Outcome>,
  deps: RefreshDeps,
  signal: AbortSignal,
): Promise<void> {
  const duplicates = duplicateTargets(deps)
  const parcels: { delivery: PlannedDelivery; target: Target; credential: Credential }[] = []
  for (const { delivery, held } of ready) {
    const target = targetOf(delivery, deps)
    const refusal = target ? duplicates.get(target.name) : undefined
    if (!target || refusal)
      outcomes.set(delivery, failed(delivery, target ? refusal : noAccount(delivery), deps))
    else parcels.push({ delivery, target, credential: { ...held.token, registry: target.registry } })
  }
  if (parcels.length === 0) return
  const results = await callSink(sink, parcels, deps, signal)
  parcels.forEach(({ delivery }, i) => {
    const result = results[i]
    outcomes.set(
      delivery,
      result?.outcome === "failed"
        ? failed(delivery, result.error, deps)
        : { ...described(delivery, deps), outcome: "delivered", ...result },
    )
  })
}

async function callSink(
  { sink }: PlannedSink,
  parcels: readonly { target: Target; credential: Credential }[],
  deps: RefreshDeps,
  signal: AbortSignal,
): Promise<readonly DeliveryResult[]> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(deps.timeoutMs)])
  try {
    return await orAborted(sink.deliver(parcels, bounded), bounded)
  } catch (cause) {
    return parcels.map(({ target }) => ({
      outcome: "failed",
      error: asSinkError(cause, sink.type, target, bounded),
    }))
  }
}

function asSinkError(cause: unknown, type: string, target: Target, signal: AbortSignal): DeliveryError {
  // Bugs travel as they are, to be shown with their stack.
  if (cause instanceof DeliveryError || !signal.aborted) return cause as DeliveryError
  return new DeliveryError(`${type} ${target.name}: not done in time`, {
    sink: type,
    target: target.name,
    code: "timeout",
    hint: "see whether the target is slow or hangs, or allow more with --timeout",
    retryable: true,
    cause,
  })
}

// A sink that does not heed its signal must not hold up the rest for ever: it gets a moment to tidy up, no more.
const TIDY_UP_MS = 2000

function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => {
      setTimeout(() => reject(signal.reason), TIDY_UP_MS).unref?.()
    }
    signal.addEventListener("abort", giveUp, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", giveUp))
  })
}

function targetOf({ sink, planned, index }: PlannedDelivery, { accounts }: RefreshDeps): Target | undefined {
  return targetsOf(sink, planned, accounts.get(sourceKey(planned.source)))[index]
}

// Looked for again with every account that is known by now: an own registry may turn out to be a named one.
function duplicateTargets({ plan, accounts }: RefreshDeps): ReadonlyMap<string, DeliveryError> {
  const owners = new Map<string, PlannedDelivery["planned"]>()
  const refusals = new Map<string, DeliveryError>()
  for (const sink of plan.sinks)
    for (const planned of sink.registries)
      for (const { name } of targetsOf(sink, planned, accounts.get(sourceKey(planned.source)))) {
        const owner = owners.get(name)
        owners.set(name, planned)
        if (!owner) continue
        const about = { sink: sink.sink.type, target: name, code: "duplicate-target", retryable: false }
        refusals.set(name, new DeliveryError(duplicateMessage(name, owner, planned), about))
      }
  return refusals
}

function noAccount({ planned }: PlannedDelivery): FetchError {
  return new FetchError(
    `${formatSource(planned.source)}: AWS did not say which registry is the caller's own`,
    {
      code: "no-account",
      hint: "name the registry with --registry",
      retryable: false,
      principal: formatPrincipal(planned.source.principal),
      registry: formatSource(planned.source),
    },
  )
}

function failed(delivery: PlannedDelivery, error: unknown, deps: RefreshDeps): Outcome {
  return { ...described(delivery, deps), outcome: "failed", error }
}

/** Sink, target and registry of a delivery as far as they are known. */
export function described(
  delivery: PlannedDelivery,
  { accounts }: Pick<RefreshDeps, "accounts">,
): Pick<Outcome, "sink" | "target" | "registry"> {
  const account = accounts.get(sourceKey(delivery.planned.source))
  const registry = registryOf(delivery.planned, account)
  const target = targetsOf(delivery.sink, delivery.planned, account)[delivery.index]
  return {
    sink: delivery.sink.sink.type,
    target: target?.name ?? formatRegistry(delivery.planned),
    registry: registry?.host ?? formatRegistry(delivery.planned),
  }
}

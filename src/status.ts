// Status: what every target holds, and whether that is fresh. Reads only.
import type { Clock } from "./clock.ts"
import { isBelievable } from "./credential.ts"
import type { Aws } from "./ecr.ts"
import { DeliveryError, type FetchError } from "./errors.ts"
import { described } from "./outcome.ts"
import { type Plan, type PlannedDelivery, type PlannedSink, targetsOf } from "./plan.ts"
import type { Held, Target } from "./sink.ts"
import { callSink } from "./sink-call.ts"
import { sourceKey } from "./source.ts"

/** Less than this left makes a login stale where nothing else is asked for: a third of its life. */
export const DEFAULT_MIN_REMAINING_MS = 4 * 3_600_000

/** One target and what it holds. */
export type TargetStatus = {
  readonly sink: string
  readonly target: string
  readonly registry: string
  readonly state: "fresh" | "stale" | "expired" | "missing" | "unknown" | "unreadable"
  /** Milliseconds since 1970; undefined where it is not known. */
  readonly expiresAt?: number | undefined
  readonly remainingMs?: number | undefined
  readonly message?: string | undefined
  readonly hint?: string | undefined
}

/** What is needed to judge: the time, and how much life is enough, in milliseconds. */
export type StatusDeps = { readonly clock: Clock; readonly minRemainingMs: number }

/** The accounts behind own registries, by source: one call per identity. What AWS refuses is kept as its error. */
export async function loadAccounts(
  plan: Plan,
  aws: Aws,
  signal: AbortSignal,
): Promise<{ accounts: Map<string, string>; errors: Map<string, FetchError> }> {
  const own = plan.sinks.flatMap(({ registries }) => registries.filter(({ registry }) => registry === "own"))
  const accounts = new Map<string, string>()
  const errors = new Map<string, FetchError>()
  const byPrincipal = Map.groupBy(own, ({ source }) => JSON.stringify(source.principal))
  await Promise.all(
    [...byPrincipal.values()].map(async (planned) => {
      const [first] = planned
      if (!first) return
      const keys = planned.map(({ source }) => sourceKey(source))
      try {
        const account = await aws.fetchAccount(first.source, signal)
        for (const key of keys) accounts.set(key, account)
      } catch (error) {
        for (const key of keys) errors.set(key, error as FetchError)
      }
    }),
  )
  return { accounts, errors }
}

/** What the targets of deliveries hold, in order. */
export async function readStatus(
  deliveries: readonly PlannedDelivery[],
  accounts: Map<string, string>,
  errors: ReadonlyMap<string, FetchError>,
  deps: StatusDeps,
  signal: AbortSignal,
): Promise<readonly TargetStatus[]> {
  const statuses = new Map<PlannedDelivery, TargetStatus>()
  const bySink = Map.groupBy(deliveries, ({ sink }) => sink)
  await Promise.all(
    [...bySink].map(async ([sink, ofSink]) => {
      const known: { delivery: PlannedDelivery; target: Target }[] = []
      for (const delivery of ofSink) {
        const key = sourceKey(delivery.planned.source)
        const target = targetsOf(sink, delivery.planned, accounts.get(key))[delivery.index]
        if (target) known.push({ delivery, target })
        else statuses.set(delivery, unresolved(delivery, errors.get(key)))
      }
      const held = await readTargets(
        sink,
        known.map(({ target }) => target),
        deps.clock,
        signal,
      )
      for (const [i, { delivery }] of known.entries())
        statuses.set(delivery, { ...described(delivery, accounts), ...judge(held[i], sink, deps) })
    }),
  )
  return deliveries.map((delivery) => statuses.get(delivery) as TargetStatus)
}

async function readTargets(
  { sink }: PlannedSink,
  targets: readonly Target[],
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly (Held | undefined)[]> {
  const { read } = sink
  const [first] = targets
  if (!read || !first) return targets.map(() => undefined)
  try {
    const about = { sink: sink.type, target: first.name }
    return await callSink(about, clock, signal, () => read(targets, signal))
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error
    return targets.map(() => ({ state: "unreadable", error }))
  }
}

/** Fresh: what we would write, and enough life left. */
function judge(
  held: Held | undefined,
  { sink }: PlannedSink,
  { clock, minRemainingMs }: StatusDeps,
): Pick<TargetStatus, "state" | "expiresAt" | "remainingMs" | "message" | "hint"> {
  if (!held) return { state: "unknown", message: `${sink.type} cannot be read` }
  if (held.state === "missing") return { state: "missing", hint: held.hint ?? "`ecrelay refresh` writes it" }
  if (held.state === "unreadable")
    return { state: "unreadable", message: held.error.message, hint: held.error.hint }
  const { differs } = held
  const told = held.expiresAt
  const isTold = told !== undefined && isBelievable(told, clock.now())
  const expiresAt = isTold ? told : undefined
  const remainingMs = expiresAt === undefined ? undefined : expiresAt - clock.now()
  const known = { expiresAt, remainingMs, message: differs }
  if (remainingMs !== undefined && remainingMs <= 0) return { ...known, state: "expired" }
  if (differs) return { ...known, state: "stale", hint: held.hint ?? "`ecrelay refresh` fixes it" }
  if (remainingMs === undefined)
    return {
      ...known,
      state: "unknown",
      message: `the login gives ${told === undefined ? "no expiry" : "an expiry that no token has"}`,
    }
  return { ...known, state: remainingMs >= minRemainingMs ? "fresh" : "stale" }
}

function unresolved(delivery: PlannedDelivery, error: FetchError | undefined): TargetStatus {
  return {
    ...described(delivery, new Map()),
    state: "unreadable",
    message: error?.message ?? "AWS did not say which registry is the caller's own",
    hint: error?.hint,
  }
}

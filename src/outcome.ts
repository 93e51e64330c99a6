// Outcomes: what became of each planned delivery, named as far as sink, target and registry are known by then.
import { formatRegistry, type PlannedDelivery, registryOf, targetNames } from "./plan.ts"
import type { Due } from "./schedule.ts"
import { sourceKey } from "./source.ts"

/** What became of one planned delivery. */
export type Outcome = {
  readonly sink: string
  /** The target's name; for an own registry whose account is not known, ACCOUNT stands in it. */
  readonly target: string
  readonly registry: string
  readonly outcome: "delivered" | "unchanged" | "failed" | "skipped"
  /** What the target holds now, in milliseconds since 1970; undefined where that is not known. */
  readonly expiresAt?: number | undefined
  readonly warning?: string | undefined
  /** When the token that was delivered is to be fetched again. */
  readonly refresh?: Due
  /** A FetchError, a DeliveryError, or a bug. */
  readonly error?: unknown
}

/** Accounts behind own registries, by source, as far as they are known. */
export type Accounts = ReadonlyMap<string, string>

/** Sink, target and registry of a delivery as far as they are known. */
export function described(
  { sink, planned, index }: PlannedDelivery,
  accounts: Accounts,
): Pick<Outcome, "sink" | "target" | "registry"> {
  const account = accounts.get(sourceKey(planned.source))
  return {
    sink: sink.sink.type,
    target: targetNames(sink, planned, account)[index] ?? formatRegistry(planned),
    registry: registryOf(planned, account)?.host ?? formatRegistry(planned),
  }
}

/** The outcome of a delivery that failed. */
export function failed(delivery: PlannedDelivery, error: unknown, accounts: Accounts): Outcome {
  return { ...described(delivery, accounts), outcome: "failed", error }
}

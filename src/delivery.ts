// Deliveries: what is ready for one sink goes into it in one call, bounded in time, and comes back as outcomes.
// A target that two registries turn out to share is refused here, before anything is written to it.
import { type Clock, withDeadline } from "./clock.ts"
import type { Credential } from "./credential.ts"
import { DeliveryError, FetchError } from "./errors.ts"
import { type Accounts, described, failed, type Outcome } from "./outcome.ts"
import { duplicateTargets, type Plan, type PlannedDelivery, type PlannedSink, targetsOf } from "./plan.ts"
import { formatPrincipal } from "./principal.ts"
import type { Probe } from "./probe.ts"
import type { DeliveryResult, Target } from "./sink.ts"
import { callSink } from "./sink-call.ts"
import { formatSource, sourceKey } from "./source.ts"
import type { HeldToken } from "./tokens.ts"

/** A planned delivery whose token has arrived, and what is to be said of that token. */
export type Ready = {
  readonly delivery: PlannedDelivery
  readonly held: HeldToken
  readonly warning?: string
}

/** What a delivery uses. */
export type DeliveryDeps = {
  readonly plan: Plan
  readonly clock: Clock
  /** Bounds one call of a sink, in milliseconds. */
  readonly timeoutMs: number
  readonly accounts: Accounts
  readonly probe: Probe
}

/** A delivery whose target and credential are known. */
type Parcel = Pick<Ready, "delivery" | "held"> & {
  readonly target: Target
  readonly credential: Credential
  readonly warnings: readonly string[]
}

/** Delivers what is ready for a sink; an outcome for each, in order. Never rejects. */
export async function deliver(
  sink: PlannedSink,
  ready: readonly Ready[],
  deps: DeliveryDeps,
  signal: AbortSignal,
): Promise<readonly Outcome[]> {
  const outcomes = new Map<PlannedDelivery, Outcome>()
  const { parcels, twins } = address(sink, ready, outcomes, deps)
  const good: Parcel[] = []
  for (const probed of await Promise.all(parcels.map((parcel) => probeParcel(parcel, deps, signal)))) {
    if (!("error" in probed)) good.push(probed)
    else outcomes.set(probed.parcel.delivery, failed(probed.parcel.delivery, probed.error, deps.accounts))
  }
  const results = good.length > 0 ? await deliverParcels(sink, good, deps, signal) : []
  for (const [i, parcel] of good.entries()) outcomes.set(parcel.delivery, asOutcome(parcel, results[i], deps))
  for (const { delivery, of } of twins) outcomes.set(delivery, outcomes.get(of.delivery) as Outcome)
  return ready.map(({ delivery }) => outcomes.get(delivery) as Outcome)
}

/** A delivery of a registry that another one delivers too: planned once by its host, once as the caller's own. */
type Twin = { readonly delivery: PlannedDelivery; readonly of: Parcel }

/** Gives each delivery its target, one parcel a target; what has none or may not have it goes to `outcomes` as failed. */
function address(
  sink: PlannedSink,
  ready: readonly Ready[],
  outcomes: Map<PlannedDelivery, Outcome>,
  { plan, accounts }: DeliveryDeps,
): { readonly parcels: readonly Parcel[]; readonly twins: readonly Twin[] } {
  // Looked for again with every account that is known by now: an own registry may turn out to be a named one.
  const duplicates = duplicateTargets(plan, (source) => accounts.get(sourceKey(source)))
  const refusals = new Map(duplicates.map(({ name, message }) => [name, message]))
  const parcels = new Map<string, Parcel>()
  const twins: Twin[] = []
  for (const { delivery, held, warning } of ready) {
    const { planned, index } = delivery
    const target = targetsOf(sink, planned, accounts.get(sourceKey(planned.source)))[index]
    const refusal = target && refusals.get(target.name)
    const twin = target && parcels.get(target.name)
    if (!target) outcomes.set(delivery, failed(delivery, noAccount(delivery), accounts))
    else if (refusal) outcomes.set(delivery, failed(delivery, refused(sink, target, refusal), accounts))
    else if (twin) twins.push({ delivery, of: twin })
    else {
      const credential = credentialOf(held.token, target)
      parcels.set(target.name, { delivery, held, target, credential, warnings: warning ? [warning] : [] })
    }
  }
  return { parcels: [...parcels.values()], twins }
}

function credentialOf(
  { userName, password, expiresAt }: HeldToken["token"],
  { registry }: Target,
): Credential {
  return { registry, userName, password, expiresAt }
}

async function probeParcel(
  parcel: Parcel,
  { probe }: DeliveryDeps,
  signal: AbortSignal,
): Promise<Parcel | { readonly parcel: Parcel; readonly error: FetchError }> {
  const { planned } = parcel.delivery
  if (!planned.probe) return parcel
  const { host } = parcel.target.registry
  const verdict = await probe(parcel.credential, signal)
  if (verdict.answer === "none")
    return {
      ...parcel,
      warnings: [...parcel.warnings, `the login was not tried at ${host}: ${verdict.why}`],
    }
  if (verdict.answer === "accepted") return parcel
  const principal = formatPrincipal(planned.source.principal)
  const error = new FetchError(`${host}: the registry refuses the new login (${verdict.status})`, {
    code: "probe-refused",
    hint: `nothing was written; check that ${principal} may read this registry, and that its name leads to ECR`,
    retryable: false,
    principal,
    registry: host,
  })
  return { parcel, error }
}

function asOutcome(
  { delivery, held, warnings }: Parcel,
  result: DeliveryResult | undefined,
  { accounts }: DeliveryDeps,
): Outcome {
  const { type } = delivery.sink.sink
  // A sink that says nothing of a target may not have written it.
  if (!result) return failed(delivery, new Error(`${type} gave no result for a delivery`), accounts)
  if (result.outcome === "failed") return failed(delivery, result.error, accounts)
  const all = result.warning === undefined ? warnings : [...warnings, result.warning]
  return {
    ...described(delivery, accounts),
    ...result,
    ...(all.length > 0 ? { warning: all.join("; ") } : {}),
    refresh: held.refresh,
  }
}

async function deliverParcels(
  { sink }: PlannedSink,
  parcels: readonly Parcel[],
  { clock, timeoutMs }: DeliveryDeps,
  stop: AbortSignal,
): Promise<readonly DeliveryResult[]> {
  const [first, ...more] = parcels
  const target = `${first?.target.name}${more.length > 0 ? ` and ${more.length} more` : ""}`
  try {
    return await withDeadline(timeoutMs, clock, stop, (signal) =>
      callSink({ sink: sink.type, target }, clock, signal, () => sink.deliver(parcels, signal)),
    )
  } catch (error) {
    return parcels.map(() => ({ outcome: "failed", error: error as DeliveryError }))
  }
}

function refused({ sink }: PlannedSink, { name }: Target, message: string): DeliveryError {
  return new DeliveryError(message, {
    sink: sink.type,
    target: name,
    code: "duplicate-target",
    retryable: false,
  })
}

function noAccount({ planned }: PlannedDelivery): FetchError {
  const source = formatSource(planned.source)
  return new FetchError(`${source}: AWS did not say which registry is the caller's own`, {
    code: "no-account",
    hint: "name the registry with --registry",
    retryable: false,
    principal: formatPrincipal(planned.source.principal),
    registry: source,
  })
}

// The plan: which tokens are needed, and which sink receives the login of which registry. No I/O.
// Two registries that would end up in one target are refused here, before anything is fetched or written.
import { ConfigError } from "./errors.ts"
import { formatPrincipal } from "./principal.ts"
import { ownRegistry, type Registry } from "./registry.ts"
import type { Sink, Target } from "./sink.ts"
import { type Source, sourceKey } from "./source.ts"

/** A registry to keep fresh: one that is known, or the caller's own in the source's region. */
export type PlannedRegistry = {
  readonly source: Source
  readonly registry: Registry | "own"
  /** Try a new login at the registry before it is written. */
  readonly probe?: boolean
}

/** A configured sink and the registries it wants. */
export type PlannedSink = {
  readonly sink: Sink
  /** Where it was configured, for messages: `--sink docker-config`, `sink[1]`. */
  readonly origin: string
  readonly optional: boolean
  readonly registries: readonly PlannedRegistry[]
}

/** Every sink with the registries that it wants. */
export type Plan = { readonly sinks: readonly PlannedSink[] }

/** One slot of a sink for one planned registry. */
export type PlannedDelivery = {
  readonly sink: PlannedSink
  readonly planned: PlannedRegistry
  /** Which of the sink's targets for this registry. */
  readonly index: number
}

/** The sources of a plan, each once. */
export function sourcesOf(plan: Plan): readonly Source[] {
  const sources = new Map<string, Source>()
  for (const { registries } of plan.sinks)
    for (const { source } of registries) sources.set(sourceKey(source), source)
  return [...sources.values()]
}

/** The registry, where the account is known. */
export function registryOf(
  { registry, source }: PlannedRegistry,
  account: string | undefined,
): Registry | undefined {
  if (registry !== "own") return registry
  return account ? ownRegistry(account, source.region) : undefined
}

/** A planned registry in words: its host, or `own registry in eu-west-1`. */
export function formatRegistry({ registry, source }: PlannedRegistry): string {
  return registry === "own" ? `own registry in ${source.region}` : registry.host
}

/** Every delivery of a plan. */
export function deliveriesOf(plan: Plan): readonly PlannedDelivery[] {
  const standIn = accountStandIns(plan)
  return plan.sinks.flatMap((sink) =>
    sink.registries.flatMap((planned) =>
      targetsOf(sink, planned, standIn(planned.source)).map((_, index) => ({ sink, planned, index })),
    ),
  )
}

/** The targets of a sink for a planned registry; none while the account is not known. */
export function targetsOf(
  { sink }: PlannedSink,
  planned: PlannedRegistry,
  account: string | undefined,
): readonly Target[] {
  const registry = registryOf(planned, account)
  return registry ? sink.targets(registry) : []
}

/** The names of those targets, also while the account is not known: ACCOUNT stands for it then. */
export function targetNames(
  sink: PlannedSink,
  planned: PlannedRegistry,
  account: string | undefined,
): readonly string[] {
  if (account !== undefined) return targetsOf(sink, planned, account).map(({ name }) => name)
  return targetsOf(sink, planned, NO_ACCOUNT).map(({ name }) => withoutStandIns(name))
}

/** Whose a target is. */
type Owner = { readonly sink: PlannedSink; readonly planned: PlannedRegistry; readonly host: string }

/** A target that would be written twice, and for whom. */
export type Duplicate = { readonly name: string; readonly origin: string; readonly message: string }

/**
 * The targets that two registries, or two sinks, would write; of own registries only where the account is known. A registry
 * that one sink is given both by its host and as the caller's own is no duplicate: both get the same token.
 */
export function duplicateTargets(
  plan: Plan,
  accountOf: (source: Source) => string | undefined,
): readonly Duplicate[] {
  const owners = new Map<string, Owner>()
  const duplicates: Duplicate[] = []
  for (const sink of plan.sinks)
    for (const planned of sink.registries)
      for (const { name, registry } of targetsOf(sink, planned, accountOf(planned.source))) {
        const owner = owners.get(name)
        if (!owner) owners.set(name, { sink, planned, host: registry.host })
        else if (!isOneWish(owner, { sink, planned, host: registry.host }))
          duplicates.push({
            name,
            origin: sink.origin,
            message: duplicateMessage(
              name,
              owner.planned,
              planned,
              owner.host === registry.host,
              wayOut(sink),
            ),
          })
      }
  return duplicates
}

// Both named or both own, they are the same words given twice, such as a conn_id: that is a mistake.
function isOneWish(one: Owner, other: Owner): boolean {
  return (
    one.sink === other.sink &&
    one.host === other.host &&
    sourceKey(one.planned.source) === sourceKey(other.planned.source) &&
    one.planned.registry !== other.planned.registry
  )
}

/** Refuses a plan in which two registries, or two sinks, would write one target. Throws a ConfigError. */
export function refuseDuplicateTargets(plan: Plan): void {
  const standIn = accountStandIns(plan)
  const issues = duplicateTargets(plan, standIn).map(({ origin, message }) => ({
    path: origin,
    message: withoutStandIns(message),
  }))
  if (issues.length > 0) throw new ConfigError(issues)
}

function duplicateMessage(
  name: string,
  first: PlannedRegistry,
  second: PlannedRegistry,
  sameRegistry: boolean,
  way: string,
): string {
  const [one, other] = [formatRegistry(first), formatRegistry(second)]
  if (one === other)
    return `${name} would be written twice for ${one}; name each registry and each target once`
  return sameRegistry
    ? `${name} would be written twice: ${one} and ${other} are the same registry; name it once`
    : `${name} would be written for ${one} and for ${other}; ${way}`
}

function wayOut({ sink }: PlannedSink): string {
  return sink.takesStdout
    ? "name one registry, or a format that holds several"
    : "put {account} or {region} into the target's name, or name each sink's registries"
}

// Own accounts are not known yet. One stand-in for each identity shows the clashes that are certain already.
const STAND_IN = /\b000000000\d{3}\b/g
const NO_ACCOUNT = "000000000000"

/** A text for people, in which no stand-in passes for an account. */
export const withoutStandIns = (text: string): string => text.replaceAll(STAND_IN, "ACCOUNT")

/** What stands for the account of a source's own registries while it is not known. */
export function accountStandIns(plan: Plan): (source: Source) => string {
  const identities = [...new Set(sourcesOf(plan).map(({ principal }) => formatPrincipal(principal)))]
  return ({ principal }) => String(identities.indexOf(formatPrincipal(principal))).padStart(12, "0")
}

// The plan: which tokens are needed, and which sink receives the login of which registry. No I/O.
// Two registries that would end up in one target are refused here, before anything is fetched or written.
import type { Source } from "./ecr.ts"
import { ConfigError, type ConfigIssue } from "./errors.ts"
import { formatPrincipal } from "./principal.ts"
import { ownRegistry, type Registry } from "./registry.ts"
import type { Sink, Target } from "./sink.ts"

/** A registry to keep fresh: one that is known, or the caller's own in the source's region. */
export type PlannedRegistry = { readonly source: Source; readonly registry: Registry | "own" }

/** A configured sink and the registries it wants. */
export type PlannedSink = {
  readonly sink: Sink
  /** Where it was configured, for messages: `--sink docker-config`, `sink[1]`. */
  readonly origin: string
  readonly optional: boolean
  readonly registries: readonly PlannedRegistry[]
}

export type Plan = { readonly sinks: readonly PlannedSink[] }

/** One slot of a sink for one planned registry. */
export type PlannedDelivery = {
  readonly sink: PlannedSink
  readonly planned: PlannedRegistry
  /** Which of the sink's targets for this registry. */
  readonly index: number
}

/** Equal for sources that share one token. */
export function sourceKey({ service, region, principal, endpointUrl }: Source): string {
  return JSON.stringify([
    service,
    region,
    principal.profile ?? null,
    principal.roleArn ?? null,
    principal.externalId ?? null,
    endpointUrl ?? null,
  ])
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

/** Refuses a plan in which two registries, or two sinks, would write one target. */
export function refuseDuplicateTargets(plan: Plan): void {
  const standIn = accountStandIns(plan)
  const owners = new Map<string, { sink: PlannedSink; planned: PlannedRegistry }>()
  const issues: ConfigIssue[] = []
  for (const sink of plan.sinks)
    for (const planned of sink.registries)
      for (const { name } of targetsOf(sink, planned, standIn(planned.source))) {
        const owner = owners.get(name)
        if (owner) issues.push({ path: sink.origin, message: duplicateMessage(name, owner.planned, planned) })
        else owners.set(name, { sink, planned })
      }
  if (issues.length > 0) throw new ConfigError(issues)
}

/** What is wrong when two registries come to one target, and the way out. */
export function duplicateMessage(name: string, first: PlannedRegistry, second: PlannedRegistry): string {
  const [one, other] = [formatRegistry(first), formatRegistry(second)]
  return one === other
    ? `${name} would be written twice for ${one}; name each registry and each target once`
    : `${name} would be written for ${one} and for ${other}; put {account} or {region} into the target's name, or name each sink's registries`
}

// Own accounts are not known yet. One stand-in for each identity shows the clashes that are certain already.
function accountStandIns(plan: Plan): (source: Source) => string {
  const identities = [...new Set(sourcesOf(plan).map(({ principal }) => formatPrincipal(principal)))]
  return ({ principal }) => String(identities.indexOf(formatPrincipal(principal))).padStart(12, "0")
}

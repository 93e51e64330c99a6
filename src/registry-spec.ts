// Registries as they are configured: --registry, --region or a [[registry]] table → a registry and who asks for it.
import * as v from "valibot"
import type { ConfigFile } from "./config-file.ts"
import { FetchError } from "./errors.ts"
import type { PlannedRegistry } from "./plan.ts"
import { isRoleArn, NOT_A_ROLE_ARN, principalOf, principalProblem } from "./principal.ts"
import { isHttpUrl, MUST_BE_URL, type Reading, readTables } from "./reading.ts"
import { isAccount, isRegion, ownRegistry, parseRegistry, partitionOf, type Registry } from "./registry.ts"
import { asConfigIssues, OUR_WORDS } from "./sink-spec.ts"
import { type Source, sourceKey } from "./source.ts"

/** The registries that flags, variables and file name; the own one in the default region where nothing does. */
export async function readRegistries(
  reading: Reading,
  file: ConfigFile | undefined,
  asks: Pick<Source, "principal" | "endpointUrl">,
  probe: boolean,
  loadDefaultRegion: () => Promise<string | undefined>,
): Promise<readonly PlannedRegistry[]> {
  const common = { asks, ...(probe ? { probe } : {}) }
  const isGiven = reading.isGiven("registry") || reading.isGiven("region")
  const tables = readTables(reading, file, "registry")
  if (isGiven && tables.length > 0)
    reading.notes.push(
      `${reading.isGiven("registry") ? "--registry" : "--region"} replaces the [[registry]] tables of ${file?.path}`,
    )
  const all = [
    ...(isGiven
      ? []
      : tables.map((table, i) => readRegistryTable(reading, table, `${file?.path}: registry[${i}]`, common))),
    ...(reading.texts("registry")?.texts ?? []).map((host) => readHost(reading, host, common)),
    ...(!isGiven || reading.isGiven("region") ? (reading.texts("region")?.texts ?? []) : []).map((region) =>
      readRegion(reading, region, common),
    ),
  ]
  if (all.length === 0) {
    const region = await loadDefaultRegion().catch((error) => {
      // What is wrong in the configuration itself comes first: asking again would not mend it.
      if (reading.issues.length > 0 && error instanceof FetchError) return null
      throw error
    })
    if (region) all.push(readRegion(reading, region, common))
    else if (region === undefined)
      reading.issues.push({
        path: "",
        message: "no region: name one with --region or AWS_REGION, or a registry with --registry",
      })
  }
  return withoutRepeats(all.filter((one) => one !== undefined))
}

// The same registry by the same identity, named twice, is one wish.
function withoutRepeats(planned: readonly PlannedRegistry[]): readonly PlannedRegistry[] {
  const key = ({ registry, source }: PlannedRegistry) =>
    `${registry === "own" ? "" : registry.host} ${sourceKey(source)}`
  return [...new Map(planned.map((one) => [key(one), one])).values()]
}

/** What holds for a registry that does not say otherwise. */
type Common = { readonly asks: Pick<Source, "principal" | "endpointUrl">; readonly probe?: boolean }

function readHost(reading: Reading, text: string, common: Common): PlannedRegistry | undefined {
  const from = reading.texts("registry")?.from ?? ""
  const host = hostNamed(text)
  const registry = parseRegistry(host)
  if (registry) return planned(registry, registry.region, common)
  reading.issues.push({ path: from, message: `${JSON.stringify(text)} ${whyNoRegistry(host)}` })
  return undefined
}

// As it is often copied: with `https://` before it.
function hostNamed(text: string): string {
  return text
    .trim()
    .replace(/^https:\/\//i, "")
    .replace(/\/$/, "")
}

function whyNoRegistry(host: string): string {
  const bare = host.split("/", 1)[0] ?? ""
  if (bare !== host && parseRegistry(bare)) return `names a repository; the registry alone is ${bare}`
  if (isRegion(host)) return `is a region; write --region ${host}`
  return "is not an ECR registry, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com; a name of your own in front of ECR goes into a [[registry]] table with its account and region"
}

function planned(registry: Registry | "own", region: string, { asks, ...common }: Common): PlannedRegistry {
  const service = registry === "own" ? "ecr" : registry.service
  return { ...common, registry, source: { ...asks, service, region } }
}

function readRegion(reading: Reading, text: string, common: Common): PlannedRegistry | undefined {
  const region = text.trim()
  if (isRegion(region)) return planned("own", region, common)
  const from = reading.texts("region")?.from ?? "AWS_REGION, AWS_DEFAULT_REGION or profile"
  reading.issues.push({ path: from, message: `${JSON.stringify(text)} is not a region, such as eu-west-1` })
  return undefined
}

const text = (message: string) => v.optional(v.pipe(v.string(message), v.nonEmpty(message)))
const REGISTRY_TABLE = v.strictObject({
  host: text("must be a host"),
  account: v.optional(
    v.pipe(v.string("must be twelve digits in quotes"), v.check(isAccount, "must be twelve digits")),
  ),
  region: v.optional(
    v.pipe(v.string("must be a region"), v.check(isRegion, "must be a region, such as eu-west-1")),
  ),
  profile: text("must be a profile's name"),
  aws_conn_id: text("must be the id of an Airflow connection"),
  role_arn: v.optional(
    v.pipe(
      v.union([v.string(), v.array(v.string())], NOT_A_ROLE_ARN),
      v.transform((arns) => [arns].flat()),
      v.check((arns) => arns.length > 0 && arns.every(isRoleArn), NOT_A_ROLE_ARN),
    ),
  ),
  external_id: text("must be a string"),
  endpoint_url: v.optional(v.pipe(v.string(MUST_BE_URL), v.check(isHttpUrl, MUST_BE_URL))),
  probe: v.optional(v.boolean("must be true or false")),
})

function readRegistryTable(
  reading: Reading,
  table: Readonly<Record<string, unknown>>,
  origin: string,
  common: Common,
): PlannedRegistry | undefined {
  const parsed = v.safeParse(REGISTRY_TABLE, table, OUR_WORDS)
  if (!parsed.success) {
    reading.issues.push(...asConfigIssues(parsed.issues, origin, Object.keys(REGISTRY_TABLE.entries)))
    return undefined
  }
  const { host, account, region, profile, aws_conn_id, role_arn, external_id, endpoint_url, probe } =
    parsed.output
  const own = principalOf({
    profile,
    airflowConnection: aws_conn_id,
    roleArns: role_arn,
    externalId: external_id,
  })
  const problem = principalProblem(own)
  if (problem) reading.issues.push({ path: `${origin}, ${problem.key}`, message: problem.message })
  const endpointUrl = endpoint_url ?? common.asks.endpointUrl
  const registry = registryNamed(host === undefined ? undefined : hostNamed(host), account, region)
  if (typeof registry === "object" && "fault" in registry) {
    reading.issues.push({ path: origin, message: registry.fault })
    return undefined
  }
  return planned(registry, registry === "own" ? (region as string) : registry.region, {
    asks: {
      // A table that names an identity names all of it.
      principal: Object.keys(own).length > 0 ? own : common.asks.principal,
      ...(endpointUrl ? { endpointUrl } : {}),
    },
    ...((probe ?? common.probe) ? { probe: true } : {}),
  })
}

const HOST = /^(?!-)[a-z0-9.-]+$/

function registryNamed(
  host: string | undefined,
  account: string | undefined,
  region: string | undefined,
): Registry | "own" | { readonly fault: string } {
  if (!host) {
    if (!region) return { fault: "needs a host, or a region, or an account and a region" }
    return account ? ownRegistry(account, region) : "own"
  }
  const known = parseRegistry(host)
  if (known) {
    const isOther = (account ?? known.account) !== known.account || (region ?? known.region) !== known.region
    return isOther ? { fault: `${host} belongs to another account or region than the table says` } : known
  }
  if (!HOST.test(host.toLowerCase()))
    return { fault: `${JSON.stringify(host)} is not a host: a name alone, as in image names` }
  return account && region
    ? { host: host.toLowerCase(), account, region, partition: partitionOf(region), service: "ecr" }
    : { fault: `${JSON.stringify(host)} is not an ECR host; give its account and region too` }
}

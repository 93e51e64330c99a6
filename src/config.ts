// The configuration: flags, variables and the config file made into checked values, all problems reported at once.
// No I/O of its own: what the default region is comes in from outside.
import * as v from "valibot"
import type { ConfigFile } from "./config-file.ts"
import { TOKEN_LIFETIME_MS } from "./credential.ts"
import { ConfigError } from "./errors.ts"
import type { PlannedRegistry } from "./plan.ts"
import { type Principal, principalOf, principalProblem } from "./principal.ts"
import {
  gatherIssues,
  isHttpUrl,
  MUST_BE_URL,
  type Reading,
  readDuration,
  readSettings,
  readSwitch,
  readTables,
  readUrl,
  readWord,
} from "./reading.ts"
import { readRegistries } from "./registry-spec.ts"
import type { Given } from "./settings.ts"
import type { Sink } from "./sink.ts"
import {
  type AirflowPlace,
  asConfigIssues,
  OUR_WORDS,
  parseSinkTable,
  parseSinkText,
  type SinkSpec,
} from "./sink-spec.ts"

/** Everything that a command needs to know. Durations in milliseconds. */
export type Config = {
  readonly registries: readonly PlannedRegistry[]
  readonly sinks: readonly ConfiguredSink[]
  readonly principal: Principal
  readonly airflow: AirflowPlace
  readonly endpointUrl: string | undefined
  readonly intervalMs: number | undefined
  readonly minRemainingMs: number | undefined
  readonly timeoutMs: number
  readonly dryRun: boolean
  readonly output: "text" | "json"
  readonly logLevel: LogLevel
  readonly logFormat: "text" | "json"
  /** What the person should know about how the settings came together. */
  readonly notes: readonly string[]
}

/** A sink that was made, and what it was made from. */
type ConfiguredSink = SinkSpec & { readonly sink: Sink }

/** What holds for all sinks and registries that do not say otherwise. */
export type Common = { readonly principal: Principal; readonly airflow: AirflowPlace }

/** What a configuration needs from outside itself. */
export type ConfigDeps = {
  /** URLs that AWS's own variables give, by their names. */
  readonly urls?: readonly { readonly name: string; readonly text: string }[]
  /** Asked only where nothing names a registry or region. Rejects with a FetchError. */
  readonly loadDefaultRegion: (common: Common) => Promise<string | undefined>
  /** Makes a sink without I/O of its own. Rejects with a ConfigError. */
  readonly createSink: (spec: SinkSpec, common: Common) => Promise<Sink>
}

const DEFAULT_TIMEOUT_MS = 60_000

/** From the least to the most important. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const

/** One of the levels. */
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Flags, variables and file → a Config. Throws one ConfigError with every problem found. */
export async function parseConfig(
  flags: Given,
  variables: Given,
  file: ConfigFile | undefined,
  deps: ConfigDeps,
): Promise<Config> {
  const reading = readSettings(flags, variables, file)
  const one = (key: string) => reading.texts(key)?.texts[0]
  const principal = principalOf({
    profile: one("profile"),
    airflowConnection: one("aws_conn_id"),
    roleArns: reading.texts("role_arn")?.texts,
    externalId: one("external_id"),
  })
  const problem = principalProblem(principal)
  if (problem) reading.issues.push({ path: reading.texts(problem.key)?.from ?? "", message: problem.message })
  const endpointUrl = readUrl(reading, "endpoint_url")
  for (const { name, text } of deps.urls ?? [])
    if (!isHttpUrl(text)) reading.issues.push({ path: name, message: MUST_BE_URL })
  const common = { principal, airflow: readAirflow(reading, file) }
  const partial = {
    ...common,
    endpointUrl,
    intervalMs: readInterval(reading),
    minRemainingMs: readMinRemaining(reading),
    dryRun: readSwitch(reading, "dry_run"),
    output: readWord(reading, "output", ["text", "json"]) ?? "text",
    logLevel: readWord(reading, "log_level", LOG_LEVELS) ?? "info",
    logFormat: readWord(reading, "log_format", ["text", "json"]) ?? "text",
  }
  const given = readDuration(reading, "timeout")
  const sinks = await readSinks(reading, file, common, deps)
  const asks = { principal, ...(endpointUrl ? { endpointUrl } : {}) }
  const registries = await readRegistries(reading, file, asks, readSwitch(reading, "probe"), () =>
    deps.loadDefaultRegion(common),
  )
  if (reading.issues.length > 0) throw new ConfigError(reading.issues)
  // Time for AWS, and then for the sink that says that it may take longest.
  const timeoutMs =
    given ?? DEFAULT_TIMEOUT_MS + Math.max(0, ...sinks.map(({ sink }) => sink.deliveryMs ?? 0))
  return { ...partial, timeoutMs, sinks, registries, notes: reading.notes }
}

const AIRFLOW_TABLE = v.strictObject({
  url: v.optional(v.pipe(v.string(), v.nonEmpty("must not be empty"))),
  fernet_key: v.optional(v.pipe(v.string(), v.nonEmpty("must not be empty"))),
})

function readAirflow(reading: Reading, file: ConfigFile | undefined): AirflowPlace {
  const parsed = v.safeParse(AIRFLOW_TABLE, file?.tables.airflow ?? {}, OUR_WORDS)
  if (!parsed.success)
    reading.issues.push(
      ...asConfigIssues(parsed.issues, `${file?.path}: airflow`, Object.keys(AIRFLOW_TABLE.entries)),
    )
  const { url, fernet_key } = parsed.success ? parsed.output : {}
  const given = reading.texts("airflow_url")?.texts[0]
  // Another URL means another Airflow, which has another key.
  if (given && (url || fernet_key))
    reading.notes.push(`${reading.texts("airflow_url")?.from} replaces all of [airflow] in ${file?.path}`)
  if (given) return { url: given }
  return { ...(url ? { url } : {}), ...(fernet_key ? { fernet_key } : {}) }
}

function readInterval(reading: Reading): number | undefined {
  const intervalMs = readDuration(reading, "interval")
  const from = reading.texts("interval")?.from ?? ""
  if (intervalMs !== undefined && intervalMs >= TOKEN_LIFETIME_MS)
    reading.issues.push({
      path: from,
      message: "must be shorter than 12h, the lifetime of a token; 6h leaves time to fix trouble",
    })
  if (intervalMs !== undefined && intervalMs < 1000)
    reading.issues.push({ path: from, message: "must be at least 1s" })
  return intervalMs
}

function readMinRemaining(reading: Reading): number | undefined {
  const minRemainingMs = readDuration(reading, "min_remaining")
  if (minRemainingMs !== undefined && minRemainingMs >= TOKEN_LIFETIME_MS)
    reading.issues.push({
      path: reading.texts("min_remaining")?.from ?? "",
      message: "must be shorter than 12h, the lifetime of a token, or no login would ever count as fresh",
    })
  return minRemainingMs
}

async function readSinks(
  reading: Reading,
  file: ConfigFile | undefined,
  common: Common,
  { createSink }: ConfigDeps,
): Promise<readonly ConfiguredSink[]> {
  const issueCount = reading.issues.length
  const tables = readTables(reading, file, "sink")
  const isMisread = reading.issues.length > issueCount
  const given = reading.texts("sink")
  if (given && tables.length > 0)
    reading.notes.push(`${given.from} replaces the [[sink]] tables of ${file?.path}`)
  const parsers = given
    ? given.texts.map((text) => () => parseSinkText(text, given.from))
    : tables.map((table, i) => () => parseSinkTable(table, `${file?.path}: sink[${i}]`))
  const sinks: ConfiguredSink[] = []
  for (const parse of parsers)
    await gatherIssues(reading, async () => {
      const spec = parse()
      sinks.push({ ...spec, sink: await createSink(spec, common) })
    })
  if (parsers.length === 0 && !isMisread)
    reading.issues.push({
      path: "",
      message: "no sink: say where to deliver, such as --sink docker-config (`ecrelay sinks` lists them)",
    })
  return sinks
}

// A session: the world, the checked configuration and the plan that a command works with.
import type { AirflowConnection } from "./airflow-identity.ts"
import { defaultRegion, endpointVariables, loadProfileKeys } from "./aws.ts"
import { createAwsAccess } from "./aws-access.ts"
import type { AwsDeps } from "./aws-client.ts"
import type { Clock } from "./clock.ts"
import { type Common, type Config, type LogLevel, parseConfig } from "./config.ts"
import { loadConfigFile } from "./config-file.ts"
import { type Aws, createAws } from "./ecr.ts"
import type { Environment } from "./environment.ts"
import { ConfigError, type ConfigIssue } from "./errors.ts"
import { createLog, type Log } from "./log.ts"
import { type Plan, type PlannedRegistry, refuseDuplicateTargets } from "./plan.ts"
import type { Style } from "./report.ts"
import { type Given, misspeltVariables, settingsFromEnvironment } from "./settings.ts"
import type { SinkDeps } from "./sink.ts"
import { type AirflowPlace, createSink, type SinkKinds, type SinkSpec, secretFor } from "./sink-spec.ts"

/** The world as `main.ts` hands it in. */
export type World = Omit<SinkDeps, "secret" | "aws"> & {
  readonly env: Environment
  readonly clock: Clock
  /** A number in [0, 1). */
  readonly random: () => number
  readonly kinds: SinkKinds
  /** The connection of this id as Airflow itself would find it. Rejects with a FetchError. */
  readonly loadAirflowConnection: (
    connId: string,
    place: AirflowPlace,
    deps: Omit<SinkDeps, "aws">,
    signal: AbortSignal,
  ) => Promise<AirflowConnection>
  /** Whether standard output is a terminal that may show colour. */
  readonly colour: boolean
  /** The path of the program that runs: the binary, or the runtime where the source runs as it is. */
  readonly program: string
  readonly print: (text: string) => void
  readonly printError: (text: string) => void
  /** Aborted when the process is asked to stop. */
  readonly stop: AbortSignal
  /** Takes a listener that is called when the process is asked (SIGHUP) to read its configuration again. */
  readonly onReload: (listener: () => void) => void
  /** The same for when it is asked (SIGUSR1) to refresh at once. */
  readonly onRefreshNow: (listener: () => void) => void
}

/** What a command works with. */
export type Session = {
  readonly world: World
  readonly config: Config
  readonly plan: Plan
  readonly log: Log
  readonly aws: Aws
}

/** Reads the configuration, makes the sinks and the plan. Nothing is asked of AWS or of a sink. Throws a ConfigError. */
export async function openSession(given: Given, world: World): Promise<Session> {
  let log: Log | undefined
  // What is said before level and form of the log are known is kept until they are.
  const early: { readonly level: LogLevel; readonly text: string }[] = []
  const say = (level: LogLevel) => (text: string) =>
    log ? log(level, text) : void early.push({ level, text })
  const saying = { warn: once(say("warn")), debug: say("debug") }
  const config = await loadConfig(given, world, saying)
  const plan = createPlan(config)
  log = createLog({ level: config.logLevel, format: config.logFormat }, world.clock, world.printError)
  for (const note of config.notes) log("info", note)
  for (const { level, text } of early) log(level, text)
  const aws = createAws(awsDeps(world, config.airflow, saying))
  const session = { world, config, plan, log, aws }
  return config.logLevel === "debug" ? traceSession(session, saying.debug) : session
}

async function traceSession(session: Session, debug: (text: string) => void): Promise<Session> {
  const { traceAws, traceSink } = await import("./trace.ts")
  const deps = { debug, clock: session.world.clock }
  const sinks = session.plan.sinks.map((one) => ({ ...one, sink: traceSink(one.sink, deps) }))
  return { ...session, plan: { sinks }, aws: traceAws(session.aws, deps) }
}

/** Where to say what a person should know (`warn`), and what only somebody who looks for a fault wants to (`debug`). */
type Saying = { readonly warn: (text: string) => void; readonly debug: (text: string) => void }

// For a command that keeps no log.
const withoutLog = ({ printError }: World): Saying => ({
  warn: (text) => printError(`ecrelay: ${text}`),
  debug: () => undefined,
})

/** Flags, variables and config file, checked. Throws a ConfigError. */
export async function loadConfig(
  given: Given,
  world: World,
  saying: Saying = withoutLog(world),
): Promise<Config> {
  const { env } = world
  const variables = settingsFromEnvironment(env)
  for (const { name, meant } of misspeltVariables(env))
    saying.warn(`${name} is ignored; did you mean ${meant}?`)
  const named = (given.get("config") ?? variables.get("config"))?.texts[0]
  const file = await loadConfigFile(named, env, world.stop, saying.warn)
  saying.debug(`config file: ${file?.path ?? "none"}`)
  return parseConfig(given, variables, file, {
    urls: endpointVariables(env),
    loadDefaultRegion: (common) => loadDefaultRegion(common, world, saying),
    createSink: (spec, { principal, airflow }) =>
      createSink(
        spec,
        world.kinds,
        { ...world, aws: createAwsAccess(principal, awsDeps(world, airflow, saying)) },
        airflow,
      ),
  })
}

async function loadDefaultRegion(
  { principal, airflow }: Common,
  world: World,
  saying: Saying,
): Promise<string | undefined> {
  const { airflowConnection, profile } = principal
  const identity =
    airflowConnection &&
    (await awsDeps(world, airflow, saying).loadAirflowIdentity(airflowConnection, world.stop))
  // As everywhere, what the connection says comes before environment and profile.
  if (!identity) return defaultRegion(world.env, await loadProfileKeys(world.env, profile))
  return identity.region ?? defaultRegion(world.env, await loadProfileKeys(world.env, identity.profile))
}

function awsDeps(world: World, airflow: AirflowPlace, { warn, debug }: Saying): AwsDeps {
  return {
    env: world.env,
    fetch: world.fetch,
    debug,
    async loadAirflowIdentity(connId, signal) {
      const { parseAirflowIdentity } = await import("./airflow-identity.ts")
      const deps = { ...world, secret: (text: string) => secretFor("aws_conn_id", text, world.env) }
      const connection = await world.loadAirflowConnection(connId, airflow, deps, signal)
      const identity = parseAirflowIdentity(connection, world.env)
      for (const warning of identity.warnings) warn(warning)
      return identity
    },
  }
}

// A warning about something that does not change would otherwise come with every refresh.
function once(say: (text: string) => void): (text: string) => void {
  const said = new Set<string>()
  return (text) => {
    if (!said.has(text)) say(text)
    said.add(text)
  }
}

/** The present moment, and whether the terminal shows colour, for reports. */
export function styleOf({ clock, colour }: World): Style {
  return { now: clock.now(), colour }
}

function createPlan({ sinks, registries }: Config): Plan {
  const issues = sinks.flatMap((sink) => whyUnwanted(sink, registries))
  if (issues.length > 0) throw new ConfigError(issues)
  const plan = {
    sinks: sinks.map((configured) => ({
      sink: configured.sink,
      origin: configured.origin,
      optional: configured.optional,
      registries: registries.filter((one) => configured.registries?.includes(nameOf(one)) ?? true),
    })),
  }
  refuseDuplicateTargets(plan)
  return plan
}

// A registry is named by its host; an own one, whose host is not known yet, by its region.
function nameOf({ registry, source }: PlannedRegistry): string {
  return registry === "own" ? source.region : registry.host
}

function whyUnwanted(
  { registries: names = [], origin }: SinkSpec,
  all: readonly PlannedRegistry[],
): readonly ConfigIssue[] {
  const unknown = names.filter((name) => !all.some((one) => nameOf(one) === name))
  if (unknown.length === 0) return []
  const message = `no such registry is configured: ${unknown.join(", ")} (there are ${all.map(nameOf).join(", ")})`
  return [{ path: `${origin}, registries`, message }]
}

// `ecrelay config`: the effective configuration as a config file. Secrets given literally become references.
import type { Config } from "../config.ts"
import { exactDuration } from "../duration.ts"
import type { PlannedRegistry } from "../plan.ts"
import type { Principal } from "../principal.ts"
import { isReference } from "../reference.ts"
import { parseRegistry, type Registry } from "../registry.ts"
import { loadConfig, type World } from "../session.ts"
import type { Given } from "../settings.ts"
import { type SinkSpec, secretKeysOf } from "../sink-spec.ts"

/** Returns the exit code. Throws a ConfigError. */
export async function config(given: Given, world: World): Promise<number> {
  const { text, notes } = await formatConfig(await loadConfig(given, world), world)
  world.print(text)
  for (const { path, variable } of notes)
    world.printError(
      `${path} may hold a secret and is not printed: put it into the variable ${variable}, or write file:PATH\n`,
    )
  return 0
}

/** What was left out because it may be secret, and the variable that stands in its place. */
type LeftOut = { readonly path: string; readonly variable: string }

/** A configuration whose timeout is undefined where it is left to the default, and then not written down. */
type Written = Omit<Config, "timeoutMs"> & { readonly timeoutMs: number | undefined }

/** A configuration as TOML, and what was left out of it. */
export async function formatConfig(
  effective: Written,
  world: Pick<World, "kinds" | "uid">,
): Promise<{ readonly text: string; readonly notes: readonly LeftOut[] }> {
  const notes: LeftOut[] = []
  const sinks = await Promise.all(
    effective.sinks.map(async (spec, i) => {
      return sinkTable(spec, i, await secretKeysOf(spec, world.kinds, world), notes)
    }),
  )
  const { stringify } = await import("smol-toml")
  const airflow = hideSecrets(effective.airflow, ["url", "fernet_key"], "airflow", notes)
  const tables = {
    ...settings(effective),
    ...(Object.keys(airflow).length > 0 ? { airflow } : {}),
    registry: effective.registries.map((one) => registryTable(one, effective.principal)),
    sink: sinks,
  }
  return { text: stringify(tables).trimStart(), notes }
}

function settings(effective: Written) {
  const { principal, intervalMs, minRemainingMs, timeoutMs, output, logLevel, logFormat } = effective
  return {
    ...identity(principal),
    ...(intervalMs === undefined ? {} : { interval: exactDuration(intervalMs) }),
    ...(minRemainingMs === undefined ? {} : { min_remaining: exactDuration(minRemainingMs) }),
    ...(timeoutMs === undefined ? {} : { timeout: exactDuration(timeoutMs) }),
    ...(output === "text" ? {} : { output }),
    log_level: logLevel,
    log_format: logFormat,
  }
}

function identity({ profile, airflowConnection, roleArns = [] as never, externalId }: Principal) {
  return {
    ...(profile ? { profile } : {}),
    ...(airflowConnection ? { aws_conn_id: airflowConnection } : {}),
    ...(roleArns.length > 0 ? { role_arn: roleArns.length > 1 ? roleArns : roleArns[0] } : {}),
    ...(externalId ? { external_id: externalId } : {}),
  }
}

function registryTable(
  { registry, probe, source: { region, principal, endpointUrl } }: PlannedRegistry,
  common: Principal,
) {
  return {
    ...(registry === "own" ? { region } : named(registry)),
    ...(principal === common ? {} : identity(principal)),
    ...(endpointUrl ? { endpoint_url: endpointUrl } : {}),
    ...(probe ? { probe } : {}),
  }
}

// An ECR host says the rest itself.
function named({ host, account, region }: Registry) {
  return parseRegistry(host) ? { host } : { host, account, region }
}

function sinkTable(
  { type, options, optional, registries }: SinkSpec,
  i: number,
  secret: readonly string[],
  notes: LeftOut[],
) {
  return {
    type,
    ...hideSecrets(options, secret, `sink[${i}]`, notes),
    ...(optional ? { optional } : {}),
    ...(registries ? { registries } : {}),
  }
}

// A secret that was given literally becomes a reference to where it may be put.
function hideSecrets(
  table: Readonly<Record<string, unknown>>,
  secret: readonly string[],
  path: string,
  notes: LeftOut[],
): Readonly<Record<string, unknown>> {
  const shown = Object.entries(table).map(([key, value]) => {
    if (!secret.includes(key) || (typeof value === "string" && isReference(value))) return [key, value]
    const variable = `ECRELAY_${path.replaceAll(/\W/g, "")}_${key}`.toUpperCase()
    notes.push({ path: `${path}.${key}`, variable })
    return [key, `env:${variable}`]
  })
  return Object.fromEntries(shown)
}

// `ecrelay config`: the effective configuration as a config file. Secrets given literally become references.
import type { Config } from "../config.ts"
import { exactDuration } from "../duration.ts"
import type { PlannedRegistry } from "../plan.ts"
import { isReference } from "../reference.ts"
import { parseRegistry, type Registry } from "../registry.ts"
import { loadConfig, type World } from "../session.ts"
import type { Given } from "../settings.ts"
import { type SinkSpec, secretKeysOf } from "../sink-spec.ts"

/** Returns the exit code. Throws a ConfigError. */
export async function config(given: Given, world: World): Promise<number> {
  const effective = await loadConfig(given, world)
  const notes: string[] = []
  const sinks = await Promise.all(
    effective.sinks.map(async (spec, i) => {
      return sinkTable(spec, i, await secretKeysOf(spec, world.kinds), notes)
    }),
  )
  const { stringify } = await import("smol-toml")
  const tables = { ...settings(effective), registry: effective.registries.map(registryTable), sink: sinks }
  world.print(stringify(tables).trimStart())
  for (const note of notes) world.printError(`${note}\n`)
  return 0
}

function settings({ intervalMs, minRemainingMs, timeoutMs, logLevel, logFormat }: Config) {
  return {
    ...(intervalMs === undefined ? {} : { interval: exactDuration(intervalMs) }),
    ...(minRemainingMs === undefined ? {} : { min_remaining: exactDuration(minRemainingMs) }),
    timeout: exactDuration(timeoutMs),
    log_level: logLevel,
    log_format: logFormat,
  }
}

function registryTable({ registry, source: { region, principal, endpointUrl } }: PlannedRegistry) {
  const { profile, roleArn, externalId } = principal
  return {
    ...(registry === "own" ? { region } : named(registry)),
    ...(profile ? { profile } : {}),
    ...(roleArn ? { role_arn: roleArn } : {}),
    ...(externalId ? { external_id: externalId } : {}),
    ...(endpointUrl ? { endpoint_url: endpointUrl } : {}),
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
  notes: string[],
) {
  const shown = Object.entries(options).map(([key, value]) => {
    if (!secret.includes(key) || (typeof value === "string" && isReference(value))) return [key, value]
    const name = `ECRELAY_SINK${i}_${key.toUpperCase()}`
    notes.push(
      `sink[${i}].${key} may hold a secret and is not printed: put it into the variable ${name}, or write file:PATH`,
    )
    return [key, `env:${name}`]
  })
  return {
    type,
    ...Object.fromEntries(shown),
    ...(optional ? { optional } : {}),
    ...(registries ? { registries } : {}),
  }
}

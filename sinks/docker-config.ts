// The login of a registry in docker's config.json, or in a file of the same form such as podman's auth.json.
// Only the entries of our own hosts change, as text: everything else stays byte for byte, and a file that cannot be
// understood is refused. In an entry, `auth` is ours and whatever would win over it goes (`identitytoken`,
// `registrytoken`, `username`, `password`); other members, such as `email`, stay.
import { resolve } from "node:path"
import * as v from "valibot"
import { type Credential, outlives } from "../src/credential.ts"
import { ConfigError, DeliveryError } from "../src/errors.ts"
import type { Registry } from "../src/registry.ts"
import {
  type Delivery,
  type DeliveryResult,
  defineSink,
  errorFinding,
  type Finding,
  fillTemplate,
  flagOption,
  type Held,
  type SinkDeps,
  type Target,
  templateProblem,
  textOption,
} from "../src/sink.ts"
import { byFile } from "./_by-file.ts"
import {
  type DockerConfig,
  hidingHelper,
  loginEdits,
  parseDockerConfig,
  storedLogin,
  withEdits,
} from "./_docker-config.ts"
import { loadFile, replaceFile, whyNotWritable } from "./_file.ts"
import { asFinding, type FilePlace } from "./_file-errors.ts"
import { fixedFolder, inHome } from "./_folder.ts"

const TYPE = "docker-config"

const options = v.strictObject({
  path: v.optional(
    textOption(
      "file, or folder of a config.json; by default $DOCKER_CONFIG, else ~/.docker. A name without .json is a folder; {account}, {region} and {host} stand for the registry's",
    ),
  ),
  in_place: v.optional(
    flagOption(
      "true: write into an existing file instead of renaming a new one onto it, for a file that is bind-mounted by itself; a crash in the midst can leave half a file",
    ),
    false,
  ),
  shadowed: v.optional(
    v.pipe(
      v.picklist(["allow"]),
      v.description(
        "allow: deliver also where a credsStore or credHelpers entry hides the login from docker",
      ),
    ),
  ),
})

export default defineSink({
  type: TYPE,
  summary: "docker's config.json, and podman's auth.json",
  permissions: ["read and write the file and its folder"],
  options,
  create: ({ path, in_place, shadowed }, deps) => {
    const template = configPath(path, deps)
    const problem = templateProblem(template)
    if (problem) throw new ConfigError([{ path: "path", message: problem }])
    const allowShadowed = shadowed === "allow"
    const waysFor = (registry: Registry): Ways => {
      const place = { sink: TYPE, path: fillTemplate(template, registry), inPlace: in_place, deps }
      return { place, allowShadowed }
    }
    const pathOf = ({ registry }: Target) => waysFor(registry).place.path
    return {
      type: TYPE,
      targets: (registry) => {
        const { place } = waysFor(registry)
        return [{ registry, slot: registry.host, name: `${place.path} auths["${registry.host}"]` }]
      },
      deliver: (deliveries, signal) =>
        byFile(
          deliveries,
          ({ target }) => pathOf(target),
          async (ofFile, first) => {
            try {
              return await deliver(ofFile, waysFor(first.target.registry), signal)
            } catch (error) {
              // A file that cannot be written keeps no other from its logins.
              if (ofFile.length === deliveries.length || !(error instanceof DeliveryError)) throw error
              return ofFile.map(() => ({ outcome: "failed", error }) as const)
            }
          },
        ),
      read: (targets, signal) =>
        byFile(targets, pathOf, (ofFile, first) => read(ofFile, waysFor(first.registry), signal)),
      check: async (targets, signal) => {
        const findings: Finding[] = []
        await byFile(targets, pathOf, async (ofFile, first) => {
          findings.push(...(await check(ofFile, waysFor(first.registry), signal)))
          return []
        })
        return findings
      },
      folders: async () => [fixedFolder(template)],
    }
  },
})

/** The file, and whether a login that docker does not see is to be written. */
type Ways = { readonly place: FilePlace; readonly allowShadowed: boolean }

/** The file that is meant, by its name alone. Throws a ConfigError where there is nothing to tell it by. */
function configPath(path: string | undefined, { env, home }: SinkDeps): string {
  if (path === undefined && env.DOCKER_CONFIG) return resolve(env.DOCKER_CONFIG, "config.json")
  const full = inHome(path ?? "~/.docker", home)
  if (full === undefined) {
    const message =
      "there is no home directory: say which file with path=/…/config.json, or set DOCKER_CONFIG or HOME"
    throw new ConfigError([{ path: "path", message }])
  }
  return full.endsWith(".json") ? resolve(full) : resolve(full, "config.json")
}

function deliver(
  deliveries: readonly Delivery[],
  { place, allowShadowed }: Ways,
  signal: AbortSignal,
): Promise<readonly DeliveryResult[]> {
  // What an earlier round of this call wrote is found in place by the last one, and was delivered all the same.
  const written = new Set<string>()
  return replaceFile(
    place,
    (bytes) => {
      const config = understood(bytes, place)
      const edits = new Map<string, string | undefined>()
      const result = deliveries.map(({ target, credential }): DeliveryResult => {
        const hiding = hidingHelper(config, target.slot)
        if (hiding && !allowShadowed)
          return { outcome: "failed", error: shadowedError(hiding, target, place) }
        const warning = hiding ? { warning: `docker does not look here, but asks its ${hiding}` } : {}
        const held = storedLogin(config, target.slot)
        if (held?.usable && outlives(held.expiresAt, credential, place.deps.clock.now()))
          return { outcome: "unchanged", expiresAt: held.expiresAt, ...warning }
        const changes = loginEdits(config, target.slot, authOf(credential))
        for (const [key, value] of changes) edits.set(key, value)
        if (changes.size > 0) written.add(target.slot)
        const outcome = written.has(target.slot) ? "delivered" : "unchanged"
        return { outcome, expiresAt: credential.expiresAt, ...warning }
      })
      return { bytes: edits.size > 0 ? Buffer.from(withEdits(config, edits)) : undefined, result }
    },
    signal,
  )
}

async function read(targets: readonly Target[], ways: Ways, signal: AbortSignal): Promise<readonly Held[]> {
  signal.throwIfAborted()
  try {
    const config = understood(await loadFile(ways.place), ways.place)
    return targets.map(({ slot }) => {
      const held = storedLogin(config, slot)
      if (!held) return { state: "missing" }
      const hiding = ways.allowShadowed ? undefined : hidingHelper(config, slot)
      const differs = hiding ? `${hiding} hides it` : held.differs
      return { state: "held", expiresAt: held.expiresAt, ...(differs === undefined ? {} : { differs }) }
    })
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error
    return targets.map(() => ({ state: "unreadable", error }))
  }
}

async function check(
  targets: readonly Target[],
  ways: Ways,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  signal.throwIfAborted()
  const { place, allowShadowed } = ways
  const subject = place.path
  const obstacle = await whyNotWritable(place)
  if (obstacle) return [asFinding(obstacle, subject)]
  try {
    const config = understood(await loadFile(place), place)
    const hidden = targets.flatMap((target): readonly Finding[] => {
      const hiding = hidingHelper(config, target.slot)
      if (!hiding) return []
      const finding = errorFinding(target.name, shadowedError(hiding, target, place))
      return [allowShadowed ? { ...finding, level: "warning" } : finding]
    })
    const twins = targets.flatMap(({ slot, name }) => {
      const twin = config.twins.get(slot)?.[0]
      return twin === undefined ? [] : [staleTwin(name, twin)]
    })
    const outdone: readonly Finding[] = place.deps.env.DOCKER_AUTH_CONFIG ? [DOCKER_AUTH_CONFIG] : []
    return [{ level: "ok", subject, message: "can be written" }, ...hidden, ...twins, ...outdone]
  } catch (error) {
    return [asFinding(error, subject)]
  }
}

// Some clients take the entry that is written as an image's name is not.
function staleTwin(subject: string, twin: string): Finding {
  const message = `the same registry stands there as "${twin}" too, which some clients take first`
  const fix = "`ecrelay refresh` removes it with the next new login"
  return { level: "warning", code: "stale-twin", subject, message, fix }
}

const DOCKER_AUTH_CONFIG: Finding = {
  level: "warning",
  code: "docker-auth-config",
  subject: "DOCKER_AUTH_CONFIG",
  message: "is set here; where it is set for docker too, docker takes its logins before those of any file",
  fix: "unset it for whoever pulls",
}

function understood(bytes: Uint8Array | undefined, place: FilePlace): DockerConfig {
  const config = parseDockerConfig(bytes)
  if (typeof config !== "string") return config
  // Without a cause: a parser's message quotes what it stumbled over, which may be a password.
  throw new DeliveryError(`${place.path}: ${config}`, {
    sink: TYPE,
    target: place.path,
    code: "invalid-config",
    hint: "correct it by hand, or move it away to begin with a new one; it is left as it is",
    retryable: false,
  })
}

function shadowedError(hiding: string, target: Target, { path }: FilePlace): DeliveryError {
  return new DeliveryError(`${target.name}: ${hiding} in the same file would hide the login from docker`, {
    sink: TYPE,
    target: target.name,
    code: "shadowed",
    hint: `remove ${hiding} from ${path}, or choose another file with path=, or add shadowed=allow if whoever pulls does not heed it`,
    retryable: false,
  })
}

const authOf = ({ userName, password }: Credential) =>
  Buffer.from(`${userName}:${password.reveal()}`).toString("base64")

// What the sink `docker-config` does with one file. Only the entries of our own hosts change, as text: everything else stays
// byte for byte, and a file that cannot be understood is refused. In an entry, `auth` is ours and whatever would win over it
// goes (`identitytoken`, `registrytoken`, `username`, `password`); other members, such as `email`, stay.
import { outlives } from "../../src/credential.ts"
import { DeliveryError } from "../../src/errors.ts"
import type { Delivery, DeliveryResult, Finding, Held, Target } from "../../src/sink.ts"
import { loadFile, replaceFile, whyNotWritable } from "../_file.ts"
import { type FilePlace, fileError } from "../_file-errors.ts"
import { asFinding, targetError } from "../_target-error.ts"
import {
  authOf,
  type DockerConfig,
  hidingHelper,
  loginEdits,
  parseDockerConfig,
  storedLogin,
  withEdits,
} from "./config.ts"

/** The file, and whether a login that docker does not see is to be written. */
export type Policy = { readonly place: FilePlace; readonly allowShadowed: boolean }

/** Makes the file hold the logins of all these deliveries. */
export function deliver(
  deliveries: readonly Delivery[],
  { place, allowShadowed }: Policy,
  signal: AbortSignal,
): Promise<readonly DeliveryResult[]> {
  // The last round of this call finds what an earlier one wrote, which is `delivered` all the same.
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
        const keeps = held?.usable && outlives(held.expiresAt, credential, place.deps.clock.now())
        const changes = loginEdits(config, target.slot, keeps ? held.auth : authOf(credential))
        for (const [key, value] of changes) edits.set(key, value)
        if (changes.size > 0) written.add(target.slot)
        const outcome = written.has(target.slot) ? "delivered" : "unchanged"
        return { outcome, expiresAt: (keeps ? held : credential).expiresAt, ...warning }
      })
      return { bytes: edits.size > 0 ? Buffer.from(withEdits(config, edits)) : undefined, result }
    },
    signal,
  )
}

/** What the file holds of these targets. */
export async function read(
  targets: readonly Target[],
  policy: Policy,
  signal: AbortSignal,
): Promise<readonly Held[]> {
  signal.throwIfAborted()
  try {
    const config = understood(await loadFile(policy.place), policy.place)
    return targets.map((target) => {
      const held = storedLogin(config, target.slot)
      const hiding = policy.allowShadowed ? undefined : hidingHelper(config, target.slot)
      const refusal = hiding && shadowedError(hiding, target, policy.place)
      if (!held) return { state: "missing", ...(refusal ? { hint: refusal.hint } : {}) }
      const { expiresAt, differs } = held
      if (refusal)
        return { state: "held", expiresAt, differs: `${hiding} hides it from docker`, hint: refusal.hint }
      return { state: "held", expiresAt, ...(differs === undefined ? {} : { differs }) }
    })
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error
    return targets.map(() => ({ state: "unreadable", error }))
  }
}

/** What would keep `deliver` from the file, or docker from what it writes. */
export async function check(
  targets: readonly Target[],
  policy: Policy,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  signal.throwIfAborted()
  const { place, allowShadowed } = policy
  const subject = place.path
  const obstacle = await whyNotWritable(place)
  if (obstacle) return [asFinding(obstacle, subject)]
  try {
    const config = understood(await loadFile(place), place)
    const hidden = targets.flatMap((target): readonly Finding[] => {
      const hiding = hidingHelper(config, target.slot)
      if (!hiding) return []
      const finding = asFinding(shadowedError(hiding, target, place), target.name)
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

// Some clients take an entry whose key is not the bare host, as image names have it.
function staleTwin(subject: string, twin: string): Finding {
  const message = `the same registry is also there as "${twin}", which some clients look at first`
  const fix = "`ecrelay refresh` removes it"
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
  throw fileError(
    {
      code: "invalid-config",
      says: config,
      hint: "correct it by hand, or move it away to start with a new one; nothing was changed",
    },
    place,
  )
}

function shadowedError(hiding: string, target: Target, { path, sink }: FilePlace): DeliveryError {
  return targetError(sink, target.name, {
    code: "shadowed",
    says: `${hiding} in the same file would hide the login from docker`,
    hint: `remove ${hiding} from ${path}, or choose another file with path=, or add shadowed=allow if whoever pulls ignores it`,
  })
}

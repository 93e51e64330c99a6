// What becomes of each secret: left alone, made, given a new value, or refused because it is somebody else's. Every
// secret is dealt with on its own; one that fails holds up no other.
import { outlives } from "../../src/credential.ts"
import { DeliveryError } from "../../src/errors.ts"
import type { Delivery, DeliveryResult, Finding, Target } from "../../src/sink.ts"
import { asDeliveryError, CallError, isDenied, PARALLEL } from "../_aws/call.ts"
import { formatLogin, type LoginFormat, readLogin } from "../_aws/login-format.ts"
import { inParallel } from "../_parallel.ts"
import { type Context, contextOf } from "./failure.ts"
import { type Look, type Making, type Store, TAG } from "./store.ts"

/** How secrets are written. */
export type Policy = {
  readonly format: LoginFormat
  readonly kmsKey: string | undefined
  /** Whether a secret that we did not make may be taken over. */
  readonly adopt: boolean
  /** Milliseconds since 1970. */
  readonly now: number
}

/** Delivers into an open store; the results in order. Rejects only where the signal is aborted. */
export async function deliverLogins(
  deliveries: readonly Delivery[],
  store: Store,
  policy: Policy,
  context: Context,
  signal: AbortSignal,
): Promise<readonly DeliveryResult[]> {
  const looks = await store.look([...new Set(deliveries.map(({ target }) => target.slot))])
  return inParallel(PARALLEL, deliveries, async (delivery): Promise<DeliveryResult> => {
    const { target, credential } = delivery
    try {
      return await deliverOne(delivery, looks.get(target.slot) ?? "missing", store, policy)
    } catch (error) {
      signal.throwIfAborted()
      return { outcome: "failed", error: failureOf(error, target, context, credential) }
    }
  })
}

/** Looks at every secret without changing one. Rejects only where the signal is aborted. */
export async function checkDelivery(
  targets: readonly Target[],
  store: Store,
  policy: Policy,
  context: Context,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const looks = await store.look(targets.map(({ slot }) => slot))
  return inParallel(PARALLEL, targets, async (target): Promise<Finding> => {
    try {
      return await checkOne(target, looks.get(target.slot) ?? "missing", store, policy)
    } catch (error) {
      signal.throwIfAborted()
      const { message, hint = "" } = failureOf(error, target, context)
      return { level: "error", subject: target.name, message, fix: hint }
    }
  })
}

function failureOf(
  error: unknown,
  { name }: Target,
  context: Context,
  credential?: Delivery["credential"],
): DeliveryError {
  if (error instanceof DeliveryError) return error
  if (!(error instanceof CallError)) throw error
  return asDeliveryError(error, { ...contextOf(name, context), ...(credential ? { credential } : {}) })
}

async function deliverOne(
  { target, credential }: Delivery,
  look: Look,
  store: Store,
  policy: Policy,
): Promise<DeliveryResult> {
  const making = { name: target.slot, value: formatLogin(policy.format, credential), kmsKey: policy.kmsKey }
  const delivered = { outcome: "delivered", expiresAt: credential.expiresAt } as const
  if (look === "missing") {
    const beaten = await make(making, store, policy)
    if (!beaten) return delivered
    const now = (await store.look([target.slot])).get(target.slot) ?? beaten
    if (now === "missing") throw beaten
    return deliverOne({ target, credential }, now, store, policy)
  }
  if (look instanceof CallError) {
    // With adopt=true the permission to write is enough: then nothing is compared.
    if (!policy.adopt || !isDenied(look)) throw look
    await writeBlindly(making, store)
    return delivered
  }
  if (look.value === making.value) return { ...delivered, outcome: "unchanged" }
  const held = readLogin(policy.format, look.value, target.registry.host)
  if (!held.differs && outlives(held.expiresAt, credential, policy.now))
    return { outcome: "unchanged", expiresAt: held.expiresAt }
  if (!policy.adopt && !(await store.isOurs(target.slot))) throw notOurs(target)
  await store.put(target.slot, making.value)
  return delivered
}

/** Makes a secret; returns the error where somebody else made it meanwhile. */
async function make(making: Making, store: Store, { adopt }: Policy): Promise<CallError | undefined> {
  try {
    await store.create(making, true)
  } catch (error) {
    if (isNamed(error, "ResourceExistsException")) return error
    if (!adopt || !isDenied(error)) throw error
    // It may be the tag alone that we may not set.
    await store.create(making, false)
  }
  return undefined
}

async function writeBlindly(making: Making, store: Store): Promise<void> {
  try {
    await store.put(making.name, making.value)
  } catch (error) {
    if (!isNamed(error, "ResourceNotFoundException")) throw error
    await store.create(making, false)
  }
}

async function checkOne(target: Target, look: Look, store: Store, policy: Policy): Promise<Finding> {
  const subject = target.name
  if (look === "missing") return { level: "ok", subject, message: "is not there yet and will be made" }
  if (look instanceof CallError) {
    if (!policy.adopt || !isDenied(look)) throw look
    const message = "may not be read, so that every delivery writes it"
    return { level: "warning", subject, message, fix: "allow secretsmanager:GetSecretValue on it" }
  }
  if (!policy.adopt && !(await store.isOurs(target.slot))) throw notOurs(target)
  return { level: "ok", subject, message: "can be read, and is ours to write" }
}

function isNamed(error: unknown, name: string): error is CallError {
  return error instanceof CallError && error.errorName === name
}

function notOurs({ name: target }: Target): DeliveryError {
  return new DeliveryError(`${target}: was not made by ecrelay: it is there without the tag ${TAG.Key}`, {
    sink: "aws-secrets-manager",
    target,
    code: "not-ours",
    hint: `choose another name; or give it the tag ${TAG.Key}=${TAG.Value}, or take it over with adopt=true`,
    retryable: false,
  })
}

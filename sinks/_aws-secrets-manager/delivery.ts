// What becomes of each secret: left alone, made, given a new value, or refused because it is somebody else's. Every
// secret is dealt with on its own; one that fails holds up no other.
import { DeliveryError } from "../../src/errors.ts"
import {
  type Delivery,
  type DeliveryResult,
  errorFinding,
  type Finding,
  type Target,
} from "../../src/sink.ts"
import { asDeliveryError, CallError, isDenied, PARALLEL } from "../_aws/call.ts"
import { blindSharingProblem, renew, wholeSlot } from "../_aws/renewal.ts"
import type { LoginFormat } from "../_login-format.ts"
import { inParallel } from "../_parallel.ts"
import { type Context, contextOf } from "./failure.ts"
import { type Look, type Making, type Store, TAG } from "./store.ts"

const SINK = "aws-secrets-manager"

/** How secrets are written. */
export type Policy = {
  readonly format: LoginFormat
  readonly kmsKey: string | undefined
  /** Whether a secret that we did not make may be taken over. */
  readonly adopt: boolean
  /** Milliseconds since 1970. */
  readonly now: number
}

// AWS's limit on a secret's text, in bytes.
const MAX_BYTES = 65_536

/** Delivers into an open store; the results in order. Rejects only where the signal is aborted. */
export async function deliverLogins(
  deliveries: readonly Delivery[],
  store: Store,
  policy: Policy,
  context: Context,
  signal: AbortSignal,
): Promise<readonly DeliveryResult[]> {
  const bySlot = Map.groupBy(deliveries, ({ target }) => target.slot)
  const looks = await store.look([...bySlot.keys()])
  const results = new Map<Delivery, DeliveryResult | undefined>()
  await inParallel(PARALLEL, [...bySlot], async ([slot, together]) => {
    try {
      const done = await deliverTogether(together, looks.get(slot) ?? "missing", store, policy)
      for (const [i, delivery] of together.entries()) results.set(delivery, done[i])
    } catch (error) {
      signal.throwIfAborted()
      for (const delivery of together) {
        const { target, credential } = delivery
        results.set(delivery, {
          outcome: "failed",
          error: failureOf(error, target, context, credential),
        })
      }
    }
  })
  return deliveries.map((delivery) => results.get(delivery) as DeliveryResult)
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
      return errorFinding(target.name, failureOf(error, target, context))
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

/** Delivers what goes into one secret, in one write. */
async function deliverTogether(
  deliveries: readonly Delivery[],
  look: Look,
  store: Store,
  policy: Policy,
): Promise<readonly DeliveryResult[]> {
  const [{ target }] = deliveries as readonly [Delivery]
  const name = wholeSlot(target, policy.format)
  const unread = look instanceof CallError ? look : undefined
  // With adopt=true the permission to write is enough: then nothing is compared.
  if (unread && !(policy.adopt && isDenied(unread))) throw unread
  const about = { sink: SINK, target: name, readAction: "secretsmanager:GetSecretValue" }
  const blindness = unread && blindSharingProblem(about, deliveries)
  if (blindness) throw blindness
  const secret = look === "missing" || look instanceof CallError ? undefined : look
  const { value, results } = renew(secret?.value, deliveries, { ...policy, problemOf: sizeProblem })
  if (value === undefined) return results
  const making = { name: target.slot, value, kmsKey: policy.kmsKey }
  if (unread) await writeBlindly(making, store)
  else if (!secret) {
    const beaten = await make(making, store, policy)
    if (!beaten) return results
    const now = (await store.look([target.slot])).get(target.slot) ?? beaten
    if (now === "missing") throw beaten
    // Ours: AWS's answer to the first try got lost, and the second one met what the first had made.
    if (!(now instanceof CallError) && now.value === value) return results
    return deliverTogether(deliveries, now, store, policy)
  } else {
    if (!policy.adopt && !(await store.isOurs(target.slot))) throw notOurs(name)
    await store.put(target.slot, value)
  }
  return results
}

/** Why AWS would refuse a text for its length, undefined where it fits. */
function sizeProblem(value: string, target: string): DeliveryError | undefined {
  const size = Buffer.byteLength(value)
  if (size <= MAX_BYTES) return undefined
  return new DeliveryError(
    `${target}: the secret would be ${size.toLocaleString("en-GB")} bytes long, and AWS takes ${MAX_BYTES.toLocaleString("en-GB")}`,
    {
      sink: SINK,
      target,
      code: "too-long",
      hint: "{account} and {region} in the name give each registry a secret of its own",
      retryable: false,
    },
  )
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
    const fix = "allow secretsmanager:GetSecretValue on it"
    return { level: "warning", code: "unread", subject, message, fix }
  }
  if (!policy.adopt && !(await store.isOurs(target.slot))) throw notOurs(wholeSlot(target, policy.format))
  return { level: "ok", subject, message: "can be read, and is ours to write" }
}

function isNamed(error: unknown, name: string): error is CallError {
  return error instanceof CallError && error.errorName === name
}

function notOurs(target: string): DeliveryError {
  return new DeliveryError(`${target}: was not made by ecrelay: it is there without the tag ${TAG.Key}`, {
    sink: SINK,
    target,
    code: "not-ours",
    hint: `choose another name; or give it the tag ${TAG.Key}=${TAG.Value}, or take it over with adopt=true`,
    retryable: false,
  })
}

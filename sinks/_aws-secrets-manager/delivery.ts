// What becomes of each secret: left alone, made, given a new value, or refused because it is somebody else's.
import type { DeliveryError } from "../../src/errors.ts"
import type { Delivery, DeliveryResult, Finding, Target } from "../../src/sink.ts"
import { checkBySlot, deliverBySlot } from "../_aws/by-slot.ts"
import { CallError, isDenied, isNamed } from "../_aws/call.ts"
import { blindSharingProblem, renew, wholeSlot } from "../_aws/renewal.ts"
import type { LoginFormat } from "../_login-format.ts"
import { targetError } from "../_target-error.ts"
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
export function deliverLogins(
  deliveries: readonly Delivery[],
  store: Store,
  policy: Policy,
  context: Context,
  signal: AbortSignal,
): Promise<readonly DeliveryResult[]> {
  const deliver = (together: readonly Delivery[], look: Look) =>
    deliverTogether(together, look, store, policy)
  return deliverBySlot(deliveries, store, deliver, (target) => contextOf(target, context), signal)
}

/** Looks at every secret without changing one. Rejects only where the signal is aborted. */
export function checkDelivery(
  targets: readonly Target[],
  store: Store,
  policy: Policy,
  context: Context,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const check = (target: Target, look: Look) => checkOne(target, look, store, policy)
  return checkBySlot(targets, store, check, (target) => contextOf(target, context), signal)
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
  return targetError(SINK, target, {
    code: "too-long",
    says: `the secret would be ${size.toLocaleString("en-GB")} bytes long, and AWS takes ${MAX_BYTES.toLocaleString("en-GB")}`,
    hint: "{account} and {region} in the name give each registry a secret of its own",
  })
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

function notOurs(target: string): DeliveryError {
  return targetError(SINK, target, {
    code: "not-ours",
    says: `was not made by ecrelay: it is there without the tag ${TAG.Key}`,
    hint: `choose another name; or give it the tag ${TAG.Key}=${TAG.Value}, or take it over with adopt=true`,
  })
}

// What becomes of each parameter: left alone, made, given a new value, or refused because it is somebody else's.
import type { DeliveryError } from "../../src/errors.ts"
import type { Delivery, DeliveryResult } from "../../src/sink.ts"
import { deliverBySlot } from "../_aws/by-slot.ts"
import { CallError, isDenied, isNamed } from "../_aws/call.ts"
import { blindSharingProblem, renew, wholeSlot } from "../_aws/renewal.ts"
import { targetError } from "../_target-error.ts"
import { type Context, contextOf } from "./failure.ts"
import { type Sizing, sizeProblem } from "./size.ts"
import { type Look, type Parameter, type Store, TAG, type Writing } from "./store.ts"

const SINK = "aws-ssm"

/** How parameters are written. */
export type Policy = Sizing & {
  readonly kmsKey: string | undefined
  /** Whether a parameter that we did not make may be taken over. */
  readonly adopt: boolean
  /** Milliseconds since 1970. */
  readonly now: number
}

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

/** Delivers what goes into one parameter, in one write. */
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
  const about = { sink: SINK, target: name, readAction: "ssm:GetParameters" }
  const blindness = unread && blindSharingProblem(about, deliveries)
  if (blindness) throw blindness
  const parameter = look === "missing" || look instanceof CallError ? undefined : look
  const problemOf = (value: string, of: string) => sizeProblem(value, of, policy)
  const { value, results } = renew(parameter?.value, deliveries, { ...policy, problemOf })
  if (value === undefined) return results
  const writing: Writing = { name: target.slot, value, kmsKey: policy.kmsKey, tier: policy.tier }
  if (unread) await writeBlindly(writing, store)
  else if (!parameter) {
    const beaten = await make(writing, store, policy)
    if (!beaten) return results
    const now = (await store.look([target.slot])).get(target.slot) ?? beaten
    if (now === "missing") throw beaten
    // Ours: AWS's answer to the first try got lost, and the second one met what the first had made.
    if (!(now instanceof CallError) && now.value === value) return results
    return deliverTogether(deliveries, now, store, policy)
  } else {
    if (!policy.adopt && !(await store.isOurs(target.slot))) throw notOurs(parameter, name)
    const plain = plaintextWarning(parameter, name, policy)
    await replace({ ...writing, type: parameter.type }, store)
    if (!plain) return results
    const warning = `${plain.message}; ${plain.fix}`
    return results.map((one) => (one.outcome === "delivered" ? { ...one, warning } : one))
  }
  return results
}

/** Makes a parameter; returns the error where somebody else made it meanwhile. */
async function make(writing: Writing, store: Store, { adopt }: Policy): Promise<CallError | undefined> {
  const secure = { ...writing, type: "SecureString" } as const
  try {
    await store.create(secure, true)
  } catch (error) {
    if (isNamed(error, "ParameterAlreadyExists")) return error
    if (!adopt || !isDenied(error)) throw error
    // It may be the tag alone that we may not set.
    await store.create(secure, false)
  }
  return undefined
}

async function writeBlindly(writing: Writing, store: Store): Promise<void> {
  try {
    await store.create({ ...writing, type: "SecureString" }, false)
  } catch (error) {
    if (!isNamed(error, "ParameterAlreadyExists")) throw error
    await replace(writing, store)
  }
}

/** Overwrites a parameter, which stays advanced where it is. */
async function replace(writing: Writing, store: Store): Promise<void> {
  try {
    await store.overwrite(writing)
  } catch (error) {
    const mayBeDowngrade = writing.tier === undefined || writing.tier === "Standard"
    if (!mayBeDowngrade || !isNamed(error, "ValidationException")) throw error
    // AWS has no name for a refused downgrade. Intelligent-Tiering never makes an advanced parameter a standard one,
    // nor, for a value of this size, a standard one advanced.
    await store.overwrite({ ...writing, tier: "Intelligent-Tiering" })
  }
}

/** Says what a parameter is that we did not make, by anything but its value. */
export function notOurs({ type, version, changedAt }: Parameter, target: string): DeliveryError {
  const changed =
    changedAt === undefined ? "" : `, last changed on ${new Date(changedAt).toISOString().slice(0, 10)}`
  return targetError(SINK, target, {
    code: "not-ours",
    says: `was not made by ecrelay: it is a ${type} of version ${version}${changed}, without the tag ${TAG.Key}`,
    hint: `choose another name; or give it the tag ${TAG.Key}=${TAG.Value}, or take it over with adopt=true`,
  })
}

/**
 * What to say where a parameter that is taken over does not encrypt, undefined where it does: its type stays, since
 * readers may rely on it. Throws a DeliveryError where encryption with a key was asked for.
 */
export function plaintextWarning(
  { type }: Parameter,
  target: string,
  { kmsKey }: Pick<Policy, "kmsKey">,
): { readonly message: string; readonly fix: string } | undefined {
  if (type === "SecureString") return undefined
  const fix = "delete it, and the next delivery makes it a SecureString"
  if (kmsKey === undefined) return { message: `it is a ${type}, which AWS does not encrypt`, fix }
  const says = `is a ${type}, which AWS does not encrypt with kms_key`
  throw targetError(SINK, target, { code: "not-encrypted", says, hint: fix })
}

// What is special about Parameter Store: how a parameter is made, overwritten and taken over. One that we did not make
// keeps its type, since its readers may rely on it.
import type { DeliveryError } from "../../src/errors.ts"
import type { Finding, Target } from "../../src/sink.ts"
import { isDenied, isNamed } from "../_aws/call.ts"
import { makeTagged } from "../_aws/make-tagged.ts"
import { type SlotPolicy, type SlotService, TAG } from "../_aws/slot-service.ts"
import { targetError } from "../_target-error.ts"
import { type Context, contextOf, TYPE } from "./failure.ts"
import { grouped, type Sizing, sizeLimit, sizeProblem } from "./size.ts"
import type { Parameter, Store, Writing } from "./store.ts"

/** How parameters are written. */
type Policy = SlotPolicy & Sizing & { readonly kmsKey: string | undefined }

/** An open Parameter Store, as `by-slot.ts` delivers into it. */
export function parameterService(store: Store, policy: Policy, context: Context): SlotService<Parameter> {
  const writingOf = (name: string, value: string): Writing => ({
    name,
    value,
    kmsKey: policy.kmsKey,
    tier: policy.tier,
  })
  return {
    sink: TYPE,
    store,
    policy,
    readAction: "ssm:GetParameters",
    contextOf: (target) => contextOf(target, context),
    problemOf: (value, target) => sizeProblem(value, target, policy),
    make: (name, value) => {
      const secure = { ...writingOf(name, value), type: "SecureString" } as const
      return makeTagged((tagged) => store.create(secure, tagged), "ParameterAlreadyExists", policy)
    },
    replace: async (name, value, held, target) => {
      const plain = plaintextWarning(held, target, policy)
      const version = await replace({ ...writingOf(name, value), type: held.type }, store)
      if (version <= held.version) await tagAnew(name, store, policy)
      return plain && `${plain.message}; ${plain.fix}`
    },
    writeBlindly: (name, value) => writeBlindly(writingOf(name, value), store),
    notOurs,
    find: (held, target) => {
      const plain = plaintextWarning(held, target.name, policy)
      if (plain) return { level: "warning", code: "plaintext", subject: target.name, ...plain }
      return fullness(held, target, policy)
    },
  }
}

async function writeBlindly(writing: Writing, store: Store): Promise<void> {
  try {
    await store.create({ ...writing, type: "SecureString" }, false)
  } catch (error) {
    if (!isNamed(error, "ParameterAlreadyExists")) throw error
    await replace(writing, store)
  }
}

// Somebody deleted it since we looked, and the write has made it anew.
async function tagAnew(name: string, store: Store, { adopt }: Policy): Promise<void> {
  try {
    await store.tag(name)
  } catch (error) {
    if (!adopt || !isDenied(error)) throw error
  }
}

/** Overwrites a parameter, which stays advanced where it is, and resolves with its version. */
async function replace(writing: Writing, store: Store): Promise<number> {
  try {
    return await store.overwrite(writing)
  } catch (error) {
    const mayBeDowngrade = writing.tier === undefined || writing.tier === "Standard"
    if (!mayBeDowngrade || !isNamed(error, "ValidationException")) throw error
    // AWS has no name for a refused downgrade. Intelligent-Tiering never makes an advanced parameter a standard one,
    // nor, for a value of this size, a standard one advanced.
    return store.overwrite({ ...writing, tier: "Intelligent-Tiering" })
  }
}

// Says what a parameter is that we did not make, by anything but its value.
function notOurs({ type, version, changedAt }: Parameter, target: string): DeliveryError {
  const changed =
    changedAt === undefined ? "" : `, last changed on ${new Date(changedAt).toISOString().slice(0, 10)}`
  return targetError(TYPE, target, {
    code: "not-ours",
    says: `was not made by ecrelay: it is a ${type} of version ${version}${changed}, without the tag ${TAG.Key}`,
    hint: `choose another name; or give it the tag ${TAG.Key}=${TAG.Value}, or take it over with adopt=true`,
  })
}

/**
 * What to say where a parameter that is taken over does not encrypt, undefined where it does. Throws a DeliveryError
 * where encryption with a key was asked for.
 */
function plaintextWarning(
  { type }: Parameter,
  target: string,
  { kmsKey }: Policy,
): { readonly message: string; readonly fix: string } | undefined {
  if (type === "SecureString") return undefined
  const fix = "delete it, and the next delivery makes it a SecureString"
  if (kmsKey === undefined) return { message: `it is a ${type}, which AWS does not encrypt`, fix }
  const says = `is a ${type}, which AWS does not encrypt with kms_key`
  throw targetError(TYPE, target, { code: "not-encrypted", says, hint: fix })
}

// A token is not always as long as the one before.
const NEARLY_FULL = 0.95

function fullness({ value }: Parameter, { name: subject }: Target, policy: Policy): Finding | undefined {
  const { limit, wayOut } = sizeLimit(policy)
  const size = Buffer.byteLength(value)
  if (size <= limit * NEARLY_FULL) return undefined
  const message = `holds ${grouped(size)} of the ${grouped(limit)} characters that fit; a longer token would be refused`
  return { level: "warning", code: "nearly-full", subject, message, fix: wayOut }
}

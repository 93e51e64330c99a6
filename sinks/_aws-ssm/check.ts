// What `check` finds in Parameter Store: whether it answers, what may be read, what is ours, and what is nearly full.
// That a write is allowed only a write can tell.
import type { Finding, Target } from "../../src/sink.ts"
import { checkBySlot } from "../_aws/by-slot.ts"
import { CallError, isDenied } from "../_aws/call.ts"
import { wholeSlot } from "../_aws/renewal.ts"
import { notOurs, type Policy, plaintextWarning } from "./delivery.ts"
import { type Context, contextOf } from "./failure.ts"
import { grouped, sizeLimit } from "./size.ts"
import type { Look, Parameter, Store } from "./store.ts"

/** Looks at every parameter without changing one. Rejects only where the signal is aborted. */
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

async function checkOne(target: Target, look: Look, store: Store, policy: Policy): Promise<Finding> {
  const subject = target.name
  if (look === "missing") return { level: "ok", subject, message: "is not there yet and will be made" }
  if (look instanceof CallError) {
    if (!policy.adopt || !isDenied(look)) throw look
    const message = "may not be read, so that every delivery writes it"
    return { level: "warning", code: "unread", subject, message, fix: "allow ssm:GetParameters on it" }
  }
  if (!policy.adopt && !(await store.isOurs(target.slot)))
    throw notOurs(look, wholeSlot(target, policy.format))
  const warning = plaintextWarning(look, subject, policy)
  if (warning) return { level: "warning", code: "plaintext", subject, ...warning }
  return (
    fullness(look, target, policy) ?? { level: "ok", subject, message: "can be read, and is ours to write" }
  )
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

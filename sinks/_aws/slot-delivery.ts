// What becomes of one slot: left alone, made, given a new text, or refused because it is somebody else's.
import type { Delivery, DeliveryResult, Finding, Target } from "../../src/sink.ts"
import { CallError, isDenied } from "./call.ts"
import { blindSharingProblem, renew, wholeSlot } from "./renewal.ts"
import type { Look, SlotService, Text } from "./slot-service.ts"

/** Delivers all logins that go into one slot, in one write. Rejects with a CallError or a DeliveryError. */
export async function deliverTogether<Item extends Text>(
  deliveries: readonly Delivery[],
  look: Look<Item>,
  service: SlotService<Item>,
): Promise<readonly DeliveryResult[]> {
  const [{ target }] = deliveries as readonly [Delivery]
  const { store, policy } = service
  const name = wholeSlot(target, policy.format)
  if (look instanceof CallError) requireBlindWrite(look, deliveries, name, service)
  const held = look === "missing" || look instanceof CallError ? undefined : look
  const { value, results } = renew(held?.value, deliveries, { ...policy, problemOf: service.problemOf })
  if (value === undefined) return results
  if (look instanceof CallError) {
    await service.writeBlindly(target.slot, value)
    return results
  }
  if (held) {
    if (!policy.adopt && !(await store.isOurs(target.slot))) throw service.notOurs(held, name)
    return withWarning(results, await service.replace(target.slot, value, held, name))
  }
  const conflict = await service.make(target.slot, value)
  if (!conflict) return results
  const now = (await store.look([target.slot])).get(target.slot) ?? conflict
  if (now === "missing") throw conflict
  // Ours: AWS's answer to the first try got lost, and the second one met what the first had made.
  if (!(now instanceof CallError) && now.value === value) return results
  return deliverTogether(deliveries, now, service)
}

// With adopt=true the permission to write is enough: then nothing is compared.
function requireBlindWrite<Item extends Text>(
  unread: CallError,
  deliveries: readonly Delivery[],
  target: string,
  { sink, policy, readAction }: SlotService<Item>,
): void {
  if (!(policy.adopt && isDenied(unread))) throw unread
  const problem = blindSharingProblem({ sink, target, readAction }, deliveries.length)
  if (problem) throw problem
}

function withWarning(
  results: readonly DeliveryResult[],
  warning: string | undefined,
): readonly DeliveryResult[] {
  if (warning === undefined) return results
  return results.map((one) => (one.outcome === "delivered" ? { ...one, warning } : one))
}

/** What `check` finds of one slot, which so many targets share. Rejects with a CallError or a DeliveryError. */
export async function checkOne<Item extends Text>(
  target: Target,
  look: Look<Item>,
  service: SlotService<Item>,
  sharing: number,
): Promise<Finding> {
  const subject = target.name
  const { sink, store, policy, readAction } = service
  if (look === "missing") return { level: "ok", subject, message: "is not there yet and will be created" }
  if (look instanceof CallError) {
    if (!policy.adopt || !isDenied(look)) throw look
    const slot = wholeSlot(target, policy.format)
    const problem = blindSharingProblem({ sink, target: slot, readAction }, sharing)
    if (problem) throw problem
    const message = "may not be read, so every delivery writes it"
    return { level: "warning", code: "unread", subject, message, fix: `allow ${readAction} on it` }
  }
  if (!policy.adopt && !(await store.isOurs(target.slot)))
    throw service.notOurs(look, wholeSlot(target, policy.format))
  const fine: Finding = { level: "ok", subject, message: "can be read, and is ecrelay's to write" }
  return service.find?.(look, target) ?? fine
}

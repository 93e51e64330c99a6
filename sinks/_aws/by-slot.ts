// Slot by slot through a store, a few at a time: each is dealt with on its own, and one that fails holds up no other.
import { DeliveryError } from "../../src/errors.ts"
import type { Delivery, DeliveryResult, Finding, Held, Target } from "../../src/sink.ts"
import { readLogin } from "../_login-format.ts"
import { inParallel } from "../_parallel.ts"
import { asFinding } from "../_target-error.ts"
import { asDeliveryError, type CallContext, CallError, PARALLEL } from "./call.ts"
import { checkOne, deliverTogether } from "./slot-delivery.ts"
import type { SlotService, Text } from "./slot-service.ts"

/**
 * Delivers what goes into each slot together; the results in the order of the deliveries. Rejects only where the signal
 * is aborted.
 */
export async function deliverBySlot<Item extends Text>(
  deliveries: readonly Delivery[],
  service: SlotService<Item>,
  signal: AbortSignal,
): Promise<readonly DeliveryResult[]> {
  const bySlot = Map.groupBy(deliveries, ({ target }) => target.slot)
  const looks = await service.store.look([...bySlot.keys()])
  const results = new Map<Delivery, DeliveryResult | undefined>()
  await inParallel(PARALLEL, [...bySlot], async ([slot, together]) => {
    try {
      const done = await deliverTogether(together, looks.get(slot) ?? "missing", service)
      for (const [i, delivery] of together.entries()) results.set(delivery, done[i])
    } catch (error) {
      signal.throwIfAborted()
      for (const delivery of together) {
        const { target, credential } = delivery
        const about = { ...service.contextOf(target.name), credential }
        results.set(delivery, { outcome: "failed", error: failureOf(error, about) })
      }
    }
  })
  return deliveries.map((delivery) => results.get(delivery) as DeliveryResult)
}

/** What each target holds, in order. Rejects only where the signal is aborted. */
export async function readBySlot<Item extends Text>(
  targets: readonly Target[],
  service: SlotService<Item>,
  signal: AbortSignal,
): Promise<readonly Held[]> {
  const { store, policy, contextOf } = service
  const looks = await store.look([...new Set(targets.map(({ slot }) => slot))])
  return inParallel(PARALLEL, targets, async ({ slot, name, registry }): Promise<Held> => {
    const look = looks.get(slot) ?? "missing"
    if (look === "missing") return { state: "missing" }
    if (look instanceof CallError)
      return { state: "unreadable", error: asDeliveryError(look, contextOf(name)) }
    const login = readLogin(policy.format, look.value, registry.host)
    if (login.differs === undefined || policy.adopt) return { state: "held", ...login }
    try {
      const hint = (await store.isOurs(slot)) ? undefined : service.notOurs(look, name).hint
      return { state: "held", ...login, hint }
    } catch (error) {
      signal.throwIfAborted()
      return { state: "held", ...login, hint: failureOf(error, contextOf(name)).hint }
    }
  })
}

/** What is found of each target, in order. Changes nothing. Rejects only where the signal is aborted. */
export async function checkBySlot<Item extends Text>(
  targets: readonly Target[],
  service: SlotService<Item>,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const bySlot = Map.groupBy(targets, ({ slot }) => slot)
  const looks = await service.store.look([...bySlot.keys()])
  return inParallel(PARALLEL, targets, async (target) => {
    const sharing = bySlot.get(target.slot)?.length ?? 1
    try {
      return await checkOne(target, looks.get(target.slot) ?? "missing", service, sharing)
    } catch (error) {
      signal.throwIfAborted()
      return asFinding(failureOf(error, service.contextOf(target.name)), target.name)
    }
  })
}

function failureOf(error: unknown, context: CallContext): DeliveryError {
  if (error instanceof DeliveryError) return error
  if (error instanceof CallError) return asDeliveryError(error, context)
  throw error
}

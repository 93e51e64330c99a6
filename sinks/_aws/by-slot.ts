// Slot by slot through a store, a few at a time: each is dealt with on its own, and one that fails holds up no other.
import { DeliveryError } from "../../src/errors.ts"
import {
  type Delivery,
  type DeliveryResult,
  errorFinding,
  type Finding,
  type Target,
} from "../../src/sink.ts"
import { inParallel } from "../_parallel.ts"
import { asDeliveryError, type CallContext, CallError, PARALLEL } from "./call.ts"

/** What can be looked at by name. */
type Shelf<Look> = { look(names: readonly string[]): Promise<ReadonlyMap<string, Look | "missing">> }

/** What a failed call is put into words with, for a target. */
type ContextOf = (target: string) => CallContext

/**
 * Delivers what goes into each slot together, as `work` does it; the results in the order of the deliveries. Rejects
 * only where the signal is aborted.
 */
export async function deliverBySlot<Look>(
  deliveries: readonly Delivery[],
  store: Shelf<Look>,
  work: (together: readonly Delivery[], look: Look | "missing") => Promise<readonly DeliveryResult[]>,
  contextOf: ContextOf,
  signal: AbortSignal,
): Promise<readonly DeliveryResult[]> {
  const bySlot = Map.groupBy(deliveries, ({ target }) => target.slot)
  const looks = await store.look([...bySlot.keys()])
  const results = new Map<Delivery, DeliveryResult | undefined>()
  await inParallel(PARALLEL, [...bySlot], async ([slot, together]) => {
    try {
      const done = await work(together, looks.get(slot) ?? "missing")
      for (const [i, delivery] of together.entries()) results.set(delivery, done[i])
    } catch (error) {
      signal.throwIfAborted()
      for (const delivery of together) {
        const { target, credential } = delivery
        const about = { ...contextOf(target.name), credential }
        results.set(delivery, { outcome: "failed", error: failureOf(error, about) })
      }
    }
  })
  return deliveries.map((delivery) => results.get(delivery) as DeliveryResult)
}

/** What `work` finds of each target. Rejects only where the signal is aborted. */
export async function checkBySlot<Look>(
  targets: readonly Target[],
  store: Shelf<Look>,
  work: (target: Target, look: Look | "missing") => Promise<Finding>,
  contextOf: ContextOf,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const looks = await store.look(targets.map(({ slot }) => slot))
  return inParallel(PARALLEL, targets, async (target) => {
    try {
      return await work(target, looks.get(target.slot) ?? "missing")
    } catch (error) {
      signal.throwIfAborted()
      return errorFinding(target.name, failureOf(error, contextOf(target.name)))
    }
  })
}

function failureOf(error: unknown, context: CallContext): DeliveryError {
  if (error instanceof DeliveryError) return error
  if (error instanceof CallError) return asDeliveryError(error, context)
  throw error
}

// Making a slot: with our tag, by which the next delivery knows it for ours.
import { type CallError, isDenied, isNamed } from "./call.ts"
import type { SlotPolicy } from "./slot-service.ts"

/**
 * Makes a slot. Resolves with the error where somebody else made it first, which AWS says by the error named `exists`.
 * Rejects with a CallError.
 */
export async function makeTagged(
  create: (tagged: boolean) => Promise<unknown>,
  exists: string,
  { adopt }: Pick<SlotPolicy, "adopt">,
): Promise<CallError | undefined> {
  try {
    await create(true)
  } catch (error) {
    if (isNamed(error, exists)) return error
    if (!adopt || !isDenied(error)) throw error
    // It may be the tag alone that we may not set.
    await create(false)
  }
  return undefined
}

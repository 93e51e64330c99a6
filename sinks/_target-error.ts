// What is wrong with a target, in words: how every sink says what it could not do, and what `check` makes of that.
import { DeliveryError, isTransient } from "../src/errors.ts"
import { errorFinding, type Finding } from "../src/sink.ts"

/** What is wrong and what to do about it. Without `retryable`, the cause decides whether it may pass by itself. */
export type Words = {
  /** A stable string for programs. */
  readonly code: string
  /** What is wrong, without a subject: `holds something other than one ECR login`. */
  readonly says: string
  readonly hint: string
  readonly retryable?: boolean
}

/** The DeliveryError of a target, or of a whole place: its message begins with the name of either. */
export function targetError(sink: string, target: string, words: Words, cause?: unknown): DeliveryError {
  const { code, says, hint, retryable = isTransient(cause) } = words
  return new DeliveryError(`${target}: ${says}`, { sink, target, code, hint, retryable, cause })
}

/** A DeliveryError as what `check` found; anything else is a bug, and thrown. */
export function asFinding(error: unknown, subject: string): Finding {
  if (!(error instanceof DeliveryError)) throw error
  return errorFinding(subject, error)
}

/** What a check finds; the DeliveryError that ended it is then its one finding, about `subject`. */
export async function findingsOf(
  check: () => Promise<readonly Finding[]>,
  subject: string,
): Promise<readonly Finding[]> {
  try {
    return await check()
  } catch (error) {
    return [asFinding(error, subject)]
  }
}

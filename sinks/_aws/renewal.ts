// What becomes of the text in one slot when logins are put into it: those of several registries into a docker config, one
// into every other form. Pure; a login that does not fit fails alone.
import { outlives } from "../../src/credential.ts"
import type { DeliveryError } from "../../src/errors.ts"
import type { Delivery, DeliveryResult, Target } from "../../src/sink.ts"
import { formatLogin, type LoginFormat, partOf, readLogin } from "../_login-format.ts"
import { targetError } from "../_target-error.ts"

/** The text to be written, undefined where the slot is to stay as it is; and what becomes of each login, in order. */
export type Renewal = { readonly value: string | undefined; readonly results: readonly DeliveryResult[] }

/** How texts are renewed. */
export type Renewing = {
  readonly format: LoginFormat
  /** Milliseconds since 1970. */
  readonly now: number
  /** Why a text cannot be written. */
  readonly problemOf: (value: string, target: string) => DeliveryError | undefined
}

/** Puts logins into the text that a slot holds; undefined where it holds none. */
export function renew(
  held: string | undefined,
  deliveries: readonly Delivery[],
  { format, now, problemOf }: Renewing,
): Renewal {
  let text = held
  const results = deliveries.map(({ target, credential }): DeliveryResult => {
    const { expiresAt } = credential
    const found = text === undefined ? undefined : readLogin(format, text, target.registry.host)
    if (found && !found.differs && outlives(found.expiresAt, credential, now))
      return { outcome: "unchanged", expiresAt: found.expiresAt }
    const next = formatLogin(format, credential, text)
    if (next === text) return { outcome: "unchanged", expiresAt }
    const error = problemOf(next, target.name)
    if (error) return { outcome: "failed", error }
    text = next
    return { outcome: "delivered", expiresAt }
  })
  return { value: text === held ? undefined : text, results }
}

/** What a target's name says of the slot as a whole, which several logins may share. */
export function wholeSlot({ name, registry }: Target, format: LoginFormat): string {
  return name.slice(0, name.length - partOf(format, registry.host).length)
}

/** Why a slot that may not be read is not written for several registries: it may hold more than theirs. */
export function blindSharingProblem(
  {
    sink,
    target,
    readAction,
  }: { readonly sink: string; readonly target: string; readonly readAction: string },
  registries: number,
): DeliveryError | undefined {
  if (registries < 2) return undefined
  return targetError(sink, target, {
    code: "unreadable",
    says: `may not be read, and ${registries} registries share it; the logins of the others would be lost`,
    hint: `allow ${readAction} on it, or put {account} and {region} into its name`,
  })
}

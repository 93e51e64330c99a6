// What Parameter Store and Secrets Manager have in common, as types: named slots that each hold a text, a tag on those
// that we made, and the few things that each service does in its own way.
import type { DeliveryError } from "../../src/errors.ts"
import type { Finding, Target } from "../../src/sink.ts"
import type { LoginFormat } from "../_login-format.ts"
import type { CallContext, CallError } from "./call.ts"

/** The tag on what we make. */
export const TAG = { Key: "ecrelay", Value: "managed" } as const

/** What a slot holds, whatever else its store tells of it. */
export type Text = { readonly value: string }

/** What a look at a name found: what the slot holds, nothing, or why it could not be looked at. */
export type Look<Item> = Item | "missing" | CallError

/** A store that was opened for one call. */
export type SlotStore<Item> = {
  /** Looks at every name. Rejects only where the signal is aborted. */
  look(names: readonly string[]): Promise<ReadonlyMap<string, Look<Item>>>
  /** Whether the slot carries our tag. Rejects with a CallError. */
  isOurs(name: string): Promise<boolean>
}

/** How slots are written. */
export type SlotPolicy = {
  readonly format: LoginFormat
  /** Whether a slot that we did not make may be taken over. */
  readonly adopt: boolean
  /** Milliseconds since 1970. */
  readonly now: number
}

/** An open store and all that is special about it. What it does rejects with a CallError or a DeliveryError. */
export type SlotService<Item extends Text> = {
  readonly sink: string
  readonly store: SlotStore<Item>
  readonly policy: SlotPolicy
  /** The IAM action that reads a slot. */
  readonly readAction: string
  /** What the failed calls of a target are put into words with. */
  contextOf(target: string): CallContext
  /** Why a text would be refused, undefined where it would not be. */
  problemOf(value: string, target: string): DeliveryError | undefined
  /** Makes a slot. Resolves with the error where somebody else made it first. */
  make(name: string, value: string): Promise<CallError | undefined>
  /** Gives a slot a new text. Resolves with what the person should know; `target` names it in errors. */
  replace(name: string, value: string, held: Item, target: string): Promise<string | undefined>
  /** Writes a slot that may not be read, whether it is there or not. */
  writeBlindly(name: string, value: string): Promise<void>
  /** The error for a slot that is somebody else's. */
  notOurs(held: Item, target: string): DeliveryError
  /** What is wrong with a slot that is ours, for `check`; undefined where nothing is. */
  find?(held: Item, target: Target): Finding | undefined
}

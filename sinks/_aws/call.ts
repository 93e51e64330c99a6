// One call of AWS by its IAM action, and what its failure comes to: a DeliveryError that names target, action and way
// out. AWS's own words stay in the message, unless they quote what was to be written.
import type { Credential } from "../../src/credential.ts"
import { type DeliveryError, NO_ANSWER_OF_AWS } from "../../src/errors.ts"
import type { SinkDeps } from "../../src/sink.ts"
import { targetError } from "../_target-error.ts"

/** A call that failed. `action` is what IAM calls it, `errorName` what the SDK calls the error. */
export class CallError extends Error {
  override readonly name = "CallError"
  readonly action: string
  readonly errorName: string

  constructor(action: string, cause: unknown) {
    super(`${action} failed`, { cause })
    this.action = action
    this.errorName = String((cause as { name?: unknown } | undefined)?.name)
  }
}

/** Does a call. Rejects with a CallError. */
export async function call<T>(action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new CallError(action, cause)
  }
}

/** An answer to a call without what AWS never leaves out: something else gave it, and did nothing. */
export function emptyAnswer(action: string): CallError {
  return new CallError(action, Object.assign(new Error("an empty answer"), { code: NO_ANSWER_OF_AWS }))
}

/**
 * The client's configuration for many writes: a service that takes three a second is asked more slowly as soon as it
 * throttles. Each try that is thrown back would count against the quota too, which others share.
 */
export function pacing<Config extends { readonly retryMode: string }>(
  config: Config,
  env: SinkDeps["env"],
): Config {
  return env.AWS_RETRY_MODE ? config : { ...config, retryMode: "adaptive" }
}

/** Whether AWS refused the call for want of a permission. */
export function isDenied(error: unknown): error is CallError {
  return error instanceof CallError && /^AccessDenied(Exception)?$/.test(error.errorName)
}

/** Whether it is this error of AWS. */
export function isNamed(error: unknown, name: string): error is CallError {
  return error instanceof CallError && error.errorName === name
}

/** What a service's own errors mean, by their names; AwsAccess explains all others. */
export type Meanings = Readonly<
  Record<
    string,
    { readonly code: string; readonly text: string; readonly hint: string; readonly retryable?: boolean }
  >
>

/** What a failure is about, and how it is put into words. */
export type CallContext = {
  readonly sink: string
  /** The target's name, or the place's. */
  readonly target: string
  readonly aws: SinkDeps["aws"]
  readonly meanings: Meanings
  /** What to allow where AWS refuses an action. */
  readonly permissionHint: (action: string) => string
  /** What was to be written, and may not be shown: AWS quotes what it finds wrong. */
  readonly credential?: Credential
}

/** A failed call as a DeliveryError. */
export function asDeliveryError(error: CallError, context: CallContext): DeliveryError {
  const { sink, target, aws, meanings, credential } = context
  const explained = aws.explain(error.cause)
  const own = Object.hasOwn(meanings, error.errorName) ? meanings[error.errorName] : undefined
  const { code, text, hint, retryable = false } = own ?? explained
  const quotes = credential !== undefined && quotesLogin(String(error.cause), credential)
  const said = explained.said && !quotes ? ` (${explained.said})` : ""
  const denied = code === "access-denied"
  const words = {
    code,
    says: `${text}${denied ? `: ${error.action}` : ""}${said}`,
    hint: denied ? context.permissionHint(error.action) : hint,
    retryable,
  }
  return targetError(sink, target, words, quotes ? undefined : error.cause)
}

// Long enough not to be met by chance, short enough to find a quotation that was cut off.
const PART = 12

/** Whether a text quotes a part of the password, raw or as docker writes it. */
function quotesLogin(text: string, { userName, password }: Credential): boolean {
  const login = `${userName}:${password.reveal()}`
  const forms = [login, Buffer.from(login).toString("base64")]
  for (let at = 0; at + PART <= text.length; at += 1)
    if (forms.some((form) => form.includes(text.slice(at, at + PART)))) return true
  return false
}

/** How many calls are under way at most: what one account may ask a second is little, and shared with others. */
export const PARALLEL = 4

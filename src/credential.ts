// Credentials: what an authorization token decodes to, and how long any stored login is good for.
// A password is a Secret: it prints as [redacted] wherever it goes and comes out only by reveal().
import type { Registry } from "./registry.ts"

/** A text that no log line, report or error can show by accident. */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** The text itself: only in the line that writes it out or signs with it. */
  reveal(): string {
    return this.#text
  }

  toString(): string {
    return "[redacted]"
  }

  toJSON(): string {
    return "[redacted]"
  }

  // What node:util's inspect, and with it console.log, asks for.
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[redacted]"
  }
}

/** A decoded login to one registry: what a sink receives. */
export type Credential = {
  readonly registry: Registry
  /** Always `AWS` so far. */
  readonly userName: string
  readonly password: Secret
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}

/** The user name of every ECR login; only the password changes. */
export const ECR_USER_NAME = "AWS"

/** A login token lives this long, always: the caller cannot shorten it (AWS's API reference). */
export const TOKEN_LIFETIME_MS = 12 * 3_600_000

// AWS makes no token that expires later than this, an hour for clocks that are off included.
const BELIEVED_LIFETIME_MS = TOKEN_LIFETIME_MS + 3_600_000

const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/

/** User name and password of an authorization token, base64 of `user:password`; undefined if it is not that. */
export function decodeAuthorizationToken(
  token: string,
): { readonly userName: string; readonly password: Secret } | undefined {
  if (!BASE64.test(token)) return undefined
  const text = Buffer.from(token, "base64").toString("utf8")
  // The first colon ends the user name; a password may hold more of them.
  const colon = text.indexOf(":")
  if (colon < 1 || colon === text.length - 1) return undefined
  return { userName: text.slice(0, colon), password: new Secret(text.slice(colon + 1)) }
}

/**
 * Until when a password is good, in milliseconds since 1970, by the `expiration` (seconds) in the base64 JSON that an
 * ECR password is. AWS does not document that form, so it is a hint: undefined where it is absent.
 */
export function expiryOf(password: string): number | undefined {
  if (!BASE64.test(password)) return undefined
  try {
    const { expiration } = JSON.parse(Buffer.from(password, "base64").toString("utf8"))
    return Number.isFinite(expiration) && expiration > 0 ? expiration * 1000 : undefined
  } catch {
    return undefined
  }
}

/** Whether an expiry that a stored login tells may be true: one more than 13 hours ahead was not made by AWS. */
export function isBelievable(expiresAt: number, now: number): boolean {
  return expiresAt <= now + BELIEVED_LIFETIME_MS
}

/**
 * Whether a stored login to the same registry expires later than ours and must therefore be left alone. An expiry
 * more than 13 hours ahead is not believed; expiries are compared by the second, which is all that a password tells.
 */
export function outlives(storedExpiresAt: number | undefined, ours: Credential, now: number): boolean {
  if (storedExpiresAt === undefined || !isBelievable(storedExpiresAt, now)) return false
  return Math.floor(storedExpiresAt / 1000) > Math.floor(ours.expiresAt / 1000)
}

// What a secret looks like once it has leaked, and everything that a value would show to whoever prints it.
import { inspect } from "node:util"
import type { Credential } from "../../src/credential.ts"

// Enough of a secret to know it by, so that one which was cut short in a message is found too.
const HEAD_LENGTH = 40

/** The heads of a text in the forms in which a secret gets into logs: raw, base64, URI-encoded, JSON. */
export function secretForms(secret: string): readonly string[] {
  return [
    secret,
    Buffer.from(secret).toString("base64"),
    Buffer.from(secret).toString("base64url"),
    encodeURIComponent(secret),
    encodeURI(secret),
    JSON.stringify(secret).slice(1, -1),
  ].map((form) => form.slice(0, HEAD_LENGTH))
}

/** The heads of a credential's password in all forms, alone and as `user:password`. */
export function credentialForms({ userName, password }: Credential): readonly string[] {
  const text = password.reveal()
  return [...secretForms(text), ...secretForms(`${userName}:${text}`)]
}

/** Everything that printing a value could show: its inspection, its JSON, and for errors message, stack and causes. */
export function textOf(value: unknown): string {
  const texts = [String(value), inspect(value, { depth: 12, showHidden: true }), JSON.stringify(value)]
  if (value instanceof Error)
    texts.push(value.message, value.stack ?? "", JSON.stringify(Object.entries(value)), textOf(value.cause))
  if (Array.isArray(value)) texts.push(...value.map(textOf))
  else if (typeof value === "object" && value !== null && "error" in value) texts.push(textOf(value.error))
  return texts.join("\n")
}

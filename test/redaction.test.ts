// What programs of the user say, made fit to be shown: no piece of a login in any form, nothing for a terminal to obey.
import { expect, test } from "bun:test"
import fc from "fast-check"
import { createRedaction } from "../sinks/_redaction.ts"
import { credentialWith, makeCredential } from "./support/credentials.ts"
import { hours, NOW, REGISTRY } from "./support/sinks.ts"

const LENGTH = 12
const expiresAt = NOW + hours(12)

/** In which a script may show a password by mistake, each as a text of the password. */
const FORMS: Readonly<Record<string, (password: string) => string>> = {
  raw: (password) => password,
  JSON: (password) => JSON.stringify(password).slice(1, -1),
  "URI component": encodeURIComponent,
  URI: encodeURI,
  hex: (password) => Buffer.from(password).toString("hex"),
  base64: (password) => Buffer.from(password).toString("base64"),
  base64url: (password) => Buffer.from(password).toString("base64url"),
  "basic authorization": (password) => Buffer.from(`AWS:${password}`).toString("base64"),
  "base64 from the second byte of three": (password) =>
    Buffer.from(`x${password}`).toString("base64").slice(4),
  "base64 from the third byte of three": (password) =>
    Buffer.from(`xx${password}`).toString("base64").slice(4),
}

const password = fc.string({ unit: "grapheme-ascii", minLength: 24, maxLength: 200 })

test.each(Object.entries(FORMS))("hides a password as %s, whole or cut", (_, form) => {
  fc.assert(
    fc.property(password, fc.nat(8), fc.string({ maxLength: 20 }), (text, cut, around) => {
      const secret = form(text)
      const said = `${around} ${secret.slice(cut, secret.length - cut)} ${around}`
      const show = createRedaction([credentialWith({ registry: REGISTRY, expiresAt, password: text })])
      const shown = show(said)
      // What is there of the password by chance, in the words around it, is no leak.
      const pieces = Array.from({ length: secret.length - 2 * cut - LENGTH + 1 }, (_, i) =>
        secret.slice(cut + i, cut + i + LENGTH),
      )
      expect(pieces.filter((piece) => shown.includes(piece) && piece.trim() === piece)).toEqual([])
    }),
    { numRuns: 200 },
  )
})

test("hides a token that was wrapped at 76 characters, line by line", () => {
  const credential = makeCredential({ registry: REGISTRY, expiresAt, size: 400 })
  const pair = Buffer.from(`AWS:${credential.password.reveal()}`).toString("base64")
  const shown = createRedaction([credential])(`curl -v\n${pair.replaceAll(/(.{76})/g, "$1\n")}\nfailed`)
  expect(shown).toMatch(/^curl -v( \| \[redacted\])+ \| failed$/)
})

test("hides a password that is shorter than any piece", () => {
  const show = createRedaction([credentialWith({ registry: REGISTRY, expiresAt, password: "hunter2" })])
  expect(show("login with hunter2 and QVdTOmh1bnRlcjI= failed")).toBe(
    "login with [redacted] and [redacted] failed",
  )
})

test("hides a password of which only the middle is left after other words are cut", () => {
  const credential = makeCredential({ registry: REGISTRY, expiresAt })
  const text = credential.password.reveal()
  // 8 kB are looked at, and the cut falls into the password.
  const shown = createRedaction([credential])(`${text.slice(0, 1500)} ${"word ".repeat(1500)}`)
  expect(shown).not.toContain(text.slice(1000, 1040))
  expect(shown).toEndWith("word word")
})

test("leaves other words as they are, on one line, without what a terminal obeys", () => {
  const show = createRedaction([makeCredential({ registry: REGISTRY, expiresAt })])
  expect(show("\u001b[1;31merror\u001b[0m:\tno\u0007 such \u202estack\r\n\r\n  try again...\n")).toBe(
    "error:\tno such stack | try again",
  )
  expect(show("")).toBe("")
  expect(show("x".repeat(5000)).length).toBeLessThan(700)
})

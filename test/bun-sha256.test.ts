// Bun's hasher in the SDK's form, against WebCrypto and RFC 4231's second case.
import { expect, test } from "bun:test"
import { BunSha256 } from "../src/bun-sha256.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const hex = (digest: Uint8Array) => Buffer.from(digest).toString("hex")
const RFC_4231_2 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"

test("hashes what it is given in pieces", async () => {
  const hash = new BunSha256()
  hash.update(bytes("to be "))
  hash.update(bytes("signed"))
  expect(await hash.digest()).toEqual(
    new Uint8Array(await crypto.subtle.digest("SHA-256", bytes("to be signed"))),
  )
})

test.each([
  ["a text", "Jefe"],
  ["bytes", bytes("Jefe")],
])("takes a secret that is %s, also once it begins anew", async (_, secret) => {
  const keyed = new BunSha256(secret)
  keyed.update(bytes("forget this"))
  keyed.reset()
  keyed.update(bytes("what do ya want for nothing?"))
  expect(hex(await keyed.digest())).toBe(RFC_4231_2)
})

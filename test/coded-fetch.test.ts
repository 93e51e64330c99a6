// Failures of a `fetch` as Deno's own makes them, whatever the runtime of the tests: without a code, and with the URL in words.
import { expect, test } from "bun:test"
import { codedFetch } from "../src/coded-fetch.ts"
import { isTransient } from "../src/errors.ts"

const failingWith = (error: unknown) =>
  codedFetch((async () => {
    throw error
  }) as unknown as typeof fetch)("http://127.0.0.1/").catch((caught: unknown) => caught)

test("a failure without a code gets one by which it may pass", async () => {
  const error = await failingWith(new TypeError("error sending request", { cause: new Error("refused") }))
  expect(error).toMatchObject({ message: "refused", code: "FailedToOpenSocket" })
  expect(isTransient(error)).toBe(true)
})

test("the address in its words loses user and password", async () => {
  const said = "error sending request for url (https://eva:c2VjcmV0@registry.example/v2/)"
  const error = await failingWith(new TypeError(said))
  expect((error as Error).message).toBe("error sending request for url (https://registry.example/v2/)")
  expect(Bun.inspect(error)).not.toContain("c2VjcmV0")
})

test("what has a code, or is no failure of the network, stays as it is", async () => {
  const coded = Object.assign(new TypeError("reset"), { code: "ECONNRESET" })
  const stopped = new DOMException("stopped", "AbortError")
  expect(await failingWith(coded)).toBe(coded)
  expect(await failingWith(stopped)).toBe(stopped)
})

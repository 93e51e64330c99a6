// The three errors, and the one table that says which causes pass by themselves.
import { expect, test } from "bun:test"
import { ConfigError, isRetryable, isTransient } from "../src/errors.ts"
import { deliveryError, fetchError } from "./support/fakes.ts"

const withCode = (code: string) => Object.assign(new Error("x"), { code })
const itsOwnCause = new Error("x")
itsOwnCause.cause = itsOwnCause
const withName = (name: string) => Object.assign(new Error("x"), { name })

test.each([
  ["a refused connection", withCode("ECONNREFUSED")],
  ["Bun's refused connection", withCode("ConnectionRefused")],
  ["a name that does not resolve yet", withCode("ENOTFOUND")],
  ["a call that a signal interrupted", withCode("EINTR")],
  ["throttling", withName("ThrottlingException")],
  ["a time-out", new DOMException("x", "TimeoutError")],
  ["what the SDK marks as retryable", Object.assign(new Error("x"), { $retryable: {} })],
  ["a 503", Object.assign(new Error("x"), { $metadata: { httpStatusCode: 503 } })],
  ["a plain 500", { status: 500 }],
  ["being asked to slow down", { status: 429 }],
  ["a gateway that did not get the whole call in time", { $metadata: { httpStatusCode: 408 } }],
  ["a proxy's 502", Object.assign(new Error("x"), { status: 502 })],
  ["PostgreSQL that starts up", withCode("57P03")],
  ["PostgreSQL that lost the connection", withCode("08006")],
  ["PostgreSQL with too many connections", withCode("53300")],
  ["a serialization failure", withCode("40001")],
  ["MySQL's deadlock", withCode("ER_LOCK_DEADLOCK")],
  ["SQLite that is busy", withCode("SQLITE_BUSY")],
  ["a cause within a cause", new Error("x", { cause: new Error("y", { cause: withCode("ECONNRESET") }) })],
])("%s passes by itself", (_, cause) => {
  expect(isTransient(cause)).toBe(true)
})

test.each([
  ["a refusal", withName("AccessDeniedException")],
  ["a proxy's 407", Object.assign(new Error("x"), { status: 407 })],
  ["a wrong key", withName("UnrecognizedClientException")],
  ["a 403", Object.assign(new Error("x"), { $metadata: { httpStatusCode: 403 } })],
  ["a wrong database password", withCode("28P01")],
  ["a missing table", withCode("42P01")],
  ["no permission for a file", withCode("EACCES")],
  ["a missing file", withCode("ENOENT")],
  ["a code that begins like a transient class but is none", withCode("08")],
  ["a code that ends like one of a transient class", withCode("108006")],
  ["a wrong database password within a cause", new Error("x", { cause: withCode("28P01") })],
  ["an error that is its own cause", itsOwnCause],
  ["a message that sounds transient", new Error("ECONNREFUSED: please try again")],
  ["nothing", undefined],
  ["null", null],
  ["a text", "ECONNREFUSED"],
])("%s does not", (_, cause) => {
  expect(isTransient(cause)).toBe(false)
})

test("only a FetchError or a DeliveryError can be worth another try", () => {
  expect([fetchError(true), deliveryError(true)].every(isRetryable)).toBe(true)
  expect([fetchError(false), deliveryError(false), new TypeError("bug"), undefined].some(isRetryable)).toBe(
    false,
  )
})

test("a ConfigError says every problem, each with its path", () => {
  const error = new ConfigError([
    { path: "--interval", message: "too long" },
    { path: "", message: "no sink" },
  ])
  expect(error.message).toBe("--interval: too long\nno sink")
  expect(error.code).toBe("config")
})

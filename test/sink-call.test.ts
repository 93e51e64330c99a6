// One call of a sink: what ends it early becomes an error that says so, and nothing can hold it up for ever.
import { expect, test } from "bun:test"
import { withDeadline } from "../src/clock.ts"
import { DeliveryError } from "../src/errors.ts"
import { callSink } from "../src/sink-call.ts"
import { fakeClock } from "./support/clock.ts"
import { deliveryError, hang, MINUTE, SECOND, START } from "./support/fakes.ts"

const ABOUT = { sink: "fake", target: "slot" }
const never = new AbortController().signal
const deaf = () => new Promise<never>(() => undefined)

const errorOf = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error) => error,
  )

test("what the sink answers is the answer, and no sleeper stays behind", async () => {
  const clock = fakeClock(START)
  expect(await callSink(ABOUT, clock, never, async () => 5)).toBe(5)
  expect(clock.sleepers()).toEqual([])
})

test("a DeliveryError and a bug travel as they are", async () => {
  const clock = fakeClock(START)
  for (const thrown of [deliveryError(), new TypeError("bug")])
    expect(await errorOf(callSink(ABOUT, clock, never, () => Promise.reject(thrown)))).toBe(thrown)
})

test("a DeliveryError that comes after the time is over still says what it says", async () => {
  const clock = fakeClock(START)
  const thrown = deliveryError(false, "fernet-key-wrong")
  const late = (signal: AbortSignal) => hang(signal).catch(() => Promise.reject(thrown))
  const error = errorOf(
    withDeadline(MINUTE, clock, never, (signal) => callSink(ABOUT, clock, signal, () => late(signal))),
  )
  await clock.advance(MINUTE)
  expect(await error).toBe(thrown)
})

test.each([
  ["a sink that heeds its signal", hang],
  ["a deaf sink", deaf],
] as const)("%s is out of time after its time and a moment", async (_, work) => {
  const clock = fakeClock(START)
  const error = errorOf(
    withDeadline(MINUTE, clock, never, (signal) => callSink(ABOUT, clock, signal, () => work(signal))),
  )
  await clock.advance(MINUTE + 2 * SECOND)
  expect(await error).toMatchObject({ code: "timeout", retryable: true, target: "slot", sink: "fake" })
  expect(clock.sleepers()).toEqual([])
})

test("a deaf sink that is called when all is over already is left behind too", async () => {
  const clock = fakeClock(START)
  const error = errorOf(callSink(ABOUT, clock, AbortSignal.abort(new Error("stopped by SIGTERM")), deaf))
  await clock.advance(2 * SECOND)
  const stopped = await error
  expect(stopped).toBeInstanceOf(DeliveryError)
  expect(stopped).toMatchObject({ code: "stopped", retryable: false })
})

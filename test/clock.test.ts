// The real clock's sleep, and deadlines that the clock sets. Nothing here measures how long something takes.
import { expect, test } from "bun:test"
import { getEventListeners } from "node:events"
import { isTimeout, systemClock, withDeadline } from "../src/clock.ts"
import { fakeClock } from "./support/clock.ts"
import { HOUR, hang, MINUTE, START } from "./support/fakes.ts"

const never = new AbortController().signal

test("a sleep that is already called off rejects with the reason", async () => {
  const stop = AbortSignal.abort(new Error("stopped"))
  expect(await systemClock.sleep(HOUR, stop).catch((error) => error.message)).toBe("stopped")
})

test("a sleep that is called off rejects at once and leaves no timer behind", async () => {
  const stop = new AbortController()
  const sleeping = systemClock.sleep(HOUR, stop.signal).catch((error) => error.message)
  stop.abort(new Error("stopped"))
  expect(await sleeping).toBe("stopped")
})

test("a sleep that has ended leaves no listener at its signal, however many there are", async () => {
  const { signal } = new AbortController()
  await Promise.all([1, 2, 3].map((ms) => systemClock.sleep(ms, signal)))
  expect(getEventListeners(signal, "abort")).toEqual([])
})

test("a sleep of more than 24 days does not end at once", async () => {
  const stop = new AbortController()
  const sleeping = systemClock.sleep(1000 * 24 * HOUR, stop.signal).then(
    () => "slept",
    () => "called off",
  )
  await systemClock.sleep(5)
  stop.abort(new Error("enough"))
  expect(await sleeping).toBe("called off")
})

test("uptime goes on and the wall clock shows this century", async () => {
  const before = systemClock.uptime()
  await systemClock.sleep(2)
  expect(systemClock.uptime()).toBeGreaterThan(before)
  expect(systemClock.now()).toBeGreaterThan(Date.UTC(2026, 0, 1))
})

test("work that takes too long gets its signal, and can tell why", async () => {
  const clock = fakeClock(START)
  let seen: AbortSignal | undefined
  const work = withDeadline(MINUTE, clock, never, (signal) => {
    seen = signal
    return hang(signal)
  }).catch(() => "gave up")
  await clock.advance(MINUTE - 1)
  expect(seen?.aborted).toBe(false)
  await clock.advance(1)
  expect(seen && isTimeout(seen)).toBe(true)
  expect(await work).toBe("gave up")
})

test("work that is stopped gets its signal, and can tell that it was not for time", async () => {
  const stop = new AbortController()
  let seen: AbortSignal | undefined
  const work = withDeadline(MINUTE, fakeClock(START), stop.signal, (signal) => {
    seen = signal
    return hang(signal)
  }).catch((error) => error.message)
  stop.abort(new Error("stopped by SIGTERM"))
  expect(await work).toBe("stopped by SIGTERM")
  expect(seen && isTimeout(seen)).toBe(false)
  expect(isTimeout(AbortSignal.abort())).toBe(false)
})

test("work that is done in time leaves no sleeper behind, however it ended", async () => {
  const clock = fakeClock(START)
  expect(await withDeadline(MINUTE, clock, never, async () => "done")).toBe("done")
  expect(await withDeadline(MINUTE, clock, never, () => Promise.reject("failed")).catch(String)).toBe(
    "failed",
  )
  expect(clock.sleepers()).toEqual([])
})

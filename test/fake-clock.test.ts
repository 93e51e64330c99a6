// The fake clock keeps the real one's promises, or no test that lives through days by it proves anything.
import { expect, test } from "bun:test"
import { fakeClock } from "./support/clock.ts"

test("wakes sleepers in the order of their time, and lets each one run before the next wakes", async () => {
  const clock = fakeClock(1_000)
  const log: string[] = []
  const sleeper = async (name: string, ...durationsMs: readonly number[]) => {
    for (const durationMs of durationsMs) {
      await clock.sleep(durationMs)
      log.push(`${name} ${clock.uptime()} ${clock.now()}`)
    }
  }
  const all = Promise.all([sleeper("a", 30, 5, 5), sleeper("b", 10, 25), sleeper("c", 30)])
  await clock.advance(29)
  expect([log, clock.sleepers()]).toEqual([["b 10 1010"], [30, 30, 35]])
  await clock.advance(11)
  await all
  expect(log.slice(1)).toEqual(["a 30 1030", "c 30 1030", "b 35 1035", "a 35 1035", "a 40 1040"])
  expect([clock.uptime(), clock.now(), clock.sleepers()]).toEqual([40, 1040, []])
})

test("a step of the wall clock wakes nobody", async () => {
  const clock = fakeClock(1_000)
  let awake = false
  const sleeper = clock.sleep(10).then(() => {
    awake = true
  })
  clock.jump(86_400_000)
  await clock.advance(9)
  expect([awake, clock.uptime(), clock.now()]).toEqual([false, 9, 86_401_009])
  await clock.advance(1)
  await sleeper
})

test("an aborted sleep rejects with the signal's reason, at once or as soon as it is aborted", async () => {
  const clock = fakeClock(0)
  const stop = new AbortController()
  const sleeping = clock.sleep(10, stop.signal)
  stop.abort(new Error("stop"))
  await expect(sleeping).rejects.toThrow("stop")
  await expect(clock.sleep(10, stop.signal)).rejects.toThrow("stop")
  expect(clock.sleepers()).toEqual([])
})

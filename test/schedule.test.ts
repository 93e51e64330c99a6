// The schedule: refresh at half of the real life or at the interval, always well before expiry; retries that back off.
import { expect, test } from "bun:test"
import fc from "fast-check"
import {
  backoffDelay,
  dueIn,
  expiryMargin,
  isDue,
  isPastHalf,
  keptDelay,
  NOW,
  refreshDelay,
  untilDue,
} from "../src/schedule.ts"
import { HOUR, MINUTE, SECOND, START } from "./support/fakes.ts"

const LIFE = 12 * HOUR
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

test("without an interval a token is fetched again at half of its life", () => {
  expect(refreshDelay(LIFE, undefined, 0)).toEqual({ delayMs: 6 * HOUR, marginWins: false })
})

test("the interval counts where it is shorter or longer than half of the life", () => {
  expect(refreshDelay(LIFE, 2 * HOUR, 0).delayMs).toBe(2 * HOUR)
  expect(refreshDelay(LIFE, 10 * HOUR, 0).delayMs).toBe(10 * HOUR)
})

test("an interval that comes within an hour of expiry gives way, and that is said", () => {
  expect(refreshDelay(LIFE, 11.5 * HOUR, 0)).toEqual({ delayMs: 11 * HOUR, marginWins: true })
  expect(refreshDelay(LIFE, 11 * HOUR, 0).marginWins).toBe(false)
  expect(refreshDelay(4 * HOUR, 6 * HOUR, 0)).toEqual({ delayMs: 3.6 * HOUR, marginWins: true })
})

test("of a life shorter than ten hours a tenth is kept for trouble", () => {
  expect(expiryMargin(12 * HOUR)).toBe(HOUR)
  expect(expiryMargin(HOUR)).toBe(6 * MINUTE)
  expect(expiryMargin(5 * MINUTE)).toBe(30 * SECOND)
})

test("never within the margin, never later than wished, jittered by a tenth at most, whatever life and interval", () => {
  const life = fc.integer({ min: 20 * SECOND, max: LIFE })
  const interval = fc.option(fc.integer({ min: SECOND, max: LIFE - 1 }), { nil: undefined })
  fc.assert(
    fc.property(life, interval, random, (lifeMs, intervalMs, dice) => {
      const { delayMs } = refreshDelay(lifeMs, intervalMs, dice)
      const latestMs = Math.min(intervalMs ?? lifeMs / 2, lifeMs - expiryMargin(lifeMs))
      expect(delayMs).toBeLessThanOrEqual(latestMs)
      expect(delayMs).toBeGreaterThanOrEqual(Math.max(SECOND, latestMs * 0.9))
    }),
  )
})

test("of many instances that begin together, no two fetch again at the same moment, with an interval or without", () => {
  for (const intervalMs of [undefined, 2 * HOUR]) {
    const delays = Array.from({ length: 20 }, (_, i) => refreshDelay(LIFE, intervalMs, i / 20).delayMs)
    expect(new Set(delays).size).toBe(20)
    expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(0.09 * Math.max(...delays))
  }
})

test("a login that was found is left alone until it is good for the least that is wanted, and no longer than one of ours", () => {
  expect(keptDelay(4 * HOUR + 25 * SECOND, 4 * HOUR, 6 * HOUR, 0)).toBe(25 * SECOND)
  expect(keptDelay(11 * HOUR, 4 * HOUR, 6 * HOUR, 0)).toBe(6 * HOUR)
  expect(keptDelay(11 * HOUR, 4 * HOUR, undefined, 0)).toBe(5.5 * HOUR)
  expect(keptDelay(8 * HOUR, 4 * HOUR, 6 * HOUR, 0.5)).toBe(3.8 * HOUR)
  expect(keptDelay(4 * HOUR, 4 * HOUR, 6 * HOUR, 0)).toBe(SECOND)
})

test("a clock that is behind does not stretch a token's life beyond twelve hours", () => {
  expect(refreshDelay(40 * HOUR, undefined, 0).delayMs).toBe(6 * HOUR)
  expect(refreshDelay(1000 * HOUR, 11.5 * HOUR, 0).delayMs).toBe(11 * HOUR)
})

test("a token that seems dead when it comes, or nearly so, does not make anybody ask in a loop", () => {
  for (const remainingMs of [-30 * HOUR, -1, 0])
    expect(refreshDelay(remainingMs, undefined, 0.5).delayMs).toBe(5 * MINUTE)
  expect(refreshDelay(1, undefined, 0.9).delayMs).toBe(SECOND)
})

test("a token is past half only after the half, and one that seems dead on arrival never is", () => {
  expect(isPastHalf(START, START + LIFE, START + 6 * HOUR)).toBe(false)
  expect(isPastHalf(START, START + LIFE, START + 6 * HOUR + 1)).toBe(true)
  for (const expiresAt of [START, START - HOUR])
    expect(isPastHalf(START, expiresAt, START + MINUTE)).toBe(false)
})

test("whichever clock gets there first makes it due", () => {
  const due = dueIn(HOUR, { now: START, uptime: 500 })
  expect(isDue(due, { now: START + HOUR - 1, uptime: 500 + HOUR - 1 })).toBe(false)
  expect(isDue(due, { now: START + HOUR, uptime: 500 })).toBe(true)
  expect(isDue(due, { now: START - 10 * HOUR, uptime: 500 + HOUR })).toBe(true)
  expect(untilDue(due, { now: START + MINUTE, uptime: 500 + 2 * MINUTE })).toBe(58 * MINUTE)
  expect(untilDue(due, { now: START + 2 * HOUR, uptime: 500 })).toBe(0)
})

test("now is due at any moment", () => {
  expect(isDue(NOW, { now: 0, uptime: 0 })).toBe(true)
  expect(isDue(NOW, { now: START, uptime: 0 })).toBe(true)
})

test("what may pass by itself is tried after seconds, then after five minutes at most", () => {
  expect([1, 2, 3, 4].map((failures) => backoffDelay(failures, true, 0.999999))).toEqual(
    [1, 2, 4, 8].map((seconds) => expect.closeTo(seconds * SECOND, -2)),
  )
  expect(backoffDelay(1_000_000, true, 0.999999)).toBeLessThanOrEqual(5 * MINUTE)
})

test("what needs a person is tried slowly, but is tried", () => {
  expect(backoffDelay(1, false, 0)).toBe(7.5 * SECOND)
  expect(backoffDelay(1_000_000, false, 0)).toBe(7.5 * MINUTE)
  expect(backoffDelay(1_000_000, false, 0.999999)).toBeLessThanOrEqual(15 * MINUTE)
})

test("a back-off is between half and all of its span, and never shrinks", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.boolean(), random, (failures, retryable, dice) => {
      const most = backoffDelay(failures, retryable, 1)
      const delayMs = backoffDelay(failures, retryable, dice)
      expect(delayMs).toBeGreaterThanOrEqual(most / 2)
      expect(delayMs).toBeLessThanOrEqual(most)
      expect(backoffDelay(failures + 1, retryable, 1)).toBeGreaterThanOrEqual(most)
    }),
  )
})

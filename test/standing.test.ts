// The line for `systemctl status`: how many targets are fresh, what is wrong with the others, and when it goes on.
import { expect, test } from "bun:test"
import { described } from "../src/outcome.ts"
import { deliveriesOf, type PlannedDelivery } from "../src/plan.ts"
import { createStanding } from "../src/standing.ts"
import { fakeClock } from "./support/clock.ts"
import { deliveryError, fakeSink, HOUR, MINUTE, ownIn, planOf, START } from "./support/fakes.ts"

/** A standing of two targets or so, and what is noted of them; START is 12:00 UTC. */
function standingOf(...regions: readonly string[]) {
  const clock = fakeClock(START)
  const deliveries = deliveriesOf(
    planOf(
      [fakeSink("one", clock)],
      regions.map((region) => ownIn(region)),
    ),
  )
  const standing = createStanding(deliveries, clock)
  const outcome = (i: number) => described(deliveries[i] as PlannedDelivery, new Map())
  const note = (i: number, what: object, nextMs: number) =>
    standing.note({
      delivery: deliveries[i] as PlannedDelivery,
      outcome: { ...outcome(i), outcome: "delivered", ...what },
      failures: 0,
      nextMs,
    })
  return {
    fresh: (i: number, nextMs: number, expiresAt = START + 12 * HOUR) => note(i, { expiresAt }, nextMs),
    fails: (i: number, nextMs: number) => note(i, { outcome: "failed", error: deliveryError() }, nextMs),
    at: (now: number) => standing.format(now),
  }
}

test("before anything was tried none is fresh", () => {
  expect(standingOf("eu-west-1", "us-east-1").at(START)).toBe("0 of 2 targets fresh")
  expect(standingOf("eu-west-1").at(START)).toBe("0 of 1 target fresh")
})

test("where all is well it says how many there are, and when the first of them is refreshed", () => {
  const { fresh, at } = standingOf("eu-west-1", "us-east-1")
  fresh(0, 6 * HOUR)
  fresh(1, 5 * HOUR)
  expect(at(START)).toBe("2 targets fresh, next refresh 17:00 UTC")
})

test("what fails is told with the next attempt at it, however late the others are refreshed", () => {
  const { fresh, fails, at } = standingOf("eu-west-1", "us-east-1", "us-east-2")
  fresh(0, MINUTE)
  fails(1, 10 * MINUTE)
  expect(at(START)).toBe("1 of 3 targets fresh; fake target: not today; next attempt 12:10 UTC")
  fails(2, 5 * MINUTE)
  expect(at(START)).toBe("1 of 3 targets fresh; fake target: not today (and 1 more); next attempt 12:05 UTC")
})

test("what fails is told with the login that it still holds, until that has expired", () => {
  const { fresh, fails, at } = standingOf("eu-west-1")
  fresh(0, 6 * HOUR)
  fails(0, MINUTE)
  fails(0, MINUTE)
  const line = "0 of 1 target fresh; fake target: not today"
  expect(at(START + 12 * HOUR - 1)).toBe(`${line}; holds a login until 00:00 UTC; next attempt 12:01 UTC`)
  expect(at(START + 12 * HOUR)).toBe(`${line}; its login has expired; next attempt 12:01 UTC`)
})

// The loop of `run`, through days of fake time: what the design promises of failures, suspend and clock steps.
import { expect, test } from "bun:test"
import fc from "fast-check"
import { longestTurn, runDaemon } from "../src/daemon.ts"
import { described, type Outcome } from "../src/outcome.ts"
import { deliveriesOf, type Plan, type PlannedDelivery, type PlannedRegistry } from "../src/plan.ts"
import type { Sink } from "../src/sink.ts"
import {
  ACCOUNT,
  DAY,
  deliveryError,
  type FakeSink,
  fakeSink,
  fakeWorld,
  fetchError,
  HOUR,
  hang,
  loadedDice,
  MINUTE,
  ownIn,
  plannedSink,
  planOf,
  registryAt,
  SECOND,
  START,
  tokenFor,
} from "./support/fakes.ts"

const HOST = `${ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com`
const REGISTRIES = [registryAt(HOST)]

type Told = {
  readonly outcome: Outcome
  readonly failures: number
  readonly nextMs: number
  readonly at: number
}

/** Starts the loop; it runs while the fake clock does. */
function start(
  world: ReturnType<typeof fakeWorld>,
  plan: Plan,
  freshUntil: (delivery: PlannedDelivery) => number | undefined = () => undefined,
  minRemainingMs?: number,
) {
  const turns: number[] = []
  let refreshNow = () => {}
  const stop = new AbortController()
  const told: Told[] = []
  const readyAt: number[] = []
  const deliveries = deliveriesOf(plan)
  const kept = new Map(
    deliveries.flatMap((delivery): [PlannedDelivery, Outcome][] => {
      const expiresAt = freshUntil(delivery)
      if (expiresAt === undefined) return []
      return [[delivery, { ...described(delivery, new Map()), outcome: "skipped", expiresAt }]]
    }),
  )
  const done = runDaemon(
    deliveries,
    {
      ...world.deps,
      plan,
      intervalMs: world.intervalMs,
      minRemainingMs,
      onAttempts: (attempts) => void told.push(...attempts.map((one) => ({ ...one, at: world.clock.now() }))),
      onReady: () => void readyAt.push(world.clock.now() - START),
      onTurn: () => void turns.push(world.clock.now() - START),
      onRefreshNow: (listener) => {
        refreshNow = listener
      },
    },
    stop.signal,
    kept,
  )
  return {
    told,
    readyAt,
    turns,
    done,
    refreshNow: () => refreshNow(),
    stop: () => stop.abort(new Error("stopped by SIGTERM")),
  }
}

const startAll = (
  world: ReturnType<typeof fakeWorld>,
  sinks: readonly Sink[],
  registries: readonly PlannedRegistry[] = REGISTRIES,
) => start(world, planOf(sinks, registries))

/** What the clock showed when a sink was called. */
const timesOf = ({ calls }: FakeSink) => calls.map(({ at }) => at - START)

/** The life that is left of what every slot of a sink holds. */
const leftOf = ({ held }: FakeSink, now: number) => [...held.values()].map(({ expiresAt }) => expiresAt - now)

/** A sink that fails while `isDown` says so. */
function failingSink(
  name: string,
  world: ReturnType<typeof fakeWorld>,
  isDown: () => boolean,
  retryable = true,
) {
  return fakeSink(name, world.clock, {
    deliver: async (sink, deliveries) => {
      if (isDown()) throw deliveryError(retryable)
      return sink.accept(deliveries)
    },
  })
}

test("the first attempt comes at start, then at half of the token's life, for days", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock)
  startAll(world, [sink])
  await world.clock.advance(3 * DAY)
  expect(timesOf(sink)).toEqual(Array.from({ length: 13 }, (_, i) => i * 6 * HOUR))
  expect(world.aws.calls).toHaveLength(13)
})

test("an interval is kept to where it is given", async () => {
  const world = fakeWorld({ intervalMs: 8 * HOUR })
  const sink = fakeSink("one", world.clock)
  startAll(world, [sink])
  await world.clock.advance(DAY)
  expect(timesOf(sink)).toEqual([0, 8 * HOUR, 16 * HOUR, 24 * HOUR])
})

test("an interval within an hour of expiry gives way, and a line says so", async () => {
  const world = fakeWorld({ intervalMs: 12 * HOUR - MINUTE })
  const sink = fakeSink("one", world.clock)
  startAll(world, [sink])
  await world.clock.advance(DAY)
  expect(timesOf(sink)).toEqual([0, 11 * HOUR, 22 * HOUR])
  expect(world.marginWins).toEqual([11 * HOUR, 11 * HOUR, 11 * HOUR])
})

test.each([5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 12 * HOUR])(
  "of tokens that live for %p ms no target ever holds one that is nearer to expiry than the margin",
  async (lifetimeMs) => {
    const world = fakeWorld({ lifetimeMs, intervalMs: lifetimeMs - SECOND })
    const sink = fakeSink("one", world.clock)
    startAll(world, [sink])
    const margin = Math.min(HOUR, lifetimeMs / 10)
    for (let i = 0; i < 100; i += 1) {
      await world.clock.advance(lifetimeMs / 20)
      expect(Math.min(...leftOf(sink, world.clock.now()))).toBeGreaterThanOrEqual(margin)
    }
  },
)

test("two sinks that are due together share one call, however often", async () => {
  const world = fakeWorld()
  const sinks = [fakeSink("one", world.clock), fakeSink("two", world.clock), fakeSink("three", world.clock)]
  startAll(world, sinks)
  await world.clock.advance(2 * DAY)
  expect(world.aws.calls).toHaveLength(9)
  expect(sinks.map(({ calls }) => calls.length)).toEqual([9, 9, 9])
})

test("many registries of one source stay one call and one delivery for days", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock)
  const registries = Array.from({ length: 50 }, (_, i) =>
    registryAt(`${String(i).padStart(12, "0")}.dkr.ecr.eu-west-1.amazonaws.com`),
  )
  startAll(world, [sink], registries)
  await world.clock.advance(DAY)
  expect(world.aws.calls).toHaveLength(5)
  expect(sink.calls.map(({ deliveries }) => deliveries.length)).toEqual([50, 50, 50, 50, 50])
})

test("a sink that fails is retried with the token at hand, and no other sink notices", async () => {
  const world = fakeWorld()
  const failing = failingSink("failing", world, () => world.clock.now() < START + 5 * HOUR)
  const well = fakeSink("well", world.clock)
  startAll(world, [failing, well])
  await world.clock.advance(5.5 * HOUR)
  expect(world.aws.calls).toHaveLength(1)
  expect(timesOf(well)).toEqual([0])
  expect(failing.calls.length).toBeGreaterThan(60)
  expect(leftOf(failing, START)).toEqual([12 * HOUR])
})

test("retries come after seconds at first, then every few minutes", async () => {
  const world = fakeWorld()
  const failing = failingSink("failing", world, () => true)
  startAll(world, [failing])
  await world.clock.advance(HOUR)
  const gaps = timesOf(failing).map((at, i, all) => at - (all[i - 1] ?? 0))
  expect(gaps.slice(1, 6)).toEqual([500, 1000, 2000, 4000, 8000])
  expect(Math.max(...gaps)).toBeLessThanOrEqual(5 * MINUTE)
})

test("what needs a person is retried slowly, but is retried, and heals when permission comes", async () => {
  const world = fakeWorld()
  const refused = failingSink("refused", world, () => world.clock.now() < START + 2 * DAY, false)
  startAll(world, [refused])
  await world.clock.advance(DAY)
  const calls = refused.calls.length
  expect(calls).toBeGreaterThan(90)
  expect(calls).toBeLessThan(250)
  await world.clock.advance(DAY + 15 * MINUTE)
  expect(refused.held.size).toBe(1)
})

test("a retry past half of the token's life gets a new one", async () => {
  const world = fakeWorld({ intervalMs: 10 * HOUR })
  const failing = failingSink("failing", world, () => world.clock.now() < START + 7 * HOUR)
  const well = fakeSink("well", world.clock)
  startAll(world, [failing, well])
  await world.clock.advance(7.5 * HOUR)
  expect(world.aws.calls.map(({ at }) => Math.floor((at - START) / HOUR))).toEqual([0, 6])
  const [left = 0] = leftOf(failing, world.clock.now())
  expect(left).toBeGreaterThan(10 * HOUR)
  expect(timesOf(well)).toEqual([0])
})

test("a sink that got an old token late is due by that token and not by a newer one", async () => {
  const world = fakeWorld({ intervalMs: 10 * HOUR, timeoutMs: HOUR })
  // Begins with the first token before its half and takes its time, while the other sink's retry fetches a new one.
  const late = fakeSink("late", world.clock, {
    deliver: async (sink, deliveries) => {
      if (world.clock.now() < START + 6 * HOUR - 10 * MINUTE) throw deliveryError()
      if (sink.held.size === 0) await world.clock.sleep(30 * MINUTE)
      return sink.accept(deliveries)
    },
  })
  startAll(world, [late, failingSink("failing", world, () => true)])
  await world.clock.advance(6.5 * HOUR)
  expect(leftOf(late, START)).toEqual([12 * HOUR])
  expect(world.aws.calls).toHaveLength(2)
  for (let i = 0; i < 10; i += 1) {
    await world.clock.advance(HOUR)
    expect(leftOf(late, world.clock.now())[0]).toBeGreaterThanOrEqual(HOUR)
  }
})

test("no attempt is spent on a failure that is only remembered", async () => {
  const world = fakeWorld({ random: loadedDice([0, 0.5, 0.9]) })
  world.aws.answer = async () => {
    throw fetchError()
  }
  const { told } = startAll(world, [fakeSink("one", world.clock)])
  await world.clock.advance(HOUR)
  expect(told).toHaveLength(world.aws.calls.length)
})

test("while AWS is down every target keeps what it holds, and heals within minutes when AWS is back", async () => {
  const world = fakeWorld()
  const well = world.aws.answer
  const sinks = [fakeSink("one", world.clock), fakeSink("two", world.clock)]
  const { told } = startAll(world, sinks)
  await world.clock.advance(HOUR)
  world.aws.answer = async () => {
    throw fetchError()
  }
  await world.clock.advance(9 * HOUR)
  expect(sinks.map(({ calls }) => calls.length)).toEqual([1, 1])
  expect(leftOf(sinks[0] as FakeSink, world.clock.now())).toEqual([2 * HOUR])
  expect(told.at(-1)?.outcome.outcome).toBe("failed")
  world.aws.answer = well
  await world.clock.advance(5 * MINUTE)
  for (const sink of sinks) expect(leftOf(sink, world.clock.now())[0]).toBeGreaterThan(11 * HOUR)
})

test("while AWS is down a target that had none gets the old login, once, for as long as that lives", async () => {
  const world = fakeWorld()
  const well = world.aws.answer
  let isDown = true
  const late = failingSink("late", world, () => isDown)
  const sinks = [late, fakeSink("well", world.clock)]
  const { told } = startAll(world, sinks)
  await world.clock.advance(5 * HOUR)
  world.aws.answer = async () => {
    throw fetchError()
  }
  await world.clock.advance(3 * HOUR)
  isDown = false
  await world.clock.advance(10 * MINUTE)
  expect(leftOf(late, START)).toEqual([12 * HOUR])
  const delivered = told.filter(({ outcome }) => outcome.sink === "late" && outcome.outcome === "delivered")
  expect(delivered).toHaveLength(1)
  expect(delivered[0]?.outcome.warning).toBe(
    "AWS gives no new token, so this is the one at hand: eu-west-1: no token today",
  )
  expect(delivered[0]?.nextMs).toBeGreaterThan(0)
  await world.clock.advance(HOUR)
  expect(timesOf(sinks[1] as FakeSink)).toEqual([0])
  expect(told.slice(-2).map(({ outcome }) => outcome.outcome)).toEqual(["failed", "failed"])
  const calls = world.aws.calls.length
  world.aws.answer = well
  await world.clock.advance(5 * MINUTE)
  for (const sink of sinks) expect(leftOf(sink, world.clock.now())[0]).toBeGreaterThan(11 * HOUR)
  expect(world.aws.calls.length).toBe(calls + 1)
})

test("no target gets an old login that has expired", async () => {
  const world = fakeWorld()
  const well = world.aws.answer
  let isDown = true
  const late = failingSink("late", world, () => isDown)
  startAll(world, [late])
  await world.clock.advance(5 * HOUR)
  world.aws.answer = async () => {
    throw fetchError()
  }
  await world.clock.advance(7 * HOUR)
  isDown = false
  await world.clock.advance(HOUR)
  expect(late.held.size).toBe(0)
  world.aws.answer = well
  await world.clock.advance(5 * MINUTE)
  expect(late.held.size).toBe(1)
})

test("asked to refresh now while AWS is down, a target that had none gets the old login", async () => {
  const world = fakeWorld()
  let isDown = true
  const late = failingSink("late", world, () => isDown)
  const { refreshNow } = startAll(world, [late])
  await world.clock.advance(HOUR)
  world.aws.answer = async () => {
    throw fetchError()
  }
  isDown = false
  refreshNow()
  await world.clock.advance(SECOND)
  expect(leftOf(late, START)).toEqual([12 * HOUR])
})

test("two sinks that wait for AWS ask it no more often than one", async () => {
  const alone = fakeWorld()
  const together = fakeWorld()
  for (const world of [alone, together])
    world.aws.answer = async () => {
      throw fetchError()
    }
  startAll(alone, [fakeSink("one", alone.clock)])
  startAll(
    together,
    ["one", "two", "three"].map((name) => fakeSink(name, together.clock)),
  )
  await alone.clock.advance(HOUR)
  await together.clock.advance(HOUR)
  expect(together.aws.calls.length).toBeLessThanOrEqual(alone.aws.calls.length)
})

test("an identity that AWS refuses takes nothing from another's registries in the same sink", async () => {
  const world = fakeWorld()
  world.aws.answer = async ({ principal, region }) => {
    if (principal.profile) throw fetchError(false, "access-denied")
    return tokenFor(world.clock.now() + 12 * HOUR, region)
  }
  const sink = fakeSink("one", world.clock)
  startAll(world, [sink], [ownIn("us-east-1", { profile: "ci" }), ...REGISTRIES])
  await world.clock.advance(DAY)
  expect(timesOf(sink)).toEqual([0, 6 * HOUR, 12 * HOUR, 18 * HOUR, 24 * HOUR])
  expect([...sink.held.keys()]).toEqual([`one/${HOST}`])
})

test("a source that hangs keeps another's registries of the same sink by a second, at start and for days", async () => {
  const world = fakeWorld()
  world.aws.answer = async ({ region }, signal) =>
    region === "us-east-1" ? hang(signal) : tokenFor(world.clock.now() + 12 * HOUR, region)
  const sink = fakeSink("one", world.clock)
  startAll(world, [sink], [ownIn("us-east-1"), ...REGISTRIES])
  await world.clock.advance(SECOND)
  expect(sink.held.size).toBe(1)
  for (let i = 0; i < 48; i += 1) {
    await world.clock.advance(HOUR)
    expect(leftOf(sink, world.clock.now())[0]).toBeGreaterThan(5 * HOUR)
  }
})

test("a sink that hangs, even deaf to its signal, delays no other for a moment", async () => {
  const world = fakeWorld()
  const deaf = fakeSink("deaf", world.clock, { deliver: () => new Promise(() => undefined) })
  const hanging = fakeSink("hanging", world.clock, { deliver: (_, __, signal) => hang(signal) })
  const well = fakeSink("well", world.clock)
  const { told } = startAll(world, [deaf, hanging, well])
  await world.clock.advance(DAY)
  expect(timesOf(well)).toEqual([0, 6 * HOUR, 12 * HOUR, 18 * HOUR, 24 * HOUR])
  expect(deaf.calls.length).toBeGreaterThan(100)
  expect(told.some(({ outcome }) => outcome.sink === "deaf" && outcome.outcome === "failed")).toBe(true)
})

test("a bug in a sink is told with its error, backed off from, and stops nobody", async () => {
  const world = fakeWorld()
  const buggy = fakeSink("buggy", world.clock, { deliver: async () => Promise.reject(new TypeError("bug")) })
  const well = fakeSink("well", world.clock)
  const { told } = startAll(world, [buggy, well])
  await world.clock.advance(DAY)
  expect(timesOf(well)).toHaveLength(5)
  expect(buggy.calls.length).toBeLessThan(250)
  expect(told.find(({ outcome }) => outcome.sink === "buggy")?.outcome.error).toBeInstanceOf(TypeError)
})

test("after hours of suspend the targets are fresh within a minute of waking", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock)
  startAll(world, [sink])
  await world.clock.advance(HOUR)
  for (const asleepMs of [8 * HOUR, 20 * HOUR, 30 * DAY]) {
    world.clock.jump(asleepMs)
    await world.clock.advance(MINUTE)
    expect(leftOf(sink, world.clock.now())[0]).toBeGreaterThanOrEqual(12 * HOUR - MINUTE)
  }
})

test("a retry that waits is not put off by suspend", async () => {
  const world = fakeWorld()
  let down = true
  const sink = failingSink("one", world, () => down)
  startAll(world, [sink])
  await world.clock.advance(HOUR)
  down = false
  world.clock.jump(4 * HOUR)
  await world.clock.advance(MINUTE)
  expect(sink.held.size).toBe(1)
})

test.each([
  ["an hour ahead", HOUR],
  ["a day ahead", DAY],
  ["thirty years ahead", 30 * 365 * DAY],
  ["an hour back", -HOUR],
  ["a day back", -DAY],
  ["to 1970", -START],
])("a clock that steps %s costs no target its freshness", async (_, stepMs) => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock)
  // AWS's time does not step, and its tokens tell expiry by AWS's time.
  const awsNow = () => START + world.clock.uptime()
  world.aws.answer = async ({ region }) => tokenFor(awsNow() + 12 * HOUR, region)
  startAll(world, [sink])
  await world.clock.advance(HOUR)
  world.clock.jump(stepMs)
  await world.clock.advance(MINUTE)
  const calls = world.aws.calls.length
  for (let i = 0; i < 48; i += 1) {
    await world.clock.advance(30 * MINUTE)
    expect(leftOf(sink, awsNow())[0]).toBeGreaterThanOrEqual(HOUR)
  }
  // However wrong the clock is, a call every five minutes is the most that AWS sees.
  expect(world.aws.calls.length - calls).toBeLessThanOrEqual((24 * HOUR) / (5 * MINUTE))
})

test("a machine that boots in 1970 and gets the time from the network delivers before and after", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock)
  const awsNow = () => START + world.clock.uptime()
  world.aws.answer = async ({ region }) => tokenFor(awsNow() + 12 * HOUR, region)
  world.clock.jump(-START)
  startAll(world, [sink])
  await world.clock.advance(MINUTE)
  expect(sink.held.size).toBe(1)
  world.clock.jump(START)
  for (let i = 0; i < 24; i += 1) {
    await world.clock.advance(HOUR)
    expect(leftOf(sink, awsNow())[0]).toBeGreaterThanOrEqual(HOUR)
  }
})

test("through days of any failures no target changes but to a newer token, and all heal when all is well", async () => {
  const hours = fc.array(
    fc.record({
      aws: fc.boolean(),
      one: fc.boolean(),
      two: fc.boolean(),
      // Suspend and steps forward are the same to us; a small step back is what NTP does.
      jumpMs: fc.constantFrom(0, 0, 0, HOUR, 5 * HOUR, -MINUTE),
    }),
    { minLength: 1, maxLength: 24 },
  )
  await fc.assert(
    fc.asyncProperty(hours, async (weather) => {
      const world = fakeWorld()
      const up = { aws: true, one: true, two: true }
      const well = world.aws.answer
      world.aws.answer = async (...call) => {
        if (!up.aws) throw fetchError()
        return well(...call)
      }
      const sinks = [failingSink("one", world, () => !up.one), failingSink("two", world, () => !up.two)]
      const { stop, done } = startAll(world, sinks)
      const seen = sinks.map(() => 0)
      for (const { jumpMs, ...hour } of weather) {
        Object.assign(up, hour)
        world.clock.jump(jumpMs)
        await world.clock.advance(HOUR)
        sinks.forEach((sink, i) => {
          for (const { expiresAt } of sink.held.values()) {
            expect(expiresAt).toBeGreaterThanOrEqual((seen[i] ?? 0) - MINUTE)
            seen[i] = expiresAt
          }
        })
      }
      Object.assign(up, { aws: true, one: true, two: true })
      await world.clock.advance(15 * MINUTE)
      for (const sink of sinks) expect(leftOf(sink, world.clock.now())[0]).toBeGreaterThanOrEqual(HOUR)
      stop()
      await done
    }),
    { numRuns: 15 },
  )
})

test("it is ready once every sink holds a fresh login, and says so once", async () => {
  const world = fakeWorld()
  const late = failingSink("late", world, () => world.clock.now() < START + 10 * MINUTE)
  const { readyAt } = startAll(world, [fakeSink("one", world.clock), late])
  await world.clock.advance(10 * MINUTE - 1)
  expect(readyAt).toEqual([])
  await world.clock.advance(DAY)
  expect(readyAt).toHaveLength(1)
})

test("an optional sink that fails does not keep it from being ready, but must have been tried", async () => {
  const world = fakeWorld()
  const failing = fakeSink("failing", world.clock, {
    deliver: async () => {
      await world.clock.sleep(30 * SECOND)
      throw deliveryError()
    },
  })
  const plan: Plan = {
    sinks: [plannedSink(fakeSink("one", world.clock), REGISTRIES), plannedSink(failing, REGISTRIES, true)],
  }
  const { readyAt } = start(world, plan)
  await world.clock.advance(29 * SECOND)
  expect(readyAt).toEqual([])
  await world.clock.advance(HOUR)
  expect(readyAt).toEqual([30 * SECOND])
})

test("one registry of a sink that is not optional is enough to keep it from being ready", async () => {
  const world = fakeWorld()
  world.aws.answer = async ({ region }) => {
    if (region === "us-east-1") throw fetchError(false)
    return tokenFor(world.clock.now() + 12 * HOUR, region)
  }
  const { readyAt } = startAll(world, [fakeSink("one", world.clock)], [ownIn("us-east-1"), ...REGISTRIES])
  await world.clock.advance(DAY)
  expect(readyAt).toEqual([])
})

test("other sinks' deliveries do not wait for readiness", async () => {
  const world = fakeWorld()
  const well = fakeSink("well", world.clock)
  startAll(world, [failingSink("failing", world, () => true), well])
  await world.clock.advance(DAY)
  expect(timesOf(well)).toHaveLength(5)
})

test("what is fresh already is left alone until half of what is left of its life", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock)
  const { readyAt } = start(world, planOf([sink], REGISTRIES), () => START + 8 * HOUR)
  await world.clock.advance(4 * HOUR - 1)
  expect([sink.calls.length, world.aws.calls.length]).toEqual([0, 0])
  expect(readyAt).toEqual([0])
  await world.clock.advance(1)
  expect(timesOf(sink)).toEqual([4 * HOUR])
})

test("what is found good for little more than is wanted is not left alone until it is good for less", async () => {
  const world = fakeWorld({ intervalMs: 6 * HOUR })
  const sink = fakeSink("one", world.clock)
  const { told } = start(
    world,
    planOf([sink], [ownIn("eu-west-1")]),
    () => START + 4 * HOUR + MINUTE,
    4 * HOUR,
  )
  await world.clock.advance(MINUTE + 1)
  expect(told.map(({ outcome, nextMs }) => [outcome.outcome, nextMs])).toEqual([
    ["skipped", MINUTE],
    ["delivered", 6 * HOUR],
  ])
})

test("a target that holds a later login from another instance is left alone and looked at again in time", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock, {
    deliver: async (_, deliveries) =>
      deliveries.map(({ credential }) => ({ outcome: "unchanged", expiresAt: credential.expiresAt + HOUR })),
  })
  const { told } = startAll(world, [sink])
  await world.clock.advance(DAY)
  expect(timesOf(sink)).toHaveLength(5)
  expect(told.every(({ outcome }) => outcome.outcome === "unchanged")).toBe(true)
})

test("every attempt is told with the failures before it and the time until the next", async () => {
  const world = fakeWorld()
  const sink = failingSink("one", world, () => world.clock.now() < START + 2 * SECOND)
  const { told } = startAll(world, [sink])
  await world.clock.advance(MINUTE)
  expect(told.map(({ outcome, failures, nextMs }) => [outcome.outcome, failures, nextMs])).toEqual([
    ["failed", 0, 500],
    ["failed", 1, 1000],
    ["failed", 2, 2000],
    ["delivered", 3, 6 * HOUR - 3500],
  ])
})

test("after a success failures are counted anew, and retries come after seconds again", async () => {
  const world = fakeWorld()
  const now = () => world.clock.now() - START
  const sink = failingSink("one", world, () => now() < HOUR || now() > 5 * HOUR)
  const { told } = startAll(world, [sink])
  await world.clock.advance(6 * HOUR + 10 * SECOND)
  const again = told.slice(told.findIndex(({ outcome }) => outcome.outcome === "delivered") + 1)
  expect(again.slice(0, 3).map(({ failures, nextMs }) => [failures, nextMs])).toEqual([
    [0, 500],
    [1, 1000],
    [2, 2000],
  ])
})

test("a sink that refuses the old login keeps its own slow pace, however often AWS is asked", async () => {
  const world = fakeWorld()
  const refused = failingSink("refused", world, () => true, false)
  startAll(world, [refused])
  await world.clock.advance(5 * HOUR)
  world.aws.answer = async () => {
    throw fetchError()
  }
  await world.clock.advance(2 * HOUR)
  const before = refused.calls.length
  await world.clock.advance(3 * HOUR)
  expect(refused.calls.length - before).toBeLessThanOrEqual((3 * HOUR) / (7.5 * MINUTE))
  expect(refused.calls.length).toBeGreaterThan(before)
})

test("stopping in the midst of a delivery lets it finish, tells it, and ends the loop", async () => {
  const world = fakeWorld()
  const slow = fakeSink("slow", world.clock, {
    deliver: async (sink, deliveries) => {
      await world.clock.sleep(SECOND)
      return sink.accept(deliveries)
    },
  })
  const { told, stop, done } = startAll(world, [slow])
  await world.clock.advance(500)
  stop()
  await world.clock.advance(SECOND)
  await done
  expect(told.map(({ outcome }) => outcome.outcome)).toEqual(["delivered"])
  expect(slow.held.size).toBe(1)
})

test("stopping while AWS or a sink hangs ends the loop without an alarm", async () => {
  const world = fakeWorld()
  world.aws.answer = async ({ region }, signal) =>
    region === "us-east-1" ? hang(signal) : tokenFor(START + 12 * HOUR, region)
  const deaf = fakeSink("deaf", world.clock, { deliver: () => new Promise(() => undefined) })
  const { told, stop, done } = startAll(
    world,
    [deaf, fakeSink("one", world.clock)],
    [ownIn("us-east-1"), ...REGISTRIES],
  )
  await world.clock.advance(10 * SECOND)
  stop()
  await world.clock.advance(2 * SECOND)
  await done
  expect(told.filter(({ outcome }) => outcome.outcome === "failed")).toEqual([])
})

test("stopping while all sleep ends the loop at once and leaves no sleeper", async () => {
  const world = fakeWorld()
  const { stop, done } = startAll(world, [fakeSink("one", world.clock), fakeSink("two", world.clock)])
  await world.clock.advance(HOUR)
  stop()
  await done
  expect(world.clock.sleepers()).toEqual([])
})

test("a loop that is stopped before it begins does nothing", async () => {
  const world = fakeWorld()
  const { stop, done } = startAll(world, [fakeSink("one", world.clock)])
  stop()
  await world.clock.advance(MINUTE)
  await done
  expect(world.aws.calls.length).toBeLessThanOrEqual(1)
})

test("asked to refresh now, every target gets a new token at once, and the next one at half of its life", async () => {
  const world = fakeWorld()
  const sinks = [fakeSink("one", world.clock), fakeSink("two", world.clock)]
  const loop = startAll(world, sinks)
  await world.clock.advance(2 * HOUR)
  loop.refreshNow()
  await world.clock.advance(7 * HOUR)
  for (const sink of sinks) expect(timesOf(sink)).toEqual([0, 2 * HOUR, 8 * HOUR])
  expect(world.aws.calls).toHaveLength(3)
})

test("asked to refresh now, what backs off is tried at once", async () => {
  const world = fakeWorld()
  let down = true
  const sink = failingSink("one", world, () => down, false)
  const loop = startAll(world, [sink])
  await world.clock.advance(HOUR)
  down = false
  const tries = sink.calls.length
  loop.refreshNow()
  await world.clock.advance(0)
  expect(sink.calls.length).toBe(tries + 1)
  expect(leftOf(sink, world.clock.now())).toEqual([12 * HOUR])
})

test("asked to refresh now in the middle of a delivery, it delivers again", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock, {
    deliver: async (self, deliveries, signal) => {
      await world.clock.sleep(10 * SECOND, signal)
      return self.accept(deliveries)
    },
  })
  const loop = startAll(world, [sink])
  await world.clock.advance(5 * SECOND)
  loop.refreshNow()
  await world.clock.advance(HOUR)
  expect(timesOf(sink)).toEqual([0, 10 * SECOND])
  expect(world.aws.calls).toHaveLength(2)
})

test("the loops give a sign of life every minute, whatever fails", async () => {
  const world = fakeWorld()
  const sinks = [fakeSink("one", world.clock), failingSink("two", world, () => true)]
  const { turns } = startAll(world, sinks)
  await world.clock.advance(DAY)
  const gaps = turns.slice(1).map((at, i) => at - (turns[i] as number))
  expect(Math.max(...gaps)).toBeLessThanOrEqual(MINUTE)
  expect(turns.at(-1)).toBeGreaterThan(DAY - MINUTE)
})

test("a loop that takes all the time that a fetch and a delivery may take does not end the sign of life", async () => {
  const world = fakeWorld()
  const { answer } = world.aws
  world.aws.answer = async (source, signal) => {
    if (source.region === "eu-west-2") await world.clock.sleep(MINUTE - SECOND)
    return answer(source, signal)
  }
  const sinkThatTakes = (name: string, durationMs: number) =>
    fakeSink(name, world.clock, {
      deliver: async (self, deliveries) => {
        await world.clock.sleep(durationMs)
        return self.accept(deliveries)
      },
    })
  const { turns } = start(world, {
    sinks: [
      plannedSink(sinkThatTakes("slow", MINUTE - SECOND), [ownIn("eu-west-2")]),
      plannedSink(sinkThatTakes("other", 40 * SECOND), [ownIn("eu-west-1")]),
    ],
  })
  await world.clock.advance(DAY)
  const gaps = turns.slice(1).map((at, i) => at - (turns[i] as number))
  expect(Math.max(...gaps)).toBeLessThanOrEqual(MINUTE)
})

test("one loop that is stuck ends the sign of life of all, though the others go on", async () => {
  const world = fakeWorld()
  const { answer } = world.aws
  world.aws.answer = (source, signal) =>
    source.region === "eu-west-2" ? new Promise(() => undefined) : answer(source, signal)
  const other = fakeSink("other", world.clock)
  const { turns } = start(world, {
    sinks: [
      plannedSink(fakeSink("stuck", world.clock), [ownIn("eu-west-2")]),
      plannedSink(other, [ownIn("eu-west-1")]),
    ],
  })
  await world.clock.advance(DAY)
  expect(Math.max(...turns)).toBeLessThanOrEqual(longestTurn(world.deps.timeoutMs))
  expect(timesOf(other).length).toBeGreaterThan(3)
})

// A refresh: one call a source, one delivery a sink, and nobody's failure or slowness is anybody else's.
import { expect, test } from "bun:test"
import type { DeliveryError, FetchError } from "../src/errors.ts"
import type { Outcome } from "../src/outcome.ts"
import { deliveriesOf, type Plan, type PlannedRegistry } from "../src/plan.ts"
import { refresh, refreshUntil } from "../src/refresh.ts"
import type { Sink } from "../src/sink.ts"
import {
  ACCOUNT,
  deliveryError,
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
const OTHER = "999999999999.dkr.ecr.eu-west-1.amazonaws.com"
const never = new AbortController().signal

/** Refreshes everything in a plan once; `advanceMs` of fake time pass meanwhile. */
async function refreshAll(world: ReturnType<typeof fakeWorld>, plan: Plan, advanceMs = 0, signal = never) {
  const done = refresh(deliveriesOf(plan), { ...world.deps, plan }, signal)
  await world.clock.advance(advanceMs)
  return done
}

const outcomesOf = (outcomes: readonly Outcome[]) => outcomes.map(({ outcome }) => outcome)
const messageOf = (outcome: Outcome | undefined) => (outcome?.error as Error | undefined)?.message
const hintOf = (outcome: Outcome | undefined) => (outcome?.error as FetchError | undefined)?.hint
const codesOf = (outcomes: readonly Outcome[]) =>
  outcomes.map(({ error }) => (error as FetchError | DeliveryError | undefined)?.code)

test("three registries of one identity and region in two sinks are one call to AWS and one call of each sink", async () => {
  const world = fakeWorld()
  const sinks = [fakeSink("one", world.clock), fakeSink("two", world.clock)]
  const registries = [registryAt(HOST), registryAt(OTHER), registryAt(HOST.replace("ecr.", "ecr-fips."))]
  const outcomes = await refreshAll(world, planOf(sinks, registries))
  expect(world.aws.calls).toHaveLength(1)
  expect(sinks.map(({ calls }) => calls.map(({ deliveries }) => deliveries.length))).toEqual([[3], [3]])
  expect(
    outcomes.every(({ outcome, expiresAt }) => outcome === "delivered" && expiresAt === START + 12 * HOUR),
  ).toBe(true)
})

test("every target gets its own host with the token's user name, password and expiry", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock)
  await refreshAll(world, planOf([sink], [registryAt(HOST), registryAt(OTHER)]))
  const held = [...sink.held.values()]
  expect(held.map(({ registry }) => registry.host)).toEqual([HOST, OTHER])
  expect(new Set(held.map(({ password }) => password.reveal())).size).toBe(1)
  expect(held.every(({ userName }) => userName === "AWS")).toBe(true)
})

test("the own registry is the one that AWS answers with", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock)
  const [outcome] = await refreshAll(world, planOf([sink], [ownIn("eu-west-1")]))
  expect(outcome).toMatchObject({ target: `one/${HOST}`, registry: HOST, outcome: "delivered" })
})

test("an own registry without an account in AWS's answer fails alone and names the way out", async () => {
  const world = fakeWorld()
  world.aws.answer = async ({ region }) => ({ ...tokenFor(START + HOUR, region), account: undefined })
  const sink = fakeSink("one", world.clock)
  const outcomes = await refreshAll(world, planOf([sink], [ownIn("eu-west-1"), registryAt(OTHER)]))
  expect(codesOf(outcomes)).toEqual(["no-account", undefined])
  expect(outcomesOf(outcomes)).toEqual(["failed", "delivered"])
  expect(hintOf(outcomes[0])).toContain("--registry")
})

test("outcomes come in the order of what was due", async () => {
  const world = fakeWorld()
  const registries = [ownIn("us-east-1"), registryAt(OTHER), ownIn("eu-west-1")]
  const plan = planOf([fakeSink("one", world.clock), fakeSink("two", world.clock)], registries)
  world.aws.answer = async ({ region }) => {
    if (region === "us-east-1") await world.clock.sleep(200)
    return tokenFor(world.clock.now() + HOUR, region)
  }
  const outcomes = await refreshAll(world, plan, SECOND)
  expect(outcomes.map(({ sink, registry }) => `${sink} ${registry}`)).toEqual([
    `one ${HOST.replace("eu-west", "us-east")}`,
    `one ${OTHER}`,
    `one ${HOST}`,
    `two ${HOST.replace("eu-west", "us-east")}`,
    `two ${OTHER}`,
    `two ${HOST}`,
  ])
})

test("a token that cannot be fetched fails its own registries and no other", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock)
  world.aws.answer = async ({ region }) => {
    if (region === "us-east-1") throw fetchError()
    return tokenFor(START + HOUR, region)
  }
  const outcomes = await refreshAll(world, planOf([sink], [ownIn("us-east-1"), ownIn("eu-west-1")]), SECOND)
  expect(outcomesOf(outcomes)).toEqual(["failed", "delivered"])
  expect([...sink.held.keys()]).toEqual([`one/${HOST}`])
})

test("a sink that fails, throws what it likes or answers too little fails alone", async () => {
  const world = fakeWorld()
  const failing = fakeSink("failing", world.clock, { deliver: async () => Promise.reject(deliveryError()) })
  const buggy = fakeSink("buggy", world.clock, { deliver: async () => Promise.reject(new TypeError("bug")) })
  const terse = fakeSink("terse", world.clock, { deliver: async () => [] })
  const sync: Sink = {
    ...fakeSink("sync", world.clock),
    deliver: () => {
      throw new RangeError("thrown, not rejected")
    },
  }
  const well = fakeSink("well", world.clock)
  const outcomes = await refreshAll(world, planOf([failing, buggy, terse, sync, well], [registryAt(HOST)]))
  expect(outcomesOf(outcomes)).toEqual(["failed", "failed", "failed", "failed", "delivered"])
  expect(outcomes.map(({ error }) => (error as Error | undefined)?.name)).toEqual([
    "DeliveryError",
    "TypeError",
    "Error",
    "RangeError",
    undefined,
  ])
})

test("one slot that a sink cannot write leaves its other slots delivered", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock, {
    deliver: async (self, deliveries) =>
      self
        .accept(deliveries)
        .map((result, i) => (i === 0 ? { outcome: "failed", error: deliveryError(false) } : result)),
  })
  const outcomes = await refreshAll(world, planOf([sink], [registryAt(HOST), registryAt(OTHER)]))
  expect(outcomesOf(outcomes)).toEqual(["failed", "delivered"])
})

test("what a sink left alone and what it warns of is passed on", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock, {
    deliver: async () => [{ outcome: "unchanged", expiresAt: START + 13 * HOUR, warning: "hidden" }],
  })
  const [outcome] = await refreshAll(world, planOf([sink], [registryAt(HOST)]))
  expect(outcome).toMatchObject({ outcome: "unchanged", expiresAt: START + 13 * HOUR, warning: "hidden" })
})

test("what is to be said of the login and what the sink warns of are told together", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock, {
    deliver: async () => [{ outcome: "delivered", expiresAt: START + HOUR, warning: "hidden" }],
  })
  const plan = planOf([sink], [{ ...registryAt(HOST), probe: true }])
  const deps = { ...world.deps, plan, probe: async () => ({ answer: "none", why: "no route" }) as const }
  const [outcome] = await refresh(deliveriesOf(plan), deps, never)
  expect(outcome?.warning).toBe(`the login was not tried at ${HOST}: no route; hidden`)
})

test("a sink is not called where the registry refuses all that it would get", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock)
  const plan = planOf([sink], [{ ...registryAt(HOST), probe: true }])
  const deps = { ...world.deps, plan, probe: async () => ({ answer: "refused", status: 401 }) as const }
  expect(codesOf(await refresh(deliveriesOf(plan), deps, never))).toEqual(["probe-refused"])
  expect(sink.calls).toEqual([])
})

test("a source that hangs does not keep another's registries from the same sink for more than a second", async () => {
  const world = fakeWorld()
  world.aws.answer = async ({ region }, signal) =>
    region === "us-east-1" ? hang(signal) : tokenFor(START + HOUR, region)
  const sink = fakeSink("one", world.clock)
  const plan = planOf([sink], [ownIn("us-east-1"), ownIn("eu-west-1")])
  const done = refresh(deliveriesOf(plan), { ...world.deps, plan }, never)
  await world.clock.advance(SECOND)
  expect([...sink.held.keys()]).toEqual([`one/${HOST}`])
  await world.clock.advance(MINUTE)
  expect(outcomesOf(await done)).toEqual(["failed", "delivered"])
})

test("tokens that come within a second of each other are one delivery", async () => {
  const world = fakeWorld()
  world.aws.answer = async ({ region }) => {
    await world.clock.sleep(region === "us-east-1" ? 900 : 10)
    return tokenFor(START + HOUR, region)
  }
  const sink = fakeSink("one", world.clock)
  await refreshAll(world, planOf([sink], [ownIn("us-east-1"), ownIn("eu-west-1")]), 2 * SECOND)
  expect(sink.calls.map(({ deliveries }) => deliveries.length)).toEqual([2])
})

test("a sink waits no longer than until the last of its tokens is there", async () => {
  const world = fakeWorld()
  world.aws.answer = async ({ region }) => {
    await world.clock.sleep(region === "us-east-1" ? 200 : 10)
    return tokenFor(START + HOUR, region)
  }
  const sink = fakeSink("one", world.clock)
  await refreshAll(world, planOf([sink], [ownIn("us-east-1"), ownIn("eu-west-1")]), 200)
  expect(sink.calls.map(({ at, deliveries }) => [at - START, deliveries.length])).toEqual([[200, 2]])
  expect(world.clock.sleepers()).toEqual([])
})

test("what comes while a sink is busy goes into it afterwards, and waits a second at most for what hangs", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock, {
    deliver: async (self, deliveries) => {
      await world.clock.sleep(5 * SECOND)
      return self.accept(deliveries)
    },
  })
  world.aws.answer = async ({ region }, signal) => {
    if (region === "us-east-2") return hang(signal)
    if (region === "us-east-1") await world.clock.sleep(3 * SECOND)
    return tokenFor(START + HOUR, region)
  }
  const regions = ["eu-west-1", "us-east-1", "us-east-2"]
  await refreshAll(
    world,
    planOf(
      [sink],
      regions.map((region) => ownIn(region)),
    ),
    MINUTE,
  )
  expect(sink.calls.map(({ at }) => at - START)).toEqual([SECOND, 7 * SECOND])
})

test("a sink that hangs holds up no other, and is given up when its time is over", async () => {
  const world = fakeWorld()
  const hanging = fakeSink("hanging", world.clock, { deliver: (_, __, signal) => hang(signal) })
  const well = fakeSink("well", world.clock)
  const plan = planOf([hanging, well], [registryAt(HOST)])
  const done = refresh(deliveriesOf(plan), { ...world.deps, plan }, never)
  await world.clock.advance(0)
  expect([...well.held.keys()]).toEqual([`well/${HOST}`])
  await world.clock.advance(MINUTE)
  const outcomes = await done
  expect(codesOf(outcomes)).toEqual(["timeout", undefined])
  expect(messageOf(outcomes[0])).toBe(`hanging hanging/${HOST}: not done in time`)
  expect(outcomes[0]?.error).toMatchObject({ retryable: true, hint: expect.stringContaining("--timeout") })
})

test("a sink that does not heed its signal is left behind after a moment to tidy up", async () => {
  const world = fakeWorld()
  const deaf = fakeSink("deaf", world.clock, { deliver: () => new Promise(() => undefined) })
  const plan = planOf([deaf], [registryAt(HOST), registryAt(OTHER)])
  const done = refresh(deliveriesOf(plan), { ...world.deps, plan }, never)
  await world.clock.advance(MINUTE + 2 * SECOND)
  const outcomes = await done
  expect(codesOf(outcomes)).toEqual(["timeout", "timeout"])
  expect(messageOf(outcomes[0])).toBe(`deaf deaf/${HOST} and 1 more: not done in time`)
})

test("a sink that is stopped and tidies up in time may still say that it delivered", async () => {
  const world = fakeWorld()
  const stop = new AbortController()
  const sink = fakeSink("slow", world.clock, {
    deliver: async (self, deliveries) => {
      await world.clock.sleep(SECOND)
      return self.accept(deliveries)
    },
  })
  const plan = planOf([sink], [registryAt(HOST)])
  const done = refresh(deliveriesOf(plan), { ...world.deps, plan }, stop.signal)
  await world.clock.advance(500)
  stop.abort(new Error("stopped by SIGTERM"))
  await world.clock.advance(SECOND)
  expect(outcomesOf(await done)).toEqual(["delivered"])
})

test("what is stopped says so, and not that it took too long", async () => {
  const world = fakeWorld()
  const stop = new AbortController()
  const sink = fakeSink("one", world.clock, { deliver: (_, __, signal) => hang(signal) })
  const plan = planOf([sink], [registryAt(HOST)])
  const done = refresh(deliveriesOf(plan), { ...world.deps, plan }, stop.signal)
  await world.clock.advance(0)
  stop.abort(new Error("stopped by SIGTERM"))
  expect(codesOf(await done)).toEqual(["stopped"])
})

test("a signal that is aborted before it begins still ends, and changes nothing", async () => {
  const world = fakeWorld()
  world.aws.answer = (_, signal) => hang(signal)
  const sink = fakeSink("one", world.clock)
  const outcomes = await refreshAll(
    world,
    planOf([sink], [registryAt(HOST)]),
    0,
    AbortSignal.abort(new Error("x")),
  )
  expect(outcomesOf(outcomes)).toEqual(["failed"])
  expect(sink.calls).toEqual([])
})

test("nothing that is due is nothing to do", async () => {
  const world = fakeWorld()
  expect(await refresh([], { ...world.deps, plan: { sinks: [] } }, never)).toEqual([])
  expect(world.aws.calls).toEqual([])
})

test("an own registry that turns out to be a named one is delivered once, for both", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock)
  const outcomes = await refreshAll(
    world,
    planOf([sink], [ownIn("eu-west-1"), registryAt(HOST), registryAt(OTHER)]),
  )
  expect(outcomesOf(outcomes)).toEqual(["delivered", "delivered", "delivered"])
  expect(outcomes[1]).toEqual(outcomes[0] as Outcome)
  expect(sink.calls.map(({ deliveries }) => deliveries.length)).toEqual([2])
})

test("an own registry that another identity names too is refused for both, before either is written", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock)
  const named = registryAt(HOST, { profile: "ci" })
  // Whose token comes first is not told.
  const plan = planOf([sink], [ownIn("eu-west-1"), named, registryAt(OTHER)])
  await refreshAll(world, plan)
  const outcomes = await refreshAll(world, plan)
  expect(codesOf(outcomes)).toEqual(["duplicate-target", "duplicate-target", undefined])
  expect(messageOf(outcomes[0])).toContain("same registry; name it once")
})

test("own registries of two identities that are one account are refused for both sinks that share the slot", async () => {
  const world = fakeWorld()
  const slotOf = ({ host }: { host: string }) => `file/${host}`
  const sinks = [fakeSink("one", world.clock, { slotOf }), fakeSink("two", world.clock, { slotOf })]
  const plan: Plan = {
    sinks: sinks.map((sink, i) => plannedSink(sink, [ownIn("eu-west-1", i === 0 ? {} : { profile: "ci" })])),
  }
  await refreshAll(world, plan)
  const outcomes = await refreshAll(world, plan)
  expect(codesOf(outcomes)).toEqual(["duplicate-target", "duplicate-target"])
})

/** Refreshes until all is settled or the time is over. */
function refreshWithin(
  world: ReturnType<typeof fakeWorld>,
  sinks: readonly Sink[],
  registries: readonly PlannedRegistry[],
) {
  const plan = planOf(sinks, registries)
  const retries: number[] = []
  const done = refreshUntil(
    START + MINUTE,
    deliveriesOf(plan),
    { ...world.deps, plan },
    never,
    (failed, delayMs) => void retries.push(failed.length, delayMs),
  )
  return { done, retries }
}

test("what is transient is repeated until it works, with the token at hand, and what worked is left alone", async () => {
  const world = fakeWorld()
  let failures = 3
  const flaky = fakeSink("flaky", world.clock, {
    deliver: async (self, deliveries) => {
      failures -= 1
      if (failures >= 0) throw deliveryError()
      return self.accept(deliveries)
    },
  })
  const well = fakeSink("well", world.clock)
  const { done, retries } = refreshWithin(world, [flaky, well], [registryAt(HOST)])
  await world.clock.advance(MINUTE)
  expect(outcomesOf(await done)).toEqual(["delivered", "delivered"])
  expect([flaky.calls.length, well.calls.length, world.aws.calls.length]).toEqual([4, 1, 1])
  expect(retries).toEqual([1, 500, 1, 1000, 1, 2000])
})

test("AWS that throttles is asked again, and not sooner than it is worth it", async () => {
  const world = fakeWorld()
  const well = world.aws.answer
  world.aws.answer = async () => {
    if (world.aws.calls.length >= 3) world.aws.answer = well
    throw fetchError()
  }
  const sink = fakeSink("one", world.clock)
  const { done } = refreshWithin(world, [sink], [registryAt(HOST)])
  await world.clock.advance(MINUTE)
  expect(outcomesOf(await done)).toEqual(["delivered"])
  expect(world.aws.calls.map(({ at }) => at - START)).toEqual([0, 500, 1500, 3500])
})

test("no retry is spent on a failure of AWS that is only remembered", async () => {
  const world = fakeWorld({ random: loadedDice([0.9, 0]) })
  world.aws.answer = async () => {
    throw fetchError()
  }
  const { done, retries } = refreshWithin(world, [fakeSink("one", world.clock)], [registryAt(HOST)])
  await world.clock.advance(MINUTE)
  await done
  expect(world.aws.calls).toHaveLength(retries.length / 2 + 1)
})

test("what needs a person is not repeated", async () => {
  const world = fakeWorld()
  const refused = fakeSink("refused", world.clock, {
    deliver: async () => Promise.reject(deliveryError(false)),
  })
  const { done, retries } = refreshWithin(world, [refused], [registryAt(HOST)])
  expect(outcomesOf(await done)).toEqual(["failed"])
  expect([refused.calls.length, retries.length]).toEqual([1, 0])
})

test("it does not wait for a retry that would come too late", async () => {
  const world = fakeWorld()
  const failing = fakeSink("failing", world.clock, { deliver: async () => Promise.reject(deliveryError()) })
  const { done } = refreshWithin(world, [failing], [registryAt(HOST)])
  await world.clock.advance(MINUTE)
  expect(outcomesOf(await done)).toEqual(["failed"])
  expect(world.clock.now()).toBeLessThanOrEqual(START + MINUTE)
  expect(world.clock.sleepers()).toEqual([])
})

test("what is stopped while it waits for its retry keeps its error", async () => {
  const world = fakeWorld()
  const stop = new AbortController()
  const failing = fakeSink("failing", world.clock, { deliver: async () => Promise.reject(deliveryError()) })
  const plan = planOf([failing], [registryAt(HOST)])
  const done = refreshUntil(
    START + MINUTE,
    deliveriesOf(plan),
    { ...world.deps, plan },
    stop.signal,
    () => undefined,
  )
  await world.clock.advance(100)
  stop.abort(new Error("stopped"))
  expect(codesOf(await done)).toEqual(["unreachable"])
  expect(failing.calls).toHaveLength(1)
})

test("a retry that is stopped at its work keeps the error that it would have mended", async () => {
  const world = fakeWorld()
  const stop = new AbortController()
  const failing = fakeSink("failing", world.clock, {
    deliver: async ({ calls }, _, signal) =>
      calls.length === 1 ? Promise.reject(deliveryError()) : hang(signal),
  })
  const plan = planOf([failing], [registryAt(HOST)])
  const deps = { ...world.deps, plan }
  const done = refreshUntil(START + MINUTE, deliveriesOf(plan), deps, stop.signal, () => undefined)
  await world.clock.advance(5 * SECOND)
  expect(failing.calls).toHaveLength(2)
  stop.abort(new Error("stopped"))
  expect(codesOf(await done)).toEqual(["unreachable"])
})

// Status: what every target holds, judged by one rule, and nothing lost where one sink or identity fails.
import { expect, test } from "bun:test"
import { withDeadline } from "../src/clock.ts"
import { deliveriesOf, type Plan } from "../src/plan.ts"
import type { Held, Sink } from "../src/sink.ts"
import { sourceKey } from "../src/source.ts"
import { DEFAULT_MIN_REMAINING_MS, loadAccounts, readStatus } from "../src/status.ts"
import { fakeClock } from "./support/clock.ts"
import {
  ACCOUNT,
  deliveryError,
  fakeAws,
  fakeSink,
  fetchError,
  HOUR,
  hang,
  MINUTE,
  ownIn,
  planOf,
  registryAt,
  SECOND,
  START,
} from "./support/fakes.ts"

const HOST = `${ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com`
const never = new AbortController().signal
const clock = { now: () => START }

const holding = (...held: readonly Held[]): Sink => fakeSink("one", clock, { read: async () => held })

async function statusOf(
  sinks: readonly Sink[],
  minRemainingMs = DEFAULT_MIN_REMAINING_MS,
  registries = [registryAt(HOST)],
) {
  const plan = planOf(sinks, registries)
  const deps = { clock: fakeClock(START), minRemainingMs }
  return readStatus(deliveriesOf(plan), new Map(), new Map(), deps, never)
}

const stateOf = async (held: Held, minRemainingMs?: number) =>
  (await statusOf([holding(held)], minRemainingMs))[0]

test.each([
  ["half of its life left", { state: "held", expiresAt: START + 6 * HOUR }, "fresh"],
  ["just enough left", { state: "held", expiresAt: START + 4 * HOUR }, "fresh"],
  ["a second too little", { state: "held", expiresAt: START + 4 * HOUR - SECOND }, "stale"],
  ["no time left", { state: "held", expiresAt: START }, "expired"],
  ["a wrong host", { state: "held", expiresAt: START + 12 * HOUR, differs: "host is https://x" }, "stale"],
  [
    "a wrong host and no expiry",
    { state: "held", expiresAt: undefined, differs: "host is https://x" },
    "stale",
  ],
  [
    "a wrong host and no time left",
    { state: "held", expiresAt: START - 1, differs: "host is https://x" },
    "expired",
  ],
  ["no expiry that is told", { state: "held", expiresAt: undefined }, "unknown"],
  ["an expiry that no token has", { state: "held", expiresAt: START + 13 * HOUR + 1 }, "unknown"],
  ["nothing", { state: "missing" }, "missing"],
  ["what cannot be read", { state: "unreadable", error: deliveryError() }, "unreadable"],
] as const)("a target that holds %s", async (_, held, state) => {
  expect(await stateOf(held as Held)).toMatchObject({
    sink: "one",
    target: `one/${HOST}`,
    registry: HOST,
    state,
  })
})

test("what differs is told with the expiry of the login, and what is missing with the sink's own way out", async () => {
  const expiresAt = START + 6 * HOUR
  expect(await stateOf({ state: "held", expiresAt, differs: "host is https://x" })).toMatchObject({
    expiresAt,
    remainingMs: 6 * HOUR,
    message: "host is https://x",
  })
  expect((await stateOf({ state: "missing", hint: "remove credsStore" }))?.hint).toBe("remove credsStore")
})

test("how much must be left is for the person to say", async () => {
  expect((await stateOf({ state: "held", expiresAt: START + 6 * HOUR }, 8 * HOUR))?.state).toBe("stale")
  expect((await stateOf({ state: "held", expiresAt: START + MINUTE }, SECOND))?.state).toBe("fresh")
})

test("a login that claims to live for years does not count as fresh, and its claim is not repeated", async () => {
  expect(await stateOf({ state: "held", expiresAt: START + 10 * 365 * 24 * HOUR })).toMatchObject({
    state: "unknown",
    expiresAt: undefined,
    message: "the login gives an expiry that no token has",
  })
})

test("a sink that cannot read makes its targets unknown, with a word on why", async () => {
  expect(await statusOf([fakeSink("one", clock)])).toMatchObject([
    { state: "unknown", message: "one cannot be read" },
  ])
})

test("a sink that cannot be reached makes its own targets unreadable and no other", async () => {
  const down = fakeSink("down", clock, { read: async () => Promise.reject(deliveryError()) })
  const statuses = await statusOf([down, holding({ state: "held", expiresAt: START + 6 * HOUR })])
  expect(statuses).toMatchObject([
    { sink: "down", state: "unreadable", message: "fake target: not today", hint: "wait" },
    { sink: "one", state: "fresh" },
  ])
})

test.each([
  ["heeds its signal", (signal: AbortSignal) => hang(signal)],
  ["is deaf", () => new Promise<never>(() => undefined)],
] as const)("a sink that hangs and %s costs only its own targets", async (_, read) => {
  const time = fakeClock(START)
  const hanging = fakeSink("hanging", clock, { read: (__, signal) => read(signal) })
  const plan = planOf([hanging, holding({ state: "held", expiresAt: START + 6 * HOUR })], [registryAt(HOST)])
  const reading = withDeadline(MINUTE, time, never, (signal) =>
    readStatus(deliveriesOf(plan), new Map(), new Map(), { clock: time, minRemainingMs: HOUR }, signal),
  )
  await time.advance(MINUTE + 2 * SECOND)
  expect((await reading).map(({ state, message }) => [state, message])).toEqual([
    ["unreadable", `hanging hanging/${HOST}: not done in time`],
    ["fresh", undefined],
  ])
})

test("every sink is read once, for all its targets, and answers in order", async () => {
  const other = "999999999999.dkr.ecr.eu-west-1.amazonaws.com"
  let reads = 0
  const sink = fakeSink("one", clock, {
    read: async (targets) => {
      reads += 1
      return targets.map(({ registry }) =>
        registry.host === other ? { state: "missing" } : { state: "held", expiresAt: START + 6 * HOUR },
      )
    },
  })
  const statuses = await statusOf([sink], HOUR, [registryAt(HOST), registryAt(other)])
  expect(statuses.map(({ registry, state }) => `${registry} ${state}`)).toEqual([
    `${HOST} fresh`,
    `${other} missing`,
  ])
  expect(reads).toBe(1)
})

function ownPlan(): Plan {
  const sink = fakeSink("one", clock, { read: async (targets) => targets.map(() => ({ state: "missing" })) })
  return planOf(
    [sink, { ...sink, type: "two" }],
    [ownIn("eu-west-1"), ownIn("us-east-1"), ownIn("eu-west-1", { profile: "ci" }), registryAt(HOST)],
  )
}

test("who is calling is asked once for each identity, however many regions and sinks", async () => {
  const asked: (string | undefined)[] = []
  const aws = {
    ...fakeAws(clock),
    fetchAccount: async ({ principal }: Parameters<ReturnType<typeof fakeAws>["fetchAccount"]>[0]) => {
      asked.push(principal.profile)
      return ACCOUNT
    },
  }
  const { accounts, errors } = await loadAccounts(ownPlan(), aws, never)
  expect(asked).toEqual([undefined, "ci"])
  expect([...accounts.values()]).toEqual([ACCOUNT, ACCOUNT, ACCOUNT])
  expect(errors.size).toBe(0)
})

test("nobody is asked where every registry is named", async () => {
  const aws = { ...fakeAws(clock), fetchAccount: () => Promise.reject(new Error("asked")) }
  const { accounts } = await loadAccounts(planOf([fakeSink("one", clock)], [registryAt(HOST)]), aws, never)
  expect(accounts.size).toBe(0)
})

test("an identity that AWS refuses leaves its own targets unreadable and the others known", async () => {
  const plan = ownPlan()
  const aws = {
    ...fakeAws(clock),
    fetchAccount: async ({ principal }: Parameters<ReturnType<typeof fakeAws>["fetchAccount"]>[0]) => {
      if (principal.profile) throw fetchError(false, "access-denied")
      return ACCOUNT
    },
  }
  const { accounts, errors } = await loadAccounts(plan, aws, never)
  expect(accounts.get(sourceKey(ownIn("us-east-1").source))).toBe(ACCOUNT)
  const statuses = await readStatus(
    deliveriesOf(plan),
    accounts,
    errors,
    { clock: fakeClock(START), minRemainingMs: HOUR },
    never,
  )
  expect(statuses.filter(({ sink }) => sink === "one")).toMatchObject([
    { registry: HOST, state: "missing" },
    { registry: HOST.replace("eu-west", "us-east"), state: "missing" },
    {
      target: "one/ACCOUNT.dkr.ecr.eu-west-1.amazonaws.com",
      registry: "own registry in eu-west-1",
      state: "unreadable",
      message: "eu-west-1: no token today",
      hint: "wait",
    },
    { registry: HOST, state: "missing" },
  ])
})

test("what a refresh would refuse to mend is said with the way out, not with a refresh", async () => {
  const clock = fakeClock(START)
  const held = { state: "held", expiresAt: START + 8 * HOUR, differs: "credsStore hides it" } as const
  const hints = await Promise.all(
    [held, { ...held, hint: "remove credsStore" }].map(async (one) => {
      const sink = fakeSink("one", clock, { read: async (targets) => targets.map(() => one) })
      const plan = planOf([sink], [registryAt(HOST)])
      const deps = { clock, minRemainingMs: HOUR }
      const [status] = await readStatus(deliveriesOf(plan), new Map(), new Map(), deps, never)
      return [status?.state, status?.hint]
    }),
  )
  expect(hints).toEqual([
    ["stale", "`ecrelay refresh` fixes it"],
    ["stale", "remove credsStore"],
  ])
})

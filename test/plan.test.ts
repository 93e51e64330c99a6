// The plan: which targets there are, and that no two registries are written into one of them.
import { expect, test } from "bun:test"
import { ConfigError } from "../src/errors.ts"
import {
  deliveriesOf,
  duplicateTargets,
  formatRegistry,
  type Plan,
  refuseDuplicateTargets,
  sourcesOf,
} from "../src/plan.ts"
import type { Sink, Target } from "../src/sink.ts"
import { sourceKey } from "../src/source.ts"
import { fakeSink, ownIn, plannedSink, planOf, registryAt, START } from "./support/fakes.ts"

const clock = { now: () => START }
const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"
const OTHER = "999999999999.dkr.ecr.eu-west-1.amazonaws.com"

function issuesOf(plan: Plan): readonly string[] {
  try {
    refuseDuplicateTargets(plan)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.issues.map(({ path, message }) => `${path}: ${message}`)
  }
}

test("every registry goes to every sink, in order", () => {
  const plan = planOf(
    [fakeSink("one", clock), fakeSink("two", clock)],
    [registryAt(HOST), ownIn("eu-central-1")],
  )
  const deliveries = deliveriesOf(plan).map(
    ({ sink, planned, index }) => `${sink.sink.type} ${formatRegistry(planned)} ${index}`,
  )
  expect(deliveries).toEqual([
    `one ${HOST} 0`,
    "one own registry in eu-central-1 0",
    `two ${HOST} 0`,
    "two own registry in eu-central-1 0",
  ])
})

test("a sink that has several slots for a registry gets a delivery for each", () => {
  const sink = fakeSink("one", clock)
  const targets: typeof sink.targets = (registry) =>
    ["a", "b"].map((slot) => ({ registry, slot, name: `one/${slot}` }))
  const plan = planOf([{ ...sink, targets }], [ownIn("eu-west-1")])
  expect(deliveriesOf(plan).map(({ index }) => index)).toEqual([0, 1])
})

test("registries of one identity and region share a source; another identity, region or endpoint does not", () => {
  const sources = sourcesOf(
    planOf(
      [fakeSink("one", clock), fakeSink("two", clock)],
      [
        registryAt(HOST),
        registryAt(OTHER),
        ownIn("eu-west-1"),
        ownIn("us-east-1"),
        ownIn("eu-west-1", { profile: "ci" }),
      ],
    ),
  )
  expect(sources.map(({ region, principal }) => `${region} ${principal.profile ?? ""}`)).toEqual([
    "eu-west-1 ",
    "us-east-1 ",
    "eu-west-1 ci",
  ])
})

test("whatever decides about the token is part of the key, and nothing can be mistaken for something else", () => {
  const base = { service: "ecr", region: "eu-west-1", principal: {} } as const
  const keys = [
    base,
    { ...base, region: "eu-west-2" },
    { ...base, service: "ecr-public" as const },
    { ...base, principal: { profile: "a" } },
    { ...base, principal: { airflowConnection: "a" } },
    { ...base, principal: { roleArns: ["a"] as const } },
    { ...base, principal: { roleArns: ["a"] as const, externalId: "b" } },
    { ...base, principal: { profile: "a", roleArns: ["b"] as const } },
    { ...base, endpointUrl: "https://ecr.example" },
  ].map(sourceKey)
  expect(new Set(keys).size).toBe(keys.length)
})

test("different slots are no duplicates", () => {
  const plan = planOf([fakeSink("one", clock), fakeSink("two", clock)], [registryAt(HOST), registryAt(OTHER)])
  expect(issuesOf(plan)).toEqual([])
})

test("two registries in one slot are refused, with the way out", () => {
  const sink = fakeSink("one", clock, { slotOf: () => "one/ecr_docker" })
  expect(issuesOf(planOf([sink], [registryAt(HOST), registryAt(OTHER)]))).toEqual([
    `--sink one: one/ecr_docker would be written for ${HOST} and for ${OTHER}; put {account} or {region} into the target's name, or name each sink's registries`,
  ])
})

test("two sinks that mean one slot are refused", () => {
  const slotOf = () => "file"
  const plan = planOf(
    [fakeSink("one", clock, { slotOf }), fakeSink("two", clock, { slotOf })],
    [registryAt(HOST)],
  )
  expect(issuesOf(plan)).toEqual([
    `--sink two: file would be written twice for ${HOST}; name each registry and each target once`,
  ])
})

test("a slot that one sink names twice for one registry is refused", () => {
  const named = { registry: registryAt(HOST).registry, slot: "ecr", name: "ecr" } as Target
  const twice: Sink = { ...fakeSink("one", clock), targets: () => [named, named] }
  expect(issuesOf(planOf([twice], [registryAt(HOST)]))).toEqual([
    `--sink one: ecr would be written twice for ${HOST}; name each registry and each target once`,
  ])
})

test("sinks that share a slot but not a registry are refused too", () => {
  const slotOf = () => "file"
  const plan = {
    sinks: [
      plannedSink(fakeSink("one", clock, { slotOf }), [registryAt(HOST)]),
      plannedSink(fakeSink("two", clock, { slotOf }), [registryAt(OTHER)]),
    ],
  }
  expect(issuesOf(plan)[0]).toContain(`for ${HOST} and for ${OTHER}`)
})

test("what is certain before the account is known is refused at once, and no made-up account is shown", () => {
  const sink = fakeSink("one", clock)
  const issues = issuesOf(planOf([sink, fakeSink("one", clock)], [ownIn("eu-west-1")]))
  expect(issues).toEqual([
    "--sink one: one/ACCOUNT.dkr.ecr.eu-west-1.amazonaws.com would be written twice for own registry in eu-west-1; name each registry and each target once",
  ])
})

test("the same own registry twice in one sink is refused", () => {
  const plan = planOf([fakeSink("one", clock)], [ownIn("eu-west-1"), ownIn("eu-west-1")])
  expect(issuesOf(plan)).toEqual([
    "--sink one: one/ACCOUNT.dkr.ecr.eu-west-1.amazonaws.com would be written twice for own registry in eu-west-1; name each registry and each target once",
  ])
})

test("own registries of two identities in one slot are refused, though nobody knows their accounts", () => {
  const sink = fakeSink("one", clock, { slotOf: ({ region }) => `ecr_${region}` })
  expect(issuesOf(planOf([sink], [ownIn("eu-west-1"), ownIn("eu-west-1", { profile: "ci" })]))).toHaveLength(
    1,
  )
  expect(issuesOf(planOf([sink], [ownIn("eu-west-1"), ownIn("us-east-1", { profile: "ci" })]))).toEqual([])
})

test("identities that may be one account are let pass until the account is known", () => {
  const plan = planOf(
    [fakeSink("one", clock)],
    [ownIn("eu-west-1"), ownIn("eu-west-1", { profile: "ci" }), registryAt(HOST)],
  )
  expect(issuesOf(plan)).toEqual([])
  const found = duplicateTargets(plan, () => "012345678901")
  expect(found.map(({ name }) => name)).toEqual([`one/${HOST}`])
  expect(found[0]?.message).toContain("would be written twice for own registry in eu-west-1")
})

test("an own registry that is also named by its host is one wish, of one identity and into one sink", () => {
  const [own, named] = [ownIn("eu-west-1"), registryAt(HOST)]
  const duplicates = (plan: Plan) => duplicateTargets(plan, () => "012345678901").length
  expect(duplicates(planOf([fakeSink("one", clock)], [own, named]))).toBe(0)
  expect(duplicates(planOf([fakeSink("one", clock)], [own, registryAt(HOST, { profile: "ci" })]))).toBe(1)
  const slotOf = ({ host }: { host: string }) => `file/${host}`
  const [one, two] = [fakeSink("one", clock, { slotOf }), fakeSink("two", clock, { slotOf })]
  expect(duplicates({ sinks: [plannedSink(one, [own]), plannedSink(two, [named])] })).toBe(1)
})

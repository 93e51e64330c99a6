// Debug lines: every call to AWS and to a sink, what came of it, how long it took, and never a secret.
import { expect, test } from "bun:test"
import { traceAws, traceSink } from "../src/trace.ts"
import { fakeClock } from "./support/clock.ts"
import { makeCredential } from "./support/credentials.ts"
import { ACCOUNT, deliveryError, fakeAws, fakeSink, fetchError, HOUR, START } from "./support/fakes.ts"
import { secretForms } from "./support/secrets.ts"
import { calm, REGISTRY } from "./support/sinks.ts"

const SOURCE = { service: "ecr", region: "eu-west-1", principal: { profile: "ci" } } as const

function openTrace() {
  const lines: string[] = []
  const clock = fakeClock(START)
  return { clock, lines, deps: { clock, debug: (text: string) => void lines.push(text) } }
}

test("a call to AWS is told with who asks, what came, and how long it took", async () => {
  const { clock, lines, deps } = openTrace()
  const aws = fakeAws(clock)
  const answer = aws.answer
  aws.answer = async (...call) => {
    await clock.sleep(1234)
    return answer(...call)
  }
  const fetching = traceAws(aws, deps).fetchToken(SOURCE, calm())
  await clock.advance(2000)
  await fetching
  expect(lines).toEqual([
    "AWS, eu-west-1, profile ci: fetch a token …",
    `AWS, eu-west-1, profile ci: fetch a token: account ${ACCOUNT}, good until 2026-11-24 00:00 UTC, after 1234 ms`,
  ])
})

test("a call that fails is told by its code, and fails as before", async () => {
  const { clock, lines, deps } = openTrace()
  const aws = fakeAws(clock)
  const error = fetchError()
  aws.answer = () => Promise.reject(error)
  const source = { ...SOURCE, endpointUrl: "https://vpce.example" }
  expect(
    await traceAws(aws, deps)
      .fetchToken(source, calm())
      .catch((one) => one),
  ).toBe(error)
  expect(lines.at(-1)).toBe(
    "AWS at https://vpce.example, eu-west-1, profile ci: fetch a token: failed (throttled), after 0 ms",
  )
})

test("the calls of a sink are told by what came of each target, and never by what they carry", async () => {
  const { clock, lines, deps } = openTrace()
  const sink = fakeSink("fake", clock, {
    deliver: async (one, deliveries) => [
      ...one.accept(deliveries.slice(1)),
      { outcome: "failed", error: deliveryError() },
    ],
    read: async (targets) => targets.map(() => ({ state: "missing" })),
    check: async () => [],
  })
  const traced = traceSink(sink, deps)
  const [target] = traced.targets(REGISTRY)
  if (!target) throw new Error("no target")
  const credential = makeCredential({ registry: REGISTRY, expiresAt: START + HOUR })
  const delivery = { target, credential }
  await traced.deliver([delivery, delivery, delivery], calm())
  await traced.read?.([target], calm())
  await traced.check?.([target], calm())
  expect(lines.filter((line) => !line.endsWith("…"))).toEqual([
    "fake: deliver 3 targets: 2 delivered, 1 failed, after 0 ms",
    "fake: read 1 target: 1 missing, after 0 ms",
    "fake: check 1 target: nothing, after 0 ms",
  ])
  for (const form of secretForms(credential.password.reveal())) expect(lines.join("\n")).not.toContain(form)
})

test("a sink that can neither read nor check still can do neither", () => {
  const { clock, deps } = openTrace()
  const traced = traceSink(fakeSink("fake", clock), deps)
  expect([traced.read, traced.check]).toEqual([undefined, undefined])
})

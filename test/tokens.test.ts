// Tokens at hand: one call for all who wait, none while a token is young, and no storm after a failure.
import { expect, test } from "bun:test"
import type { Aws } from "../src/ecr.ts"
import { FetchError } from "../src/errors.ts"
import type { Source } from "../src/source.ts"
import { fakeWorld, fetchError, HOUR, hang, MINUTE, SECOND, START, tokenFor } from "./support/fakes.ts"

const never = new AbortController().signal
const SOURCE: Source = { service: "ecr", region: "eu-west-1", principal: {} }
const OTHER: Source = { ...SOURCE, region: "us-east-1" }

test("all who ask at once wait for one call and get one token", async () => {
  const { tokens, aws } = fakeWorld()
  const held = await Promise.all([1, 2, 3].map(() => tokens.get(SOURCE, never)))
  expect(aws.calls).toHaveLength(1)
  expect(new Set(held.map(({ token }) => token.password.reveal())).size).toBe(1)
})

test("an equal source that is another object shares the call", async () => {
  const { tokens, aws } = fakeWorld()
  await tokens.get(SOURCE, never)
  await tokens.get({ ...SOURCE, principal: {} }, never)
  expect(aws.calls).toHaveLength(1)
})

test("another region or identity is another call", async () => {
  const { tokens, aws } = fakeWorld()
  for (const source of [SOURCE, OTHER, { ...SOURCE, principal: { profile: "ci" } }])
    await tokens.get(source, never)
  expect(aws.calls).toHaveLength(3)
})

test("a token serves until half of its life is over, then a new one is fetched", async () => {
  const { tokens, aws, clock } = fakeWorld()
  await tokens.get(SOURCE, never)
  await clock.advance(6 * HOUR - 1)
  await tokens.get(SOURCE, never)
  expect(aws.calls).toHaveLength(1)
  await clock.advance(1)
  const { token } = await tokens.get(SOURCE, never)
  expect(aws.calls).toHaveLength(2)
  expect(token.expiresAt).toBe(START + 18 * HOUR)
})

test("past half of its life a token serves no retry, even where the interval is longer", async () => {
  const { tokens, aws, clock } = fakeWorld({ intervalMs: 10 * HOUR })
  await tokens.get(SOURCE, never)
  await clock.advance(6 * HOUR)
  await tokens.get(SOURCE, never)
  expect(aws.calls).toHaveLength(1)
  await clock.advance(1)
  await tokens.get(SOURCE, never)
  expect(aws.calls).toHaveLength(2)
})

test("a failed call is not repeated by the next who asks, until its back-off is over", async () => {
  const { tokens, aws, clock } = fakeWorld()
  aws.answer = async () => {
    throw fetchError()
  }
  for (let i = 0; i < 5; i += 1) await expect(tokens.get(SOURCE, never)).rejects.toThrow("no token today")
  expect(aws.calls).toHaveLength(1)
  await clock.advance(SECOND)
  await expect(tokens.get(SOURCE, never)).rejects.toThrow("no token today")
  expect(aws.calls).toHaveLength(2)
})

test("a failure of one source says nothing about another", async () => {
  const { tokens, aws, clock } = fakeWorld()
  aws.answer = async ({ region }) => {
    if (region === "eu-west-1") throw fetchError()
    return tokenFor(clock.now() + 12 * HOUR, region)
  }
  await tokens.get(SOURCE, never).catch(() => undefined)
  expect((await tokens.get(OTHER, never)).token.expiresAt).toBe(START + 12 * HOUR)
  expect(tokens.retryOf(OTHER)).toBeUndefined()
})

test("a success ends the back-off", async () => {
  const { tokens, aws, clock } = fakeWorld()
  const well = aws.answer
  aws.answer = async () => {
    throw fetchError()
  }
  await tokens.get(SOURCE, never).catch(() => undefined)
  expect(tokens.retryOf(SOURCE)).toBeDefined()
  aws.answer = well
  await clock.advance(SECOND)
  await tokens.get(SOURCE, never)
  expect(tokens.retryOf(SOURCE)).toBeUndefined()
})

test("after a success the next failure is backed off from like the first", async () => {
  const { tokens, aws, clock } = fakeWorld()
  const well = aws.answer
  const fail: typeof well = async () => {
    throw fetchError()
  }
  aws.answer = fail
  for (let i = 0; i < 5; i += 1) {
    await tokens.get(SOURCE, never).catch(() => undefined)
    await clock.advance(MINUTE)
  }
  aws.answer = well
  await tokens.get(SOURCE, never)
  aws.answer = fail
  await clock.advance(6 * HOUR)
  await tokens.get(SOURCE, never).catch(() => undefined)
  expect(tokens.retryOf(SOURCE)?.at).toBe(clock.now() + 500)
})

test("a call that hangs ends when its time is over", async () => {
  const { tokens, aws, clock } = fakeWorld()
  aws.answer = (_, signal) => hang(signal)
  const got = tokens.get(SOURCE, never).catch((error) => error.name)
  await clock.advance(MINUTE)
  expect(await got).toBe("TimeoutError")
})

test("a bug is no failure of AWS: it is not remembered, and the next who asks asks AWS", async () => {
  const { tokens, aws } = fakeWorld()
  const well = aws.answer
  aws.answer = (() => {
    throw new TypeError("bug")
  }) as Aws["fetchToken"]
  await expect(tokens.get(SOURCE, never)).rejects.toThrow(TypeError)
  aws.answer = well
  await tokens.get(SOURCE, never)
  expect(aws.calls).toHaveLength(2)
})

test("an interval that comes too near to expiry is told once for each token", async () => {
  const { tokens, clock, marginWins } = fakeWorld({ intervalMs: 11.5 * HOUR })
  await tokens.get(SOURCE, never)
  await tokens.get(SOURCE, never)
  expect(marginWins).toEqual([11 * HOUR])
  await clock.advance(11 * HOUR)
  await tokens.get(SOURCE, never)
  expect(marginWins).toEqual([11 * HOUR, 11 * HOUR])
})

test("a token that seems dead because the clock is ahead serves all the same, and not every question is a call", async () => {
  const { tokens, aws, clock } = fakeWorld()
  aws.answer = async () => tokenFor(clock.now() - HOUR)
  for (let i = 0; i < 10; i += 1) await tokens.get(SOURCE, never)
  expect(aws.calls).toHaveLength(1)
  await clock.advance(5 * MINUTE)
  await tokens.get(SOURCE, never)
  expect(aws.calls).toHaveLength(2)
})

test("a wall clock that was set back by a day does not keep an old token in use", async () => {
  const { tokens, aws, clock } = fakeWorld()
  await tokens.get(SOURCE, never)
  clock.jump(-24 * HOUR)
  await clock.advance(6 * HOUR)
  await tokens.get(SOURCE, never)
  expect(aws.calls).toHaveLength(2)
})

test("hours of suspend count, though uptime stood still", async () => {
  const { tokens, aws, clock } = fakeWorld()
  await tokens.get(SOURCE, never)
  clock.jump(6 * HOUR)
  await tokens.get(SOURCE, never)
  expect(aws.calls).toHaveLength(2)
})

test("what a source failed with is what all get who asked for it", async () => {
  const { tokens, aws } = fakeWorld()
  aws.answer = async () => {
    throw fetchError(false, "access-denied")
  }
  const errors = await Promise.all([1, 2].map(() => tokens.get(SOURCE, never).catch((error) => error)))
  expect(errors.every((error) => error instanceof FetchError && error.code === "access-denied")).toBe(true)
})

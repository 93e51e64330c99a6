// Reports: what people and programs read of outcomes, states and findings, and the exit code.
import { expect, test } from "bun:test"
import type { Outcome } from "../src/outcome.ts"
import {
  describeError,
  exitCodeOfOutcomes,
  exitCodeOfStatuses,
  findingsOrFailure,
  formatAllFindings,
  formatFindings,
  formatInstant,
  formatOutcomes,
  formatStatuses,
  outcomesAsJson,
  statusesAsJson,
} from "../src/report.ts"
import type { Finding } from "../src/sink.ts"
import type { TargetStatus } from "../src/status.ts"
import { makeCredential } from "./support/credentials.ts"
import { deliveryError, fetchError, HOUR, MINUTE, START } from "./support/fakes.ts"
import { credentialForms } from "./support/secrets.ts"
import { REGISTRY } from "./support/sinks.ts"

const PLAIN = { now: START, colour: false }
const about = { sink: "docker-config", target: "/x/config.json", registry: "host" }

const delivered: Outcome = { ...about, outcome: "delivered", expiresAt: START + 12 * HOUR - 1 }
const failed: Outcome = { ...about, sink: "one", outcome: "failed", error: deliveryError() }

test("a line for each outcome, and below what failed why and what to do", () => {
  const warned: Outcome = {
    ...about,
    outcome: "unchanged",
    expiresAt: START - 5 * MINUTE,
    warning: "hidden by credsStore",
  }
  expect(formatOutcomes([delivered, failed, warned], PLAIN)).toBe(
    [
      "delivered  docker-config  /x/config.json  until 2026-11-23 23:59 UTC (11h 59m)",
      "failed     one            /x/config.json",
      "           fake target: not today",
      "           hint: wait",
      "unchanged  docker-config  /x/config.json  expired 2026-11-23 11:55 UTC (5m ago)",
      "           warning: hidden by credsStore",
      "",
    ].join("\n"),
  )
})

test("colour is for the first word of a line, and only where it is welcome", () => {
  expect(formatOutcomes([delivered], { ...PLAIN, colour: true })).toStartWith(
    "\u001b[32mdelivered\u001b[0m  ",
  )
  expect(formatOutcomes([failed], { ...PLAIN, colour: true })).toStartWith("\u001b[31mfailed\u001b[0m  ")
  expect(formatOutcomes([delivered, failed], PLAIN)).not.toContain("\u001b")
})

test("what is well is green, what is not known or not so well yellow, what is not well red", () => {
  const coloured = { ...PLAIN, colour: true }
  const colourOf = (text: string) => Number(text.slice("\u001b[".length, "\u001b[32".length))
  const ofOutcome = (outcome: Outcome["outcome"]) =>
    colourOf(formatOutcomes([{ ...about, outcome }], coloured))
  const ofState = (state: TargetStatus["state"]) => colourOf(formatStatuses([{ ...about, state }], coloured))
  const ofLevel = (level: Finding["level"]) =>
    colourOf(formatAllFindings([{ level, subject: "s", message: "m" }], 1, coloured))
  const [green, yellow, red] = [32, 33, 31]
  expect((["delivered", "unchanged", "skipped", "failed"] as const).map(ofOutcome)).toEqual([
    green,
    green,
    green,
    red,
  ])
  expect((["fresh", "stale", "unknown", "expired", "missing", "unreadable"] as const).map(ofState)).toEqual([
    green,
    yellow,
    yellow,
    red,
    red,
    red,
  ])
  expect((["ok", "warning", "error"] as const).map(ofLevel)).toEqual([green, yellow, red])
})

test("outcomes for programs: every field in its place, times in UTC, null where unknown", () => {
  expect(
    JSON.parse(outcomesAsJson([delivered, failed, { ...about, outcome: "skipped", warning: "hidden" }])),
  ).toEqual({
    outcomes: [
      { ...about, outcome: "delivered", expiresAt: "2026-11-23T23:59:59.999Z" },
      {
        ...about,
        sink: "one",
        outcome: "failed",
        expiresAt: null,
        code: "unreachable",
        message: "fake target: not today",
        hint: "wait",
      },
      { ...about, outcome: "skipped", expiresAt: null, warning: "hidden" },
    ],
  })
})

test("an error of AWS and one of a sink keep code and hint; a bug says that it is one", () => {
  expect(describeError(fetchError())).toEqual({
    code: "throttled",
    message: "eu-west-1: no token today",
    hint: "wait",
  })
  expect(describeError(deliveryError()).code).toBe("unreachable")
  expect(describeError(new TypeError("x is not a function"))).toMatchObject({
    code: "bug",
    message: "unexpected: TypeError: x is not a function",
    hint: expect.stringContaining("report"),
  })
  expect(describeError("thrown text").message).toBe("unexpected: thrown text")
})

test("only a failure makes a refresh end with 1", () => {
  expect(
    exitCodeOfOutcomes([delivered, { ...about, outcome: "unchanged" }, { ...about, outcome: "skipped" }]),
  ).toBe(0)
  expect(exitCodeOfOutcomes([delivered, failed])).toBe(1)
  expect(exitCodeOfOutcomes([])).toBe(0)
})

test.each(["stale", "expired", "missing", "unreadable"] as const)(
  "a target that is %s makes status end with 1",
  (state) => {
    expect(
      exitCodeOfStatuses([
        { ...about, state: "fresh" },
        { ...about, state },
      ]),
    ).toBe(1)
  },
)

test("fresh and unknown are well", () => {
  expect(
    exitCodeOfStatuses([
      { ...about, state: "fresh" },
      { ...about, state: "unknown" },
    ]),
  ).toBe(0)
})

const statuses: readonly TargetStatus[] = [
  { ...about, state: "fresh", expiresAt: START + 6 * HOUR, remainingMs: 6 * HOUR - 1 },
  { ...about, state: "missing", hint: "`ecrelay refresh` writes it" },
]

test("states for people and for programs", () => {
  expect(formatStatuses(statuses, PLAIN)).toBe(
    [
      "fresh    docker-config  /x/config.json  until 2026-11-23 18:00 UTC (6h)",
      "missing  docker-config  /x/config.json",
      "         hint: `ecrelay refresh` writes it",
      "",
    ].join("\n"),
  )
  expect(JSON.parse(statusesAsJson(statuses))).toEqual({
    targets: [
      { ...about, state: "fresh", expiresAt: "2026-11-23T18:00:00.000Z", remainingSeconds: 21_599 },
      {
        ...about,
        state: "missing",
        expiresAt: null,
        remainingSeconds: null,
        hint: "`ecrelay refresh` writes it",
      },
    ],
  })
})

test("findings tell what is wrong and the fix, and are silent about what is right", () => {
  const text = formatFindings(
    [
      { level: "ok", subject: "/x", message: "can be written" },
      { level: "error", subject: "/y", message: "is read-only", fix: "mount it writable" },
    ],
    PLAIN,
  )
  expect(text).toBe("error  /y  is read-only\n       fix: mount it writable\n")
})

test("what is found of many alike is said once, and counted at the end", () => {
  const many = (level: "ok" | "error", message: string) =>
    [1, 2, 3, 4, 5].map(
      (n): Finding => ({ level, subject: `/${n}`, message, ...(level === "ok" ? {} : { fix: "free it" }) }),
    )
  const other: Finding = { level: "warning", subject: "clock", message: "is late", fix: "set it" }
  expect(formatAllFindings([...many("ok", "is well"), other, ...many("error", "is full")], 10, PLAIN)).toBe(
    [
      "error    /1",
      "         /2",
      "         /3",
      "         and 2 more",
      "         is full",
      "         fix: free it",
      "warning  clock",
      "         is late",
      "         fix: set it",
      "ok       /1 and 4 more  is well",
      "",
      "5 errors to fix, 1 warning; nothing was changed",
      "",
    ].join("\n"),
  )
})

test("where nothing is to be mended it says how many targets would be delivered", () => {
  const well: Finding = { level: "ok", subject: "/x", message: "is well" }
  expect(formatAllFindings([well], 1, PLAIN)).toBe(
    "ok  /x  is well\n\n1 target would be delivered; nothing was changed\n",
  )
})

test("a check that fails is a finding too", async () => {
  expect(await findingsOrFailure(() => Promise.reject(deliveryError()), "docker-config")).toEqual([
    {
      level: "error",
      code: "unreachable",
      subject: "docker-config",
      message: "fake target: not today",
      fix: "wait",
    },
  ])
  expect(
    await findingsOrFailure(async () => [{ level: "ok", subject: "s", message: "m" }], "x"),
  ).toHaveLength(1)
})

test("instants read without seconds, in UTC", () => {
  expect(formatInstant(START + 59_999)).toBe("2026-11-23 12:00 UTC")
})

test("no report shows a secret, even of an error that carries one in its cause", () => {
  const credential = makeCredential({ registry: REGISTRY, expiresAt: START })
  const error = Object.assign(deliveryError(), { cause: { credential, text: credential.password.reveal() } })
  const outcomes: readonly Outcome[] = [{ ...about, outcome: "failed", error }]
  const shown = formatOutcomes(outcomes, PLAIN) + outcomesAsJson(outcomes)
  for (const form of credentialForms(credential)) expect(shown).not.toContain(form)
})

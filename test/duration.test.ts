// Durations: a number and a unit, read and written; a bare number never passes.
import { expect, test } from "bun:test"
import fc from "fast-check"
import { exactDuration, formatDuration, parseDuration } from "../src/duration.ts"
import { DAY, HOUR, MINUTE } from "./support/fakes.ts"

test.each([
  ["90s", 90_000],
  ["30m", 30 * MINUTE],
  ["6h", 6 * HOUR],
  ["1h30m", 90 * MINUTE],
  ["1.5h", 90 * MINUTE],
  ["250ms", 250],
  ["1m1ms", MINUTE + 1],
  ["2d", 2 * DAY],
  ["0s", 0],
] as const)("%s is %p ms", (text, durationMs) => {
  expect(parseDuration(text)).toBe(durationMs)
})

test.each([
  "",
  "6",
  "6 h",
  " 6h",
  "6h ",
  "6H",
  "-6h",
  "+6h",
  "h",
  "6h30",
  ".5h",
  "1.h",
  "1e3s",
  "six hours",
  "6min",
  "٦h",
  "6h\n",
])("%p is no duration", (text) => {
  expect(parseDuration(text)).toBeUndefined()
})

test("no text makes it throw, or come to anything but a span of time", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[\d.hms ]{0,12}$/)), (text) => {
      const durationMs = parseDuration(text)
      expect(durationMs === undefined || durationMs >= 0).toBe(true)
    }),
  )
})

test("what is written exactly is read back as it was", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100 * DAY }), (durationMs) => {
      expect(parseDuration(exactDuration(durationMs))).toBe(durationMs)
    }),
  )
})

test.each([
  [12 * HOUR - 1, "11h 59m"],
  [12 * HOUR, "12h"],
  [4 * MINUTE + 30_000, "4m 30s"],
  [12_000, "12s"],
  [999, "999ms"],
  [0, "0ms"],
  [-5, "0ms"],
  [DAY + MINUTE, "1d"],
  [3 * DAY + 2 * HOUR + MINUTE, "3d 2h"],
  [HOUR + 1000, "1h"],
] as const)("%p ms reads %p", (durationMs, text) => {
  expect(formatDuration(durationMs)).toBe(text)
})

test("what people read never promises more than there is", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1000, max: 100 * DAY }), (durationMs) => {
      const read = parseDuration(formatDuration(durationMs).replace(" ", ""))
      expect(read).toBeDefined()
      expect(read ?? 0).toBeLessThanOrEqual(durationMs)
    }),
  )
})

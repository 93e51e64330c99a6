// Log lines: one line an event, for people or for machines, from a level on.
import { expect, test } from "bun:test"
import { createLog } from "../src/log.ts"
import { START } from "./support/fakes.ts"

function linesOf(level: "debug" | "info" | "warn" | "error", format: "text" | "json") {
  const lines: string[] = []
  return { lines, log: createLog({ level, format }, { now: () => START }, (line) => lines.push(line)) }
}

test("a line for people has time, level and message, and the hint below", () => {
  const { log, lines } = linesOf("info", "text")
  log("warn", "docker-config: not today", { code: "x", hint: "wait" })
  log("info", "ready")
  expect(lines).toEqual([
    `2026-11-23T12:00:00.000Z warn  docker-config: not today\n${" ".repeat(31)}hint: wait\n`,
    "2026-11-23T12:00:00.000Z info  ready\n",
  ])
})

test("a line for machines is one JSON object, whatever the message holds", () => {
  const { log, lines } = linesOf("info", "json")
  log("error", 'two\nlines and a "quote"', { target: "t", expiresAt: undefined })
  expect(lines[0]?.trimEnd()).not.toContain("\n")
  expect(JSON.parse(lines[0] ?? "")).toEqual({
    time: "2026-11-23T12:00:00.000Z",
    level: "error",
    message: 'two\nlines and a "quote"',
    target: "t",
  })
})

test("what matters less than the level is not written", () => {
  const { log, lines } = linesOf("warn", "text")
  for (const level of ["debug", "info", "warn", "error"] as const) log(level, level)
  expect(lines.map((line) => line.trimEnd().split(" ").at(-1))).toEqual(["warn", "error"])
})

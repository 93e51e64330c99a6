// Settings: each stands once, as flag, variable and key, and the right word is offered for a wrong one.
import { expect, test } from "bun:test"
import fc from "fast-check"
import { nearestWord } from "../src/nearest-word.ts"
import { COMMANDS, flagOf, misspeltVariables, SETTINGS, settingsFromEnvironment } from "../src/settings.ts"

test("every setting has one key and one flag of its own, and belongs to a command", () => {
  for (const name of [({ key }: (typeof SETTINGS)[number]) => key, flagOf])
    expect(new Set(SETTINGS.map(name)).size).toBe(SETTINGS.length)
  for (const { commands, description } of SETTINGS) {
    expect(commands.length).toBeGreaterThan(0)
    expect(commands.every((command) => COMMANDS.includes(command))).toBe(true)
    expect(description).toMatch(/^[A-Z].*[^.]$/)
  }
  expect(flagOf({ key: "min_remaining", description: "", commands: [] })).toBe("--min-remaining")
})

test("a variable gives its setting; one that is empty or blank gives none", () => {
  const given = settingsFromEnvironment({
    ECRELAY_PROFILE: " ci ",
    ECRELAY_TIMEOUT: "",
    ECRELAY_OUTPUT: "  ",
    PROFILE: "no",
  })
  expect([...given]).toEqual([["profile", { from: "ECRELAY_PROFILE", texts: ["ci"] }]])
})

test("a variable of a repeatable setting holds one value a line", () => {
  const given = settingsFromEnvironment({ ECRELAY_SINK: "docker-config\n\n  airflow-db,conn_id=x \r\n" })
  expect(given.get("sink")?.texts).toEqual(["docker-config", "airflow-db,conn_id=x"])
})

test.each([
  ["refrsh", "refresh"],
  ["stauts", "status"],
  ["SINKS", "sinks"],
  ["sta", "status"],
  ["docker", "docker-config"],
  ["re", undefined],
  ["banana", undefined],
  ["", undefined],
] as const)("%p was meant to be %p", (text, word) => {
  expect(nearestWord(text, [...COMMANDS, "docker-config"])).toBe(word as string)
})

test("a beginning that fits two words offers neither for its beginning", () => {
  expect(nearestWord("aws-s", ["aws-ssm", "aws-secrets-manager"])).toBe("aws-ssm")
  expect(nearestWord("aws", ["aws-ssm-one", "aws-secrets-manager"])).toBeUndefined()
})

test("any word is its own nearest", () => {
  fc.assert(
    fc.property(fc.constantFrom(...SETTINGS.map(flagOf)), (flag) =>
      expect(nearestWord(flag, SETTINGS.map(flagOf))).toBe(flag),
    ),
  )
})

test("a variable that is nearly one of ours is told from somebody's own", () => {
  const env = {
    ECRELAY_INTERVALL: "6h",
    ecrelay_sink: "stdout",
    ECRELAY_PROF: "ci",
    ECRELAY_SINK: "docker-config",
    ECRELAY_DATABASE_PASSWORD: "for env:",
    ECRELAYSINK: "x",
    PATH: "/bin",
  }
  expect(misspeltVariables(env)).toEqual([
    { name: "ECRELAY_INTERVALL", meant: "ECRELAY_INTERVAL" },
    { name: "ecrelay_sink", meant: "ECRELAY_SINK" },
    { name: "ECRELAY_PROF", meant: "ECRELAY_PROFILE" },
  ])
})

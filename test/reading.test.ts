// Reading settings: the strongest of flag, variable and file, and every problem gathered with the place it stands at.
import { expect, test } from "bun:test"
import {
  isHttpUrl,
  readDuration,
  readSettings,
  readSwitch,
  readTables,
  readUrl,
  readWord,
} from "../src/reading.ts"

const given = (from: string, settings: Readonly<Record<string, string>>) =>
  new Map(Object.entries(settings).map(([key, text]) => [key, { from, texts: [text] }]))

function readingOf(
  flags: Record<string, string>,
  variables: Record<string, string> = {},
  tables?: Record<string, unknown>,
) {
  return readSettings(
    given("flag", flags),
    given("VARIABLE", variables),
    tables && { path: "c.toml", tables },
  )
}

const issuesOf = ({ issues }: ReturnType<typeof readSettings>) =>
  issues.map(({ path, message }) => `${path}: ${message}`)

test("a flag beats a variable, a variable beats the file", () => {
  const from = (key: string) =>
    readingOf(
      { profile: "a" },
      { profile: "b", timeout: "1s" },
      { profile: "c", timeout: "2s", interval: "3h" },
    ).texts(key)
  expect(from("profile")).toEqual({ from: "flag", texts: ["a"] })
  expect(from("timeout")).toEqual({ from: "VARIABLE", texts: ["1s"] })
  expect(from("interval")).toEqual({ from: "c.toml: interval", texts: ["3h"] })
  expect(from("region")).toBeUndefined()
})

test("a repeatable key of the file may be one text or a list", () => {
  expect(readingOf({}, {}, { region: "a" }).texts("region")?.texts).toEqual(["a"])
  expect(readingOf({}, {}, { region: ["a", "b"] }).texts("region")?.texts).toEqual(["a", "b"])
})

test("every key that the file has too much is told", () => {
  const reading = readingOf(
    {},
    {},
    {
      intervall: "6h",
      banana: 1,
      dry_run: "true",
      timeout: 5,
      profile: ["a"],
      region: [1],
      sink: [],
      registry: [],
    },
  )
  expect(issuesOf(reading)).toEqual([
    "c.toml: intervall: unknown key; did you mean interval?",
    "c.toml: banana: unknown key",
    "c.toml: dry_run: unknown key; --dry-run is a flag only",
    "c.toml: timeout: must be a string in quotes",
    "c.toml: profile: must be a string in quotes",
    "c.toml: region: must be a string in quotes or a list of them",
  ])
})

test.each([
  ["6h", 21_600_000, []],
  ["0", undefined, ["flag: 0 is zero; write 90s, 30m or 6h"]],
  ["6", undefined, ["flag: 6 has no unit; write 6s, 6m or 6h"]],
  ["0s", undefined, ["flag: 0s is zero; write 90s, 30m or 6h"]],
  ["-5m", undefined, ['flag: "-5m" is not a duration; write 90s, 30m or 6h']],
  ["six", undefined, ['flag: "six" is not a duration; write 90s, 30m or 6h']],
] as const)("the duration %s", (text, durationMs, issues) => {
  const reading = readingOf({ interval: text })
  expect(readDuration(reading, "interval")).toBe(durationMs as number)
  expect(issuesOf(reading)).toEqual([...issues])
})

test("a word must be one of those that there are", () => {
  const reading = readingOf({ output: "xml", log_level: "warn" })
  expect(readWord(reading, "output", ["text", "json"])).toBeUndefined()
  expect(readWord(reading, "log_level", ["info", "warn"])).toBe("warn")
  expect(issuesOf(reading)).toEqual(['flag: "xml" is not one of text, json'])
})

test("a switch is on for whatever means yes, and anything unclear is refused", () => {
  const on = (text: string) => readSwitch(readingOf({ dry_run: text }), "dry_run")
  expect(["true", "1", "yes", "false", "0", "no"].map(on)).toEqual([true, true, true, false, false, false])
  const unclear = readingOf({}, { dry_run: "perhaps" })
  readSwitch(unclear, "dry_run")
  expect(issuesOf(unclear)).toHaveLength(1)
  expect(readSwitch(readingOf({}), "dry_run")).toBe(false)
})

test.each(["https://ecr.example", "http://127.0.0.1:4566/path"])("%s is a URL", (text) => {
  expect(isHttpUrl(text)).toBe(true)
})

test.each([
  "ecr.example",
  "ftp://ecr.example",
  "//ecr.example",
  "",
  "https://",
  "https://u:hunter2@ecr.example",
  "https://u@ecr.example",
])("%p is no URL that is taken, and is not quoted", (text) => {
  const reading = readingOf({ endpoint_url: text })
  expect(isHttpUrl(text)).toBe(false)
  readUrl(reading, "endpoint_url")
  for (const issue of issuesOf(reading)) expect(issue).not.toContain("hunter2")
})

test("a list of tables is a list of tables", () => {
  const file = { path: "c.toml", tables: { sink: [{ type: "a" }], registry: "x", airflow: ["x"] } }
  const reading = readSettings(new Map(), new Map(), file)
  expect(readTables(reading, file, "sink")).toEqual([{ type: "a" }])
  expect(readTables(reading, file, "nothing")).toEqual([])
  for (const key of ["registry", "airflow"]) expect(readTables(reading, file, key)).toEqual([])
  expect(issuesOf(reading)).toEqual([
    "c.toml: registry: is a table of its own: write [[registry]]",
    "c.toml: airflow: is a table of its own: write [[airflow]]",
  ])
})

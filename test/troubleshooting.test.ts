// The README's troubleshooting table is true: each text in it is said by the program when it runs into the very fault,
// and each fault that is made here has its row.
import { beforeAll, describe, expect, test } from "bun:test"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { binary } from "./support/binary.ts"
import { airflowCases } from "./troubleshooting/airflow.ts"
import { awsCases } from "./troubleshooting/aws.ts"
import { databaseCases } from "./troubleshooting/databases.ts"
import { type Case, openLab } from "./troubleshooting/lab.ts"
import { machineCases } from "./troubleshooting/machine.ts"
import { settingsCases } from "./troubleshooting/settings.ts"
import { storeCases } from "./troubleshooting/stores.ts"

const CASES: readonly Case[] = [
  ...awsCases,
  ...settingsCases,
  ...databaseCases,
  ...airflowCases,
  ...storeCases,
  ...machineCases,
]

const readme = await readFile(join(import.meta.dir, "../README.md"), "utf8")
const [, table = ""] = /## Troubleshooting\n(.*?)\n## /s.exec(readme) ?? []
const rows = table.split("\n").filter((line) => line.startsWith("| `"))
/** What another program says: the row names it behind the text. */
const FOREIGN = /^\| `[^`]+` from \w+ \|/
const texts = rows.filter((row) => !FOREIGN.test(row)).map((row) => /^\| `([^`]+)` \|/.exec(row)?.[1] ?? row)

beforeAll(async () => {
  await binary()
}, 60_000)

describe("what the README explains is what the program says", () => {
  for (const { text, fault, lack, make } of CASES) {
    const name = `"${text}": ${fault}`
    if (lack !== undefined) {
      console.warn(`skipped: ${name}: ${lack}`)
      test.skip(`${name} (${lack})`, () => undefined)
      continue
    }
    test(name, async () => {
      await using lab = openLab()
      expect(await make(lab)).toContain(text)
    }, 30_000)
  }
})

test("every row of the troubleshooting table has a case that makes the program say it", () => {
  const known = new Set(CASES.map(({ text }) => text))
  const unproven = texts
    .filter((text) => !known.has(text))
    .map(
      (text) =>
        `README explains \`${text}\`, which nothing produces: add { text, fault, make } to a file in test/troubleshooting/, where make runs the program into that fault and returns what it said`,
    )
  expect(texts.length).toBeGreaterThan(20)
  expect(unproven).toEqual([])
})

test("every case has its row in the troubleshooting table", () => {
  const unexplained = CASES.filter(({ text }) => !texts.includes(text)).map(
    ({ text, fault }) =>
      `the program says \`${text}\` (${fault}), which README.md does not explain: add a row | \`${text}\` | it means | do | under Troubleshooting, or remove the case`,
  )
  expect(unexplained).toEqual([])
})

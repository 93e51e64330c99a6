// The README's table of real Airflow: what it says is read back as it was written, and saying more than was proven shows.
import { describe, expect, test } from "bun:test"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import {
  formatTable,
  type Proof,
  parseTable,
  replaceTable,
  unprovenClaims,
} from "../scripts/compatibility.ts"

const readme = await readFile(join(import.meta.dir, "../README.md"), "utf8")
const claims = parseTable(readme)
const everything = () => true

test("the table of the README is as the script writes it", () => {
  expect(claims.length).toBeGreaterThan(20)
  expect(replaceTable(readme, formatTable(claims))).toBe(readme)
})

test("a table says what was proven, release by release, and is read back", () => {
  const proofs: readonly Proof[] = [
    { release: "1.10.15", place: "mariadb", how: "read" },
    { release: "3.3.2", place: "rest", how: "login" },
    { release: "3.3.2", place: "rest", how: "expiry" },
  ]
  const table = formatTable(proofs)
  expect(table.split("\n")[2]).toBe("| 3.3.2 | – | pulled, token expired |")
  expect(new Set(parseTable(replaceTable(readme, table)))).toEqual(new Set(proofs))
})

describe("what the README says", () => {
  const first = claims[0] as Proof

  test("is too much where nobody proved it", () => {
    expect(unprovenClaims(claims, claims, everything)).toEqual([])
    expect(unprovenClaims(claims, claims.slice(1), everything)).toEqual([
      `Airflow ${first.release}, SQLite: read`,
    ])
  })

  test("is not looked at where what it needs is not there", () => {
    const withoutMysql = claims.filter(({ place }) => place !== "mysql")
    expect(unprovenClaims(claims, withoutMysql, everything)).not.toEqual([])
    expect(unprovenClaims(claims, withoutMysql, (service) => service !== "mysql")).toEqual([])
    expect(unprovenClaims(claims, [], (service) => !service.startsWith("airflow"))).toEqual([])
  })

  test("is too much of a release that no test runs, whatever is there", () => {
    const stranger: Proof = { release: "4.0.0", place: "sqlite", how: "read" }
    expect(unprovenClaims([stranger], claims, () => false)).toEqual(["Airflow 4.0.0, SQLite: read"])
  })

  test("is refused in words that are no proof", () => {
    const boast = readme.replace("| 1.10.15 | read |", "| 1.10.15 | works perfectly |")
    expect(() => parseTable(boast)).toThrow("works perfectly, which no test proves")
  })
})

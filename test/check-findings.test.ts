// The books of the doctor: every code that the sources give to a failure or a finding is either made, found and mended by
// one of the check tests, or stands here with the test that makes it or the reason why `check` cannot come to it. Whoever
// adds one adds its case, and whoever takes one away clears up here.
import { expect, test } from "bun:test"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"

const ROOT = join(import.meta.dir, "..")

/** Made elsewhere: the file, and the words by which it is known there. */
const ELSEWHERE: Readonly<Record<string, readonly [file: string, words: string]>> = {
  "answer-too-long": ["sinks/exec-command.test.ts", '"answer-too-long"'],
  "command-found": ["sinks/exec-command.test.ts", '"command-found"'],
  "command-answered": ["sinks/exec-command.test.ts", '"command-answered"'],
  "database-error": ["sinks/airflow-db-servers.test.ts", '"database-error"'],
  "login-method": ["sinks/airflow-db-mysql.test.ts", '"login-method"'],
  "no-environment": ["sinks/airflow-rest-mwaa.test.ts", '"no-environment"'],
  "no-region": ["aws-client.test.ts", '"no-region"'],
  "not-mwaa": ["sinks/airflow-rest-mwaa.test.ts", '"not-mwaa"'],
  owner: ["sinks/file-access.test.ts", '"owner"'],
  stopped: ["sink-call.test.ts", '"stopped"'],
  "tls-unavailable": ["airflow/tls.test.ts", '"tls-unavailable"'],
  "tls-version": ["airflow/tls-servers.test.ts", '"tls-version"'],
  "tls-wrong-host": ["airflow/tls-servers.test.ts", '"tls-wrong-host"'],
  unreadable: ["sinks/aws-shared-slot.test.ts", '"unreadable"'],
}

/** Not to be had from `check`, which writes nothing, and why. */
const NOT_IN_CHECK: Readonly<Record<string, string>> = {
  ...because("what a write comes to", [
    ...[
      "changed-meanwhile",
      "created-meanwhile",
      "contended",
      "lock-lost",
      "no-new-files",
      "no-space",
      "mode",
      "not-applied",
      "password-form",
    ],
    ...["packet-too-small", "rejected", "unexpected-answer", "invalid", "conflict", "too-long", "kms-key"],
    ...["allowed-pattern", "parameter-limit", "parameter-type", "version-limit", "secret-limit", "deleted"],
  ]),
  ...because("of a delivery", ["duplicate-target", "no-account", "probe-refused", "stdout-closed"]),
  ...because("of --aws-conn-id, whose own tests have them", [
    ...["connection-ambiguous", "connection-invalid", "connection-missing"],
  ]),
  ...because("a reference that a sink gives its own words", ["secret-missing"]),
  ...because("no person can bring it about", ["bug", "command-not-started"]),
}

function because(why: string, codes: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(codes.map((code) => [code, why]))
}

async function textsIn(folder: string, wanted: (name: string) => boolean): Promise<readonly string[]> {
  const names = (await readdir(join(ROOT, folder), { recursive: true })).filter(wanted)
  return Promise.all(names.map((name) => readFile(join(ROOT, folder, name), "utf8")))
}

const codesIn = (texts: readonly string[], pattern: RegExp): ReadonlySet<string> =>
  new Set(texts.flatMap((text) => [...text.matchAll(pattern)].map(([, code = ""]) => code)))

const sources = (
  await Promise.all(["src", "sinks"].map((one) => textsIn(one, (name) => name.endsWith(".ts"))))
).flat()
const produced = codesIn(sources, /(?:\bcode:|\bwarning\()\s*"([a-z][a-z-]*)"/g)
const cases = await textsIn(
  "test",
  (name) => /^check-\w+\.test\.ts$/.test(name) && name !== "check-findings.test.ts",
)
const proven = codesIn(cases, /\bcode: "([a-z-]+)"/g)

test("every code has a case, or a place where it stands", () => {
  const known = new Set([...proven, ...Object.keys(ELSEWHERE), ...Object.keys(NOT_IN_CHECK)])
  const homeless = [...produced].filter((code) => !known.has(code)).sort()
  const wayOut = "needs a case in test/check-*.test.ts, or a row under ELSEWHERE or NOT_IN_CHECK here"
  expect(homeless.map((code) => `${code} ${wayOut}`)).toEqual([])
})

test("no case and no place is for a code that nothing produces, and none has two", () => {
  const listed = [...proven, ...Object.keys(ELSEWHERE), ...Object.keys(NOT_IN_CHECK)]
  expect(listed.filter((code) => !produced.has(code)).sort()).toEqual([])
  expect(listed.filter((code, i) => listed.indexOf(code) !== i)).toEqual([])
})

test.each(Object.entries(ELSEWHERE))("%s is made elsewhere", async (_, [file, words]) => {
  expect((await readFile(join(ROOT, "test", file), "utf8")).includes(words)).toBe(true)
})

test("whatever is found and not well has a code and a fix", () => {
  const findings = sources.flatMap((text) => text.match(/\{[^{}]*level: "(?:warning|error)"[^{}]*\}/g) ?? [])
  expect(findings.length).toBeGreaterThan(5)
  // What is spread into one has both: it is made of an error, or is a finding itself.
  const whole = (one: string) => one.includes("...") || (/\bcode\b/.test(one) && /\bfix\b/.test(one))
  expect(findings.filter((one) => !whole(one))).toEqual([])
})

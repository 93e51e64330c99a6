// The units: what systemd itself says of them, and that what a person gives stands in them as it is.
import { expect, test } from "bun:test"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { formatUnits, type UnitOptions } from "../src/units.ts"

const OPTIONS: UnitOptions = {
  name: "ecrelay",
  program: ["/usr/bin/ecrelay"],
  timer: false,
  settled: [],
  manager: { kind: "system", user: "root" },
  environment: { HOME: "/root" },
  environmentFile: "/etc/ecrelay/environment",
  credentials: [],
  writable: ["/root/.docker"],
}

const VARIANTS: Readonly<Record<string, UnitOptions>> = {
  "a service of root's": OPTIONS,
  "a service of a user's": {
    ...OPTIONS,
    manager: { kind: "system", user: "daemon" },
    credentials: ["fernet"],
    environment: { HOME: "/home/me", AWS_PROFILE: "ecr" },
  },
  "a service that runs other programs": { ...OPTIONS, writable: "anywhere" },
  "a service with folders in /run": {
    ...OPTIONS,
    runtime: { names: ["ecrelay", "containers"], mode: 0o700 },
  },
  "a timer": { ...OPTIONS, timer: true },
  "a timer that runs other programs": { ...OPTIONS, timer: true, writable: "anywhere" },
  "a user's own service": { ...OPTIONS, manager: { kind: "user" } },
  "a user's own timer": { ...OPTIONS, manager: { kind: "user" }, timer: true },
}

const systemdAnalyze = Bun.which("systemd-analyze")
if (!systemdAnalyze) console.log("skipped: what systemd-analyze says of the units: it is not installed")

/** Runs systemd-analyze on the units of a variant, with a program that exists. */
async function analyze(options: UnitOptions, ends: string, ...argv: readonly string[]) {
  const folder = await mkdtemp(join(tmpdir(), "units-"))
  try {
    const units = formatUnits({ ...options, program: ["/bin/true"] })
    for (const { name, text } of units) await writeFile(join(folder, name), text)
    const child = Bun.spawnSync(
      [
        systemdAnalyze ?? "",
        ...argv,
        ...units.filter(({ name }) => name.endsWith(ends)).map(({ name }) => join(folder, name)),
      ],
      { env: { PATH: process.env.PATH, XDG_RUNTIME_DIR: folder, SYSTEMD_UNIT_PATH: `${folder}:` } },
    )
    return { said: `${child.stdout}${child.stderr}`.replaceAll(`${folder}/`, ""), code: child.exitCode }
  } finally {
    await rm(folder, { recursive: true })
  }
}

test.skipIf(!systemdAnalyze).each(Object.entries(VARIANTS))(
  "systemd finds nothing wrong with %s",
  async (_, options) => {
    const manager = options.manager.kind === "user" ? "--user" : "--system"
    expect(await analyze(options, "", "verify", "--man=no", "--recursive-errors=no", manager)).toEqual({
      said: "",
      code: 0,
    })
  },
)

test("what a sink runs may compile while it runs, as node does", () => {
  for (const kind of ["system", "user"] as const)
    for (const writable of ["anywhere", "unknown"] as const) {
      const manager = kind === "user" ? { kind } : { kind, user: "root" }
      const [, service] = formatUnits({ ...OPTIONS, timer: true, manager, writable })
      expect(service?.text).toMatch(/^# MemoryDenyWriteExecute= is left out: /m)
      expect(service?.text).not.toMatch(/^MemoryDenyWriteExecute=/m)
    }
  const [, service] = formatUnits({ ...OPTIONS, timer: true })
  expect(service?.text).toMatch(/^MemoryDenyWriteExecute=yes$/m)
})

// systemd's own measure: 10 is no protection at all, below 5 counts as OK.
test.skipIf(!systemdAnalyze).each([
  ["a service of root's", 2.5],
  ["a service of a user's", 1.8],
  ["a timer", 2.5],
  ["a service that runs other programs", 2.6],
] as const)("the exposure of %s stays below %p", async (name, most) => {
  const { said } = await analyze(
    VARIANTS[name] as UnitOptions,
    ".service",
    "security",
    "--offline=yes",
    "--no-pager",
  )
  const exposures = [...said.matchAll(/exposure level for .*?: ([\d.]+)/g)].map(([, level]) => Number(level))
  console.log(`${name}: exposure ${exposures.join(", ")}`)
  expect(exposures.length).toBeGreaterThan(0)
  expect(Math.max(...exposures)).toBeLessThan(most)
})

test("whatever stands in a path or a variable, systemd reads it as it is", () => {
  const unit = fc.oneof(fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 1 }), fc.constant("\n"))
  const text = fc.string({ unit, minLength: 1 }).filter((one) => !/^\s|\s$/.test(one))
  fc.assert(
    fc.property(text, text, (path, value) => {
      const [unit] = formatUnits({
        ...OPTIONS,
        program: [`/opt/${path}`],
        environment: { VALUE: value },
      })
      const line = (key: string) =>
        unit?.text
          .split("\n")
          .find((one) => one.startsWith(`${key}=`))
          ?.slice(key.length + 1) ?? ""
      const [program = "", ...argv] = wordsOf(line("ExecStart"))
      expect([program.replaceAll("$$", "$"), ...argv]).toEqual([`/opt/${path}`, "run"])
      expect(wordsOf(line("Environment"))).toEqual([`VALUE=${value}`])
    }),
  )
})

// systemd.syntax(7), as far as it concerns words with and without quotes.
function wordsOf(text: string): readonly string[] {
  const word = /(?:"((?:[^"\\]|\\.)*)"|([^\s"'\\]+))(?: |$)/gy
  const words: string[] = []
  while (word.lastIndex < text.length) {
    const [, inQuotes, bare = ""] = word.exec(text) ?? []
    if (word.lastIndex === 0) throw new Error(`no words: ${text}`)
    words.push(inQuotes?.replaceAll(/\\(.)/g, (_, one) => (one === "n" ? "\n" : one)) ?? bare)
  }
  return words.map((one) => one.replaceAll("%%", "%"))
}

test("homes are closed to writing but for the folders of the sinks, unless a home itself has to be written", () => {
  const textOf = (...writable: readonly string[]) => formatUnits({ ...OPTIONS, writable })[0]?.text
  for (const folder of ["/root/.docker", "/home/me/.docker", "/homes"])
    expect(textOf(folder)).toContain(`\nProtectHome=read-only\nReadWritePaths=${folder}\n`)
  for (const folder of ["/root", "/home"])
    expect(textOf("/etc/x", folder)).toMatch(/^# ProtectHome= is left out: /m)
})

test("every line that is left out has its reason beside it", () => {
  for (const options of Object.values(VARIANTS))
    for (const { text } of formatUnits(options))
      for (const line of text.split("\n").filter((one) => one.includes("left out")))
        expect(line).toMatch(/^# .*: .+/)
})

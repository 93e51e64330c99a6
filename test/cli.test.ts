// The command line: argv as people type it becomes a command and texts, or one clear complaint.
import { expect, test } from "bun:test"
import fc from "fast-check"
import { quoted } from "../src/argv.ts"
import { type Invocation, parseArguments } from "../src/cli.ts"
import { ConfigError } from "../src/errors.ts"
import { COMMANDS, flagOf, SETTINGS } from "../src/settings.ts"

const THERE_ARE = `(commands: ${COMMANDS.join(", ")})`
const commandsWith = (key: string) => SETTINGS.find((one) => one.key === key)?.commands.join(", ")

/** What a command line comes to: `refresh sink=docker-config`. */
function readAs(...argv: readonly string[]): string {
  const invocation = parse(argv)
  if (!("given" in invocation)) return invocation.command
  const { command, given, args } = invocation
  return [command, ...[...given].map(([key, { texts }]) => `${key}=${texts.join("|")}`), ...args].join(" ")
}

function parse(argv: readonly string[]): Invocation {
  const log = console.info
  console.info = () => undefined
  try {
    return parseArguments(argv, "1.2.3")
  } finally {
    console.info = log
  }
}

function complaintOf(...argv: readonly string[]): string {
  try {
    parse(argv)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  throw new Error(`${argv.join(" ")} was accepted`)
}

test("flags alone are refresh, and run where there is an interval", () => {
  expect(readAs("--sink", "docker-config")).toBe("refresh sink=docker-config")
  expect(readAs("--sink", "docker-config", "--interval", "6h")).toBe("run sink=docker-config interval=6h")
  expect(readAs("--sink=docker-config", "--interval=6h")).toBe("run sink=docker-config interval=6h")
  expect(readAs("--dry-run", "--sink", "docker-config")).toBe("refresh sink=docker-config dry_run=true")
})

test("a command may stand before or after its flags", () => {
  expect(readAs("status", "--profile", "ci")).toBe("status profile=ci")
  expect(readAs("--profile", "ci", "status")).toBe("status profile=ci")
  expect(readAs("--profile=ci", "status", "--sink", "docker-config")).toBe(
    "status sink=docker-config profile=ci",
  )
})

test("a value that is a command's name stays a value", () => {
  expect(readAs("--profile", "run", "--sink", "docker-config")).toBe("refresh sink=docker-config profile=run")
})

test("nothing at all, help and version", () => {
  expect(readAs()).toBe("nothing")
  for (const argv of [
    ["--help"],
    ["-h"],
    ["help"],
    ["run", "--help"],
    ["help", "run"],
    ["--sink", "x", "--help"],
  ])
    expect(readAs(...argv)).toBe("help")
  for (const argv of [["--version"], ["-v"], ["version"], ["status", "--version"]])
    expect(readAs(...argv)).toBe("version")
})

test("what looks like a number stays as it was typed", () => {
  expect(readAs("--registry", "012345678901")).toBe("refresh registry=012345678901")
  expect(readAs("--profile=007", "--external-id", "0x10")).toBe("refresh profile=007 external_id=0x10")
  expect(readAs("--profile", "1e3", "--role-arn", "  ")).toBe("refresh profile=1e3 role_arn=  ")
  expect(readAs("--profile", "true")).toBe("refresh profile=true")
})

test("whatever a value is, it arrives as it was typed", () => {
  const value = fc.string({ minLength: 1, unit: "grapheme" }).filter((text) => !text.startsWith("-"))
  fc.assert(
    fc.property(value, fc.boolean(), (text, joined) => {
      const invocation = parse(joined ? ["refresh", `--profile=${text}`] : ["refresh", "--profile", text])
      expect("given" in invocation && invocation.given.get("profile")?.texts).toEqual([text])
    }),
  )
})

test("a flag that may be repeated keeps all its values, in order", () => {
  expect(readAs("--sink", "a", "--region", "r", "--sink", "b,c=d")).toBe("refresh sink=a|b,c=d region=r")
})

test("values that begin with a dash and a digit are wrong values, not flags", () => {
  expect(readAs("run", "--interval", "-5m")).toBe("run interval=-5m")
  expect(readAs("run", "--interval", "-5")).toBe("run interval=-5")
})

test.each([
  [["refrsh"], `unknown command "refrsh"; did you mean refresh? ${THERE_ARE}`],
  [["frobnicate"], `unknown command "frobnicate" ${THERE_ARE}`],
  [[""], `unknown command "" ${THERE_ARE}`],
  [["--", "foo"], 'refresh takes flags only, not "foo"; put a value with spaces in quotes'],
  [["--snk", "docker-config"], "--snk: unknown flag; did you mean --sink?"],
  [["-V"], "-V: unknown flag; `ecrelay refresh --help` lists them"],
  [["run", "--frobnicate"], "--frobnicate: unknown flag; `ecrelay run --help` lists them"],
  [["--sink"], "--sink: needs a value: --sink TYPE[,KEY=VALUE…]"],
  [["--sink="], "--sink: needs a value: --sink TYPE[,KEY=VALUE…]"],
  [["--sink", ""], "--sink: needs a value: --sink TYPE[,KEY=VALUE…]"],
  [["run", "--interval", "--sink", "docker-config"], "--interval: needs a value: --interval DURATION"],
  [["--sink", "docker-config", "--profile", ""], "--profile: needs a value: --profile NAME"],
  [["--sink", "docker-config", "--no-sink"], "--sink: needs a value: --sink TYPE[,KEY=VALUE…]"],
  [["--profile", "a", "--profile", "b"], "--profile: given more than once"],
  [["--sink.path=x"], "--sink.path: unknown flag; no flag contains a dot"],
  [
    ["refresh", "--interval", "6h"],
    "--interval: refresh runs only once; `ecrelay run --interval …` keeps running",
  ],
  [["run", "--output", "json"], `--output: not a flag of run, but of ${commandsWith("output")}`],
  [["config", "--dry-run"], `--dry-run: not a flag of config, but of ${commandsWith("dry_run")}`],
  [
    ["status", "docker-config"],
    'status takes flags only, not "docker-config"; put a value with spaces in quotes',
  ],
  [["sinks", "a", "b"], 'sinks takes one TYPE and flags, not "b"; put a value with spaces in quotes'],
] as const)("%p: %s", (argv, complaint) => {
  expect(complaintOf(...argv)).toBe(complaint)
})

test("several things wrong are said at once", () => {
  expect(complaintOf("run", "--xyzzy", "--snk", "x", "--sink").split("\n")).toEqual([
    "--xyzzy: unknown flag; `ecrelay run --help` lists them",
    "--snk: unknown flag; did you mean --sink?",
    "--sink: needs a value: --sink TYPE[,KEY=VALUE…]",
  ])
})

test("a secret that slipped out of its place is not said back", () => {
  for (const argv of [
    ["--sink", "airflow-db,", "url=postgres://u:hunter2@h/db"],
    ["url=postgres://u:hunter2@h/db"],
    ["postgres://u:hunter2@h/db"],
    ["--password=hunter2"],
    ["sinks", "airflow-db", "fernet_key=hunter2"],
    ["--fernet.key=hunter2"],
  ])
    expect(complaintOf(...argv)).not.toContain("hunter2")
})

test("an argument is quoted up to where a secret may begin", () => {
  expect([quoted("url=secret"), quoted("a b"), quoted("x@y"), quoted("plain-word.1")]).toEqual([
    '"url…"',
    '"a…"',
    '"x…"',
    '"plain-word.1"',
  ])
})

test.each(["-_", "-x_", "-_ ", "--_", "--_=x", "--no-_", "--__proto__=x", "--constructor", "--no-prototype"])(
  "%s is refused, although the parser has a meaning of its own for it",
  (flag) => {
    for (const argv of [[flag], ["refresh", flag], [flag, "refresh"], ["--sink", "docker-config", flag]])
      expect(() => parse(argv)).toThrow(/^-.*: unknown flag/)
  },
)

test("no flag that is not there is passed over", () => {
  const known = ["h", "help", "v", "version", ...SETTINGS.map((setting) => flagOf(setting).slice(2))]
  const name = fc
    .stringMatching(/^[\w][\w.-]*$/)
    .filter((text) => !known.includes(text.replace(/^(no-)?/, "")))
  fc.assert(
    fc.property(name, (flag) => expect(() => parse(["refresh", `--${flag}`])).toThrow(ConfigError)),
    { numRuns: 300 },
  )
})

test("no line of words makes it do anything but answer or complain", () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom(
      ...COMMANDS,
      "--sink",
      "--interval",
      "--",
      "-",
      "--dry-run",
      "--help",
      "-v",
      "--x.y",
      "-_",
      "--no-_",
      "--constructor",
      "--no-sink",
      "6h",
      "=",
    ),
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), (argv) => {
      try {
        parse(argv)
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError)
        expect((error as ConfigError).message.length).toBeGreaterThan(5)
      }
    }),
    { numRuns: 300 },
  )
})

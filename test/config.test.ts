// The configuration: flags, variables and file make one checked value, and all problems come at once.
import { expect, test } from "bun:test"
import { chmod, mkdir, mkdtemp, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { sinkKinds } from "../sinks/index.ts"
import { type Config, type ConfigDeps, parseConfig } from "../src/config.ts"
import { loadConfigFile } from "../src/config-file.ts"
import { ConfigError, FetchError } from "../src/errors.ts"
import { ownRegistry } from "../src/registry.ts"
import { createSink, type SinkKinds } from "../src/sink-spec.ts"
import { binary } from "./support/binary.ts"
import { HOUR, MINUTE } from "./support/fakes.ts"
import { LACKS, POWERLESS, testUnless } from "./support/files.ts"
import { testDeps } from "./support/sinks.ts"

const world = testDeps({ home: "/home/someone" })
const kinds: SinkKinds = sinkKinds
const deps: ConfigDeps = {
  loadDefaultRegion: async () => "eu-west-1",
  createSink: (spec, { airflow }) => createSink(spec, kinds, world, airflow),
}

const given = (
  from: (key: string) => string,
  settings: Readonly<Record<string, string | readonly string[]>>,
) =>
  new Map(Object.entries(settings).map(([key, value]) => [key, { from: from(key), texts: [value].flat() }]))

function parse(
  flags: Readonly<Record<string, string | readonly string[]>>,
  tables?: Record<string, unknown>,
  variables: Readonly<Record<string, string>> = {},
  more: Partial<ConfigDeps> = {},
): Promise<Config> {
  return parseConfig(
    given((key) => `--${key.replaceAll("_", "-")}`, flags),
    given((key) => `ECRELAY_${key.toUpperCase()}`, variables),
    tables && { path: "c.toml", tables },
    { ...deps, ...more },
  )
}

const issuesOf = (...call: Parameters<typeof parse>) =>
  parse(...call).then(
    () => [],
    (error: ConfigError) => error.issues.map(({ path, message }) => (path ? `${path}: ${message}` : message)),
  )

test("the least that is needed is a sink; the rest has defaults", async () => {
  const { sinks, ...rest } = await parse({ sink: "docker-config" })
  expect(sinks.map(({ type }) => type)).toEqual(["docker-config"])
  expect(rest).toEqual({
    principal: {},
    airflow: {},
    endpointUrl: undefined,
    intervalMs: undefined,
    minRemainingMs: undefined,
    timeoutMs: MINUTE,
    dryRun: false,
    output: "text",
    logLevel: "info",
    logFormat: "text",
    notes: [],
    registries: [{ registry: "own", source: { service: "ecr", region: "eu-west-1", principal: {} } }],
  })
})

test("everything can be said, and arrives", async () => {
  const config = await parse({
    sink: ["docker-config,path=/a", "docker-config,path=/b,optional=true"],
    region: "us-east-1",
    profile: "ci",
    role_arn: "arn:aws:iam::111111111111:role/r",
    external_id: "x",
    endpoint_url: "https://ecr.example",
    interval: "6h",
    min_remaining: "4h",
    timeout: "2m",
    dry_run: "true",
    output: "json",
    log_level: "debug",
    log_format: "json",
  })
  expect(config).toMatchObject({
    principal: { profile: "ci", roleArns: ["arn:aws:iam::111111111111:role/r"], externalId: "x" },
    intervalMs: 6 * HOUR,
    minRemainingMs: 4 * HOUR,
    timeoutMs: 2 * MINUTE,
    dryRun: true,
    output: "json",
    logLevel: "debug",
    logFormat: "json",
  })
  expect(config.sinks.map(({ optional }) => optional)).toEqual([false, true])
  expect(config.registries[0]?.source).toMatchObject({
    region: "us-east-1",
    endpointUrl: "https://ecr.example",
  })
})

test("what is the default may be said all the same, and every level of the log", async () => {
  const said = (key: string, word: string) => parse({ sink: "docker-config", [key]: word })
  for (const word of ["text", "json"] as const) {
    expect((await said("output", word)).output).toBe(word)
    expect((await said("log_format", word)).logFormat).toBe(word)
  }
  for (const word of ["debug", "info", "warn", "error"] as const)
    expect((await said("log_level", word)).logLevel).toBe(word)
})

test("a URL of AWS's own variables that is none, or holds a password, is told by the variable's name", async () => {
  const urls = ["https://ecr.example", "ecr.example", "https://u:hunter2@ecr.example"].map((text, i) => ({
    name: `AWS_${i}`,
    text,
  }))
  expect(await issuesOf({ sink: "docker-config" }, undefined, {}, { urls })).toEqual([
    "AWS_1: must be a URL that starts with https:// or http://, without user name and password",
    "AWS_2: must be a URL that starts with https:// or http://, without user name and password",
  ])
})

test("Airflow's place is a table of the file, whose words go to the sinks that ask for them", async () => {
  const airflow = { url: "postgresql://db.example/airflow", fernet_key: "env:KEY" }
  const config = await parse({ sink: ["airflow-db,conn_id=ecr", "docker-config"] }, { airflow })
  expect(config.airflow).toEqual(airflow)
  const [registry] = config.registries
  if (registry?.registry !== "own") throw new Error("expected the own registry")
  const [database] = config.sinks.map(({ sink }) => sink.targets(ownRegistry("123456789012", "eu-west-1")))
  expect(database?.map(({ name }) => name)).toEqual(["postgresql://db.example:5432/airflow ecr"])
})

test("a URL of Airflow on the command line is another Airflow, and so is one of a sink", async () => {
  const airflow = { url: "postgresql://db.example/airflow", fernet_key: "env:KEY" }
  const sink = "airflow-db,conn_id=ecr"
  const flagged = await parse({ sink, airflow_url: "postgresql://other.example/airflow" }, { airflow })
  expect(flagged.notes).toEqual(["--airflow-url replaces all of [airflow] in c.toml"])
  expect(flagged.airflow).toEqual({ url: "postgresql://other.example/airflow" })
  const { sinks } = await parse({ sink: `${sink},url=postgresql://own.example/airflow` }, { airflow })
  const [target] = sinks[0]?.sink.targets(ownRegistry("123456789012", "eu-west-1")) ?? []
  expect(target?.name).toBe("postgresql://own.example:5432/airflow ecr")
})

test("what Airflow's table does not know is refused by its path", async () => {
  expect(await issuesOf({ sink: "docker-config" }, { airflow: { ur: "x", fernet_key: "" } })).toEqual([
    "c.toml: airflow, fernet_key: must not be empty",
    "c.toml: airflow, ur: unknown option; did you mean url?",
  ])
})

test("who asks is one identity", async () => {
  expect(await issuesOf({ sink: "docker-config", profile: "ci", aws_conn_id: "aws_default" })).toEqual([
    "--aws-conn-id: names the AWS identity to use, and so does the profile; leave one of them out",
  ])
})

test("a switch of the file is true or false", async () => {
  const probes = async (probe: unknown) =>
    (await parse({ sink: "docker-config" }, { probe })).registries[0]?.probe
  expect(await probes(true)).toBe(true)
  expect(await probes(false)).toBeUndefined()
  expect(await issuesOf({ sink: "docker-config" }, { probe: 1 })).toEqual([
    "c.toml: probe: must be true or false",
  ])
})

test("a region that cannot be asked for is told with the reason, after what is wrong in the configuration", async () => {
  const about = { code: "x", hint: "wait", retryable: true, principal: "", registry: "" }
  const loadDefaultRegion = () =>
    Promise.reject(new FetchError("Airflow connection aws_eu: there is none", about))
  const parsing = parse({ sink: "docker-config" }, undefined, {}, { loadDefaultRegion })
  expect(await parsing.catch((error) => error)).toMatchObject({
    name: "FetchError",
    message: "Airflow connection aws_eu: there is none",
    hint: "wait",
    retryable: true,
  })
  const flags = { sink: "docker-config", timeout: "soon" }
  expect(await issuesOf(flags, undefined, {}, { loadDefaultRegion })).toEqual([
    expect.stringContaining("--timeout: "),
  ])
})

test("the region is asked for only where nothing names one, with the profile that asks", async () => {
  const asked: (string | undefined)[] = []
  const loadDefaultRegion: ConfigDeps["loadDefaultRegion"] = async ({ principal }) => {
    asked.push(principal.profile)
    return "eu-west-1"
  }
  await parse({ sink: "docker-config", region: "us-east-1" }, undefined, {}, { loadDefaultRegion })
  expect(asked).toEqual([])
  await parse({ sink: "docker-config", profile: "ci" }, undefined, {}, { loadDefaultRegion })
  expect(asked).toEqual(["ci"])
})

test("sinks on the command line replace those of the file, and that is said", async () => {
  const { sinks, notes } = await parse(
    { sink: "docker-config,path=/flag" },
    { sink: [{ type: "docker-config", path: "/file" }] },
  )
  expect(sinks.map(({ options }) => options.path)).toEqual(["/flag"])
  expect(notes).toEqual(["--sink replaces the [[sink]] tables of c.toml"])
})

test("sinks of the file are used where no flag or variable names one", async () => {
  const tables = { sink: [{ type: "docker-config", path: "/file" }] }
  expect((await parse({}, tables)).sinks.map(({ origin }) => origin)).toEqual(["c.toml: sink[0]"])
  expect((await parse({}, tables, { sink: "docker-config" })).sinks.map(({ origin }) => origin)).toEqual([
    "ECRELAY_SINK docker-config",
  ])
})

test("all that is wrong is said at once, whatever kind of thing it is", async () => {
  const issues = await issuesOf(
    {
      sink: ["dockr-config", "docker-config,pth=/x", "docker-config,path"],
      registry: ["nonsense", "public.ecr.aws"],
      interval: "13h",
      timeout: "5",
      output: "xml",
      role_arn: "role",
      endpoint_url: "ecr",
      dry_run: "perhaps",
    },
    { banana: 1 },
  )
  expect(issues).toHaveLength(11)
  for (const start of [
    "c.toml: banana",
    "--role-arn",
    "--endpoint-url",
    "--interval",
    "--timeout",
    "--dry-run",
    "--output",
    "--sink dockr-config",
    "--sink docker-config, pth",
    "--sink docker-config: field 1",
    "--registry",
  ])
    expect(issues.some((issue) => issue.startsWith(start))).toBe(true)
})

test("nothing at all to do is said with what to say", async () => {
  expect(await issuesOf({}, undefined, {}, { loadDefaultRegion: async () => undefined })).toEqual([
    "no sink: say where to deliver, such as --sink docker-config (`ecrelay sinks` lists them)",
    "no region: name one with --region or AWS_REGION, or a registry with --registry",
  ])
})

test.each([
  ["30s", [], 60],
  ["2m", [], 60 + 120],
  ["2m", ["deliver", "read"], 60 + 240],
] as const)(
  "an exec with timeout=%s and answers=%j is left that time by default",
  async (timeout, answers, s) => {
    const sink = { type: "exec", command: "/bin/true", timeout, ...(answers.length > 0 ? { answers } : {}) }
    const tables = { sink: [sink, { type: "docker-config" }] }
    const { timeoutMs } = await parse({}, tables)
    expect(timeoutMs).toBe(s * 1000)
    expect((await parse({ timeout: "5s" }, tables)).timeoutMs).toBe(5000)
  },
)

test("a configuration under which nothing would ever be delivered is refused", async () => {
  expect(await issuesOf({}, { sink: [] })).toEqual([
    "no sink: say where to deliver, such as --sink docker-config (`ecrelay sinks` lists them)",
  ])
  for (const [empty, path] of [
    ["", "registries"],
    [["eu-west-1", ""], "registries.1"],
  ] as const)
    expect(await issuesOf({}, { sink: [{ type: "docker-config", registries: empty }] })).toEqual([
      `c.toml: sink[0], ${path}: must not be empty`,
    ])
  expect(await issuesOf({}, { sink: [{ type: "docker-config", registries: [] }] })).toEqual([
    "c.toml: sink[0], registries: must name at least one; leave it out to mean all of them",
  ])
})

test("a [[sink]] that is not written as one is one problem, not two", async () => {
  expect(await issuesOf({}, { sink: "docker-config" })).toEqual([
    "c.toml: sink: is a table of its own: write [[sink]]",
  ])
})

test.each([
  ["12h", "--interval: must be shorter than 12h, the lifetime of a token; 6h leaves time to fix trouble"],
  ["1d", "--interval: must be shorter than 12h, the lifetime of a token; 6h leaves time to fix trouble"],
  ["999ms", "--interval: must be at least 1s"],
] as const)("the interval %s is refused", async (interval, issue) => {
  expect(await issuesOf({ sink: "docker-config", interval })).toEqual([issue])
})

test("more remaining than a token ever has is refused, as no login would count as fresh", async () => {
  expect(await issuesOf({ sink: "docker-config", min_remaining: "12h" })).toEqual([
    "--min-remaining: must be shorter than 12h, the lifetime of a token, or no login would ever count as fresh",
  ])
  expect((await parse({ sink: "docker-config", min_remaining: "11h59m" })).minRemainingMs).toBe(
    12 * HOUR - MINUTE,
  )
})

test("an interval just shorter than a token's life is let pass", async () => {
  expect((await parse({ sink: "docker-config", interval: "11h59m" })).intervalMs).toBe(12 * HOUR - MINUTE)
})

test("an external id without a role would go nowhere, and is refused", async () => {
  expect(await issuesOf({ sink: "docker-config", external_id: "x" })).toEqual([
    "--external-id: is for a role, and none is named",
  ])
})

const folder = await mkdtemp(join(tmpdir(), "ecrelay-config-"))

const fileIssue = (...call: Parameters<typeof loadConfigFile>) =>
  loadConfigFile(...call).then(
    () => "accepted",
    (error: unknown) => {
      if (!(error instanceof ConfigError)) throw error
      return error.message
    },
  )

test("the user's file is found under XDG_CONFIG_HOME, else under the home directory", async () => {
  for (const [where, env] of [
    [`${folder}/xdg`, { XDG_CONFIG_HOME: `${folder}/xdg`, HOME: folder }],
    [`${folder}/.config`, { HOME: folder }],
  ] as const) {
    await mkdir(`${where}/ecrelay`, { recursive: true })
    await writeFile(`${where}/ecrelay/config.toml`, `profile = "${where}"\n`)
    expect(await loadConfigFile(undefined, env)).toEqual({
      path: `${where}/ecrelay/config.toml`,
      tables: { profile: where },
    })
  }
})

test("no file is no file, even where the home directory is none", async () => {
  for (const HOME of ["/nonexistent", "/dev/null", `${folder}/empty`])
    expect(await loadConfigFile(undefined, { HOME })).toBeUndefined()
  expect(await loadConfigFile(undefined, {})).toBeUndefined()
})

testUnless(LACKS.powerless, "a home that is another user's is passed over with a warning", async () => {
  const home = await mkdtemp(join(tmpdir(), "ecrelay-closed-"))
  await mkdir(`${home}/.config/ecrelay`, { recursive: true })
  await writeFile(`${home}/.config/ecrelay/config.toml`, 'profile = "theirs"\n')
  await chmod(`${home}/.config`, 0o000)
  const child = Bun.spawnSync([...POWERLESS, await binary(), "config", "--sink", "docker-config"], {
    env: { HOME: home, AWS_REGION: "eu-west-1" },
  })
  await chmod(`${home}/.config`, 0o700)
  expect(child.stderr.toString()).toBe(
    `ecrelay: ${home}/.config/ecrelay/config.toml is skipped: this user may not see whether it exists\n`,
  )
  expect(child.stdout.toString()).not.toContain("theirs")
  expect(child.exitCode).toBe(0)
})

test("a file that may be there but cannot be seen is told, and not passed over", async () => {
  const home = await mkdtemp(join(tmpdir(), "ecrelay-config-"))
  const path = join(home, ".config/ecrelay/config.toml")
  await mkdir(dirname(path), { recursive: true })
  await symlink(path, path)
  expect(await fileIssue(undefined, { HOME: home })).toBe(`${path}: cannot be read (ELOOP)`)
})

test("a file in the current directory is not read", async () => {
  const before = process.cwd()
  const here = await mkdtemp(join(tmpdir(), "ecrelay-cwd-"))
  for (const name of ["config.toml", "ecrelay.toml", ".ecrelay.toml"])
    await writeFile(join(here, name), 'profile = "planted"\n')
  process.chdir(here)
  try {
    expect(await loadConfigFile(undefined, { HOME: "/nonexistent" })).toBeUndefined()
  } finally {
    process.chdir(before)
  }
})

test("a file that is named must be there and readable", async () => {
  expect(await fileIssue(`${folder}/nope.toml`, {})).toBe(`${folder}/nope.toml: there is no such file`)
  expect(await fileIssue(folder, {})).toBe(`${folder}: cannot be read (EISDIR)`)
  const path = `${folder}/unreadable.toml`
  await writeFile(path, "")
  await chmod(path, 0o000)
  // Root reads everything.
  if (process.getuid?.() !== 0) expect(await fileIssue(path, {})).toBe(`${path}: cannot be read (EACCES)`)
})

test("TOML that is broken is told by line and column, and no line of it is quoted", async () => {
  const path = `${folder}/broken.toml`
  await writeFile(path, 'profile = "ci"\nurl = postgres://u:hunter2@h/db\n')
  const message = await fileIssue(path, {})
  expect(message).toStartWith(`${path}: not valid TOML at line 2, column`)
  expect(message).not.toContain("hunter2")
})

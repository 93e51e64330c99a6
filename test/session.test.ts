// A session and the commands on it, in this process: a world of the test's own, the real docker-config sink, the stand-in.
import { afterAll, expect, test } from "bun:test"
import { mkdtemp, symlink } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DEMO_IDENTITY, startAws } from "../scripts/aws.ts"
import dockerConfig from "../sinks/docker-config.ts"
import { sinkKinds } from "../sinks/index.ts"
import { systemClock } from "../src/clock.ts"
import { check } from "../src/commands/check.ts"
import { config } from "../src/commands/config.ts"
import { refresh } from "../src/commands/refresh.ts"
import { run } from "../src/commands/run.ts"
import { sinks } from "../src/commands/sinks.ts"
import { status } from "../src/commands/status.ts"
import { wait } from "../src/commands/wait.ts"
import { ConfigError } from "../src/errors.ts"
import { loadConfig, openSession, type World } from "../src/session.ts"
import type { SinkKind } from "../src/sink.ts"
import { keysOf } from "./support/aws-environment.ts"
import { fakeClock } from "./support/clock.ts"
import { openNotifySocket } from "./support/notify-socket.ts"
import { secretForms } from "./support/secrets.ts"

const aws = startAws()
afterAll(() => aws.stop())

const HOST = `${DEMO_IDENTITY.account}.dkr.ecr.eu-west-1.amazonaws.com`

type TestWorld = World & {
  readonly out: () => string
  readonly log: () => string
  readonly home: string
  stopNow(): void
}

async function worldWith(env: Readonly<Record<string, string>> = {}): Promise<TestWorld> {
  const home = await mkdtemp(join(tmpdir(), "ecrelay-session-"))
  const stop = new AbortController()
  let out = ""
  let log = ""
  return {
    env: {
      HOME: home,
      ...keysOf(),
      AWS_REGION: "eu-west-1",
      AWS_ENDPOINT_URL: aws.url,
      AWS_MAX_ATTEMPTS: "1",
      ...env,
    },
    clock: systemClock,
    random: () => 0,
    fetch,
    kinds: sinkKinds,
    loadAirflowConnection: () => Promise.reject(new Error("this test has no Airflow")),
    home,
    uid: process.getuid?.(),
    writeOut: async (text) => {
      out += text
    },
    colour: false,
    print: (text) => {
      out += text
    },
    printError: (text) => {
      log += text
    },
    stop: stop.signal,
    program: process.execPath,
    onReload: () => undefined,
    onRefreshNow: () => undefined,
    out: () => out,
    log: () => log,
    stopNow: () => stop.abort(new Error("stopped by SIGTERM")),
  }
}

const given = (flags: Readonly<Record<string, string | readonly string[]>>) =>
  new Map(Object.entries(flags).map(([key, value]) => [key, { from: `--${key}`, texts: [value].flat() }]))

const DOCKER = { sink: "docker-config" }

const issuesOf = async (flags: Parameters<typeof given>[0], env: Record<string, string> = {}) =>
  openSession(given(flags), await worldWith(env)).then(
    () => [],
    (error: ConfigError) => error.issues.map(({ path, message }) => (path ? `${path}: ${message}` : message)),
  )

test("opening a session asks AWS nothing and writes nothing", async () => {
  const calls = aws.calls.length
  const world = await worldWith()
  const { plan } = await openSession(given(DOCKER), world)
  expect(plan.sinks).toHaveLength(1)
  expect(aws.calls.length).toBe(calls)
  expect(await Array.fromAsync(new Bun.Glob("**").scan({ cwd: world.home, dot: true }))).toEqual([])
})

test("AWS_DEFAULT_REGION, which the SDK ignores, is honoured", async () => {
  const { registries } = await loadConfig(
    given(DOCKER),
    await worldWith({ AWS_REGION: "", AWS_DEFAULT_REGION: "sa-east-1" }),
  )
  expect(registries[0]?.source.region).toBe("sa-east-1")
})

test("the region of the profile that is named counts", async () => {
  const world = await worldWith({ AWS_REGION: "" })
  await Bun.write(`${world.home}/.aws/config`, "[profile ci]\nregion = eu-north-1\n")
  const { registries } = await loadConfig(given({ ...DOCKER, profile: "ci" }), world)
  expect(registries[0]?.source).toMatchObject({ region: "eu-north-1", principal: { profile: "ci" } })
})

test("ECRELAY_CONFIG names the file, and notes on what replaces what go to the log", async () => {
  const world = await worldWith()
  await Bun.write(`${world.home}/c.toml`, '[[sink]]\ntype = "docker-config"\npath = "/file"\n')
  const env = { ...world.env, ECRELAY_CONFIG: `${world.home}/c.toml` }
  await openSession(given(DOCKER), { ...world, env })
  expect(world.log()).toContain(`--sink replaces the [[sink]] tables of ${world.home}/c.toml`)
})

test("--log-level debug tells every step, whose keys signed, and no secret", async () => {
  const world = await worldWith()
  await Bun.write(`${world.home}/.config/ecrelay/config.toml`, 'log_level = "debug"\n')
  expect(await refresh(given(DOCKER), world)).toBe(0)
  const lines = world.log().split("\n").filter(Boolean)
  expect(lines.every((line) => / debug /.test(line))).toBe(true)
  const steps = lines.map((line) => line.replace(/^.* debug +/, "").replace(/after \d+ ms/, "after N ms"))
  expect(steps).toEqual([
    `config file: ${world.home}/.config/ecrelay/config.toml`,
    "AWS, eu-west-1, default credentials: fetch a token …",
    `default credentials: access key ending in DEMO, endpoint ${aws.url}`,
    expect.stringMatching(
      /^AWS, eu-west-1, default credentials: fetch a token: account 012345678901, good until/,
    ),
    "docker-config: deliver 1 target …",
    "docker-config: deliver 1 target: 1 delivered, after N ms",
  ])
  const { auths } = JSON.parse(await Bun.file(`${world.home}/.docker/config.json`).text())
  for (const secret of [auths[HOST].auth, DEMO_IDENTITY.secretAccessKey])
    for (const form of secretForms(secret)) expect(world.log()).not.toContain(form)
})

test("a sink gets the registries that it names, own ones by their region", async () => {
  const flags = {
    sink: [`docker-config,path=/a,registries=${HOST}`, "docker-config,path=/b,registries=us-east-1"],
    registry: HOST,
    region: "us-east-1",
  }
  const { plan } = await openSession(given(flags), await worldWith())
  expect(
    plan.sinks.map(({ registries }) =>
      registries.map(({ registry, source }) => (registry === "own" ? source.region : registry.host)),
    ),
  ).toEqual([[HOST], ["us-east-1"]])
})

test("a registry that a sink names and nobody configured is refused, with those that there are", async () => {
  expect(await issuesOf({ sink: "docker-config,registries=us-east-1" })).toEqual([
    "--sink docker-config, registries: no such registry is configured: us-east-1 (there are eu-west-1)",
  ])
})

test("two sinks for one file are refused before anything is asked", async () => {
  const issues = await issuesOf({ sink: ["docker-config,path=/x/config.json", "docker-config,path=/x"] })
  expect(issues).toEqual([
    '--sink docker-config: /x/config.json auths["ACCOUNT.dkr.ecr.eu-west-1.amazonaws.com"] would be written twice for own registry in eu-west-1; name each registry and each target once',
  ])
})

test("two sinks in one file behind a link are refused before the first write, by every command that writes or checks", async () => {
  const world = await worldWith()
  const [file, link] = [`${world.home}/config.json`, `${world.home}/link`]
  await Bun.write(file, '{"auths":{}}')
  await symlink(file, link)
  const flags = given({ sink: [`docker-config,path=${file}`, `file,path=${link},adopt=true`] })
  for (const command of [refresh, check, run]) {
    const issue = await command(flags, world).catch((error: unknown) => error)
    expect(issue).toBeInstanceOf(ConfigError)
    expect((issue as ConfigError).issues).toMatchObject([{ path: "--sink file" }])
  }
  expect(await Bun.file(file).text()).toBe('{"auths":{}}')
})

test("refresh delivers, says until when, and ends with 0; status then finds it fresh", async () => {
  const world = await worldWith()
  expect(await refresh(given(DOCKER), world)).toBe(0)
  expect(world.out()).toStartWith(
    `delivered  docker-config  ${world.home}/.docker/config.json auths["${HOST}"]  until `,
  )
  const later = { ...world, ...(await worldWith()), env: world.env, home: world.home }
  expect(await status(given(DOCKER), later)).toBe(0)
  expect(later.out()).toStartWith("fresh  docker-config")
})

test("--min-remaining leaves alone what is good for long enough, and fetches no token for it", async () => {
  const world = await worldWith()
  await refresh(given(DOCKER), world)
  const tokens = () => aws.calls.filter(({ operation }) => operation === "GetAuthorizationToken").length
  const before = tokens()
  expect(await refresh(given({ ...DOCKER, min_remaining: "4h" }), world)).toBe(0)
  expect(world.out()).toContain("skipped  docker-config")
  expect(tokens()).toBe(before)
  const later = { ...world, clock: { ...systemClock, now: () => Date.now() + 3_600_000 } }
  expect(await refresh(given({ ...DOCKER, min_remaining: "11h30m" }), later)).toBe(0)
  expect(tokens()).toBe(before + 1)
})

test("a misspelt variable is said, and changes nothing else", async () => {
  const world = await worldWith({ ECRELAY_TIMOUT: "1s" })
  expect(await refresh(given(DOCKER), world)).toBe(0)
  expect(world.log()).toMatch(/warn +ECRELAY_TIMOUT is ignored; did you mean ECRELAY_TIMEOUT\?/)
})

test("of reloads that come together the last one counts, however long each of them reads", async () => {
  const base = await worldWith()
  const file = `${base.home}/c.toml`
  const write = (name: string) =>
    Bun.write(file, `[[sink]]\ntype = "docker-config"\npath = "${base.home}/${name}"\n`)
  const reading: (() => void)[] = []
  let slow = false
  let reload: () => void = () => undefined
  const world: TestWorld = {
    ...base,
    kinds: {
      "docker-config": async () => {
        if (slow) await new Promise<void>((resolve) => reading.push(resolve))
        return dockerConfig
      },
    },
    onReload: (listener) => {
      reload = listener
    },
  }
  const untilLogged = async (text: string) => {
    while (!world.log().includes(text)) await systemClock.sleep(5)
  }
  await write("zero")
  const running = run(given({ config: file }), world)
  await untilLogged("ready")
  slow = true
  await write("one")
  reload()
  while (reading.length < 1) await systemClock.sleep(5)
  await write("two")
  reload()
  await systemClock.sleep(20)
  const letGo = setInterval(() => reading.shift()?.(), 20)
  await untilLogged(`${base.home}/two/config.json`)
  clearInterval(letGo)
  world.stopNow()
  expect(await running).toBe(0)
}, 5000)

test("wait looks a last time when its time is over, and sees a login that came just before", async () => {
  const base = await worldWith()
  const clock = fakeClock(Date.now())
  const kind: SinkKind = {
    ...dockerConfig,
    create: (...args) => ({
      ...dockerConfig.create(...args),
      read: async (targets) =>
        targets.map(() =>
          clock.uptime() < 9_900
            ? { state: "missing" as const }
            : { state: "held" as const, expiresAt: clock.now() + 12 * 3_600_000 },
        ),
    }),
  }
  const world: TestWorld = { ...base, clock, kinds: { "docker-config": async () => kind } }
  const waiting = wait(given({ ...DOCKER, registry: HOST, timeout: "10s" }), world)
  let over = false
  const code = waiting.finally(() => {
    over = true
  })
  while (!over) {
    await clock.advance(100)
    await systemClock.sleep(1)
  }
  expect({ code: await code, out: world.out().slice(0, 5) }).toEqual({ code: 0, out: "fresh" })
}, 5000)

test("run with --min-remaining leaves alone what is fresh, and is ready at once", async () => {
  const world = await worldWith()
  await refresh(given(DOCKER), world)
  const before = await Bun.file(`${world.home}/.docker/config.json`).text()
  const running = run(given({ ...DOCKER, min_remaining: "4h" }), world)
  while (!world.log().includes("ready")) await systemClock.sleep(5)
  world.stopNow()
  expect(await running).toBe(0)
  expect(world.log()).toContain("skipped")
  expect(world.log()).not.toContain("delivered")
  expect(await Bun.file(`${world.home}/.docker/config.json`).text()).toBe(before)
})

test("run says once what many targets fail by, and whom it keeps waiting", async () => {
  const world = await worldWith()
  aws.fail("GetAuthorizationToken", {
    kind: "error",
    status: 400,
    type: "AccessDeniedException",
    message: "no",
  })
  const other = HOST.replace("012345678901", "999999999999")
  const running = run(given({ ...DOCKER, registry: [HOST, other], log_format: "json" }), world)
  while (!world.log().includes('"failed"')) await systemClock.sleep(5)
  world.stopNow()
  expect(await running).toBe(0)
  const lines = world.log().trim().split("\n")
  const failures = lines.map((line) => JSON.parse(line)).filter(({ outcome }) => outcome === "failed")
  const name = (host: string) => `${world.home}/.docker/config.json auths["${host}"]`
  expect(failures).toMatchObject([
    {
      message: expect.stringMatching(/AWS refused access.* \(docker-config, 2 targets\); next attempt in /),
      sink: "docker-config",
      targets: [name(HOST), name(other)],
      code: "access-denied",
    },
  ])
})

test("run delivers, is ready, and ends with 0 when it is stopped", async () => {
  const world = await worldWith()
  const running = run(given({ ...DOCKER, log_format: "json" }), world)
  while (!world.log().includes("ready")) await systemClock.sleep(5)
  world.stopNow()
  expect(await running).toBe(0)
  const lines = world
    .log()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
  expect(lines.map(({ message }) => message.split(";")[0])).toEqual([
    "keeping 1 target fresh",
    expect.stringMatching(/^docker-config .*: delivered, good until /),
    "ready: every target holds a fresh login",
    "stopped",
  ])
  expect(lines[1]).toMatchObject({ sink: "docker-config", registry: HOST, outcome: "delivered" })
})

test("a dry run shows the target, fetches no token, changes nothing and ends with 0", async () => {
  const world = await worldWith()
  const tokens = aws.calls.filter(({ operation }) => operation === "GetAuthorizationToken").length
  expect(await refresh(given({ ...DOCKER, dry_run: "true" }), world)).toBe(0)
  expect(world.out()).toContain(`missing  docker-config  ${world.home}/.docker/config.json auths["${HOST}"]`)
  expect(world.out()).toContain(
    "dry run: a refresh would write a new login into 1 target, fresh or not; no token was fetched and nothing was changed",
  )
  expect(aws.calls.filter(({ operation }) => operation === "GetAuthorizationToken").length).toBe(tokens)
  expect(await Bun.file(`${world.home}/.docker/config.json`).exists()).toBe(false)
})

test("a dry run with --min-remaining tells how many targets are due", async () => {
  const world = await worldWith()
  await refresh(given(DOCKER), world)
  const both = { sink: ["docker-config", `docker-config,path=${world.home}/other`], min_remaining: "4h" }
  expect(await refresh(given({ ...both, dry_run: "1" }), world)).toBe(0)
  expect(world.out()).toContain("dry run: a refresh would write a new login into 1 of 2 targets; no token")
})

test("a dry run that could not find out who is calling ends with 1", async () => {
  const world = await worldWith({ AWS_SECRET_ACCESS_KEY: "wrong" })
  expect(await refresh(given({ ...DOCKER, dry_run: "1" }), world)).toBe(1)
  expect(world.out()).toContain("unreadable")
})

test("ECRELAY_DRY_RUN=1 does not write", async () => {
  const world = await worldWith({ ECRELAY_DRY_RUN: "1" })
  await refresh(given(DOCKER), world)
  expect(await Bun.file(`${world.home}/.docker/config.json`).exists()).toBe(false)
})

test("what fails ends with 1, says why and what to do, and leaves the target as it was", async () => {
  const world = await worldWith({ AWS_SECRET_ACCESS_KEY: "wrong-secret" })
  await Bun.write(`${world.home}/.docker/config.json`, '{"auths":{"other":{"auth":"eA=="}}}')
  expect(await refresh(given(DOCKER), world)).toBe(1)
  expect(world.out()).toMatch(
    /^failed +docker-config +\/.*\/\.docker\/config\.json auths\["ACCOUNT\.dkr\.ecr\.eu-west-1\.amazonaws\.com"\]\n +eu-west-1: AWS did not accept the signature.*\n +hint: check AWS_SECRET_ACCESS_KEY/,
  )
  for (const form of secretForms("wrong-secret")) expect(world.out() + world.log()).not.toContain(form)
  expect(await Bun.file(`${world.home}/.docker/config.json`).text()).toBe(
    '{"auths":{"other":{"auth":"eA=="}}}',
  )
})

test("a refresh that is stopped says so and ends with 1", async () => {
  const hanging = startAws()
  hanging.fail("GetAuthorizationToken", { kind: "hang" })
  const world = await worldWith({ AWS_ENDPOINT_URL: hanging.url })
  const refreshing = refresh(given(DOCKER), world)
  while (hanging.calls.length === 0) await systemClock.sleep(5)
  world.stopNow()
  expect(await refreshing).toBe(1)
  expect(world.out()).toContain("stopped before AWS answered")
  await hanging.stop()
})

/** What `config` prints. */
async function configOf(flags: Parameters<typeof given>[0], env: Record<string, string> = {}) {
  const world = await worldWith(env)
  expect(await config(given(flags), world)).toBe(0)
  return { toml: world.out(), notes: world.log() }
}

test("what config prints is a config file that means the same", async () => {
  const flags = {
    sink: [
      "docker-config,path=/a/config.json,optional=true",
      `docker-config,"path=/b,c.json",registries=${HOST}`,
    ],
    registry: [HOST, "public.ecr.aws", "111111111111.dkr.ecr-fips.us-east-1.amazonaws.com"],
    region: ["cn-north-1"],
    profile: "ci",
    role_arn: "arn:aws:iam::111111111111:role/r",
    external_id: 'quo"te',
    endpoint_url: "https://ecr.example",
    airflow_url: "env:AIRFLOW_DATABASE",
    probe: "true",
    interval: "1h1m1s",
    min_remaining: "11h3m4s",
    timeout: "1500ms",
    output: "json",
    log_level: "warn",
    log_format: "json",
  }
  const { toml } = await configOf(flags)
  const world = await worldWith({ AWS_REGION: "" })
  await Bun.write(`${world.home}/c.toml`, toml)
  const meaning = async (settings: Parameters<typeof given>[0]) => {
    const {
      sinks: configured,
      endpointUrl,
      dryRun,
      notes,
      ...rest
    } = await loadConfig(given(settings), world)
    return JSON.stringify({ ...rest, sinks: configured.map(({ origin, sink, ...spec }) => spec) })
  }
  expect(await meaning({ config: `${world.home}/c.toml` })).toBe(await meaning(flags))
})

test("config shows no secret that was given literally, says where to put it, and keeps references", async () => {
  const { toml, notes } = await configOf({
    sink: ["airflow-db,conn_id=x,url=postgres://u:hunter2@h/db,fernet_key=env:KEY"],
  })
  expect(toml).not.toContain("hunter2")
  expect(toml).toContain('url = "env:ECRELAY_SINK0_URL"')
  expect(toml).toContain('fernet_key = "env:KEY"')
  expect(notes).toContain("ECRELAY_SINK0_URL")
  expect(notes).not.toContain("hunter2")
})

test("sinks lists every kind, and tells of one its options and what it needs", async () => {
  const world = await worldWith()
  expect(await sinks(given({}), [], world)).toBe(0)
  for (const type of Object.keys(sinkKinds)) expect(world.out()).toMatch(new RegExp(`^${type} +\\S`, "m"))
  for (const type of Object.keys(sinkKinds)) {
    const one = await worldWith()
    expect(await sinks(given({}), [type], one)).toBe(0)
    expect(one.out()).toMatch(/Options:\n[\s\S]*optional[\s\S]*Needs:\n {2}\S/)
  }
})

test("every option of every kind of sink is described", async () => {
  const world = await worldWith()
  await sinks(given({ output: "json" }), [], world)
  const kinds: readonly { type: string; options: readonly { key: string; description: string }[] }[] =
    JSON.parse(world.out()).sinks
  for (const { type, options } of kinds)
    for (const { key, description } of options)
      expect({ type, key, isDescribed: description.length > 10 }).toEqual({ type, key, isDescribed: true })
})

test("a kind of sink that does not exist is refused", async () => {
  const refused = sinks(given({}), ["dockr-config"], await worldWith())
  await expect(refused).rejects.toBeInstanceOf(ConfigError)
})

test("a start under systemd that finds no login within a quarter of an hour fails, with the reason", async () => {
  using socket = openNotifySocket()
  const clock = fakeClock(Date.now())
  const denied = { kind: "error", status: 400, type: "AccessDeniedException", message: "no" } as const
  aws.fail("GetAuthorizationToken", denied, 100)
  const world = { ...(await worldWith({ NOTIFY_SOCKET: socket.address })), clock }
  let code: number | undefined
  const running = run(given({ ...DOCKER, registry: HOST }), world).then((ended) => {
    code = ended
  })
  let minutes = 0
  for (; code === undefined && minutes < 30; minutes += 1) {
    // The calls to AWS are real and take their time.
    await Bun.sleep(20)
    // The queue of a socket that nobody reads is short, and its sender waits.
    socket.messages()
    await clock.advance(60_000)
  }
  world.stopNow()
  await running
  aws.fail("GetAuthorizationToken", denied, 0)
  expect(code).toBe(1)
  expect(minutes).toBeGreaterThan(14)
  expect(world.log()).toMatch(
    /error not ready after 15m, so this start has failed: 0 of 1 target fresh; .*AWS refused/,
  )
  const messages = socket.messages()
  expect(messages.some((message) => message.startsWith("EXTEND_TIMEOUT_USEC="))).toBe(true)
  expect(messages.join("\n")).not.toContain("READY")
  expect(messages.at(-1)).toBe("STOPPING=1")
}, 30_000)

// The sink `stdout`: the shared contract on a stream of text, then in the program, before a real pipe.
import { describe, expect, test } from "bun:test"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import kind from "../../sinks/stdout.ts"
import { awsForAll, binary, ecrelay, standInEnvironment, temporaryFolder } from "../support/binary.ts"
import { makeCredential } from "../support/credentials.ts"
import { startDockerDaemon } from "../support/docker-daemon.ts"
import { lackOf, testUnless } from "../support/files.ts"
import { RUNTIMES, runUnder } from "../support/runtimes.ts"
import { deliver } from "../support/sink-expectations.ts"
import { readsNothing } from "../support/sink-promises.ts"
import { type SinkRig, testSink } from "../support/sink-suite.ts"
import { deliveriesOf, hours, makeSink, manyRegistries, NOW, testDeps } from "../support/sinks.ts"

const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"
const OTHER = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
const PASSWORD = /^[A-Za-z0-9+/=]{2000,}\n$/

/** Standard output as a text, whose reader is there until it is told to go. */
function openReader() {
  let text = ""
  let gone = false
  return {
    text: () => text,
    leave: (hasLeft: boolean) => {
      gone = hasLeft
    },
    async writeOut(more: string) {
      if (gone) throw Object.assign(new Error("broken pipe"), { code: "EPIPE" })
      text += more
    },
  }
}

async function openStdout(): Promise<SinkRig> {
  const { text, leave, writeOut } = openReader()
  const broken = openReader()
  broken.leave(true)
  return {
    setup: { options: { format: "json" }, deps: { writeOut } },
    async stored({ registry }) {
      const logins = text()
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line))
      const { username, password } = logins.findLast(({ host }) => host === registry.host) ?? {}
      return password === undefined ? undefined : { host: registry.host, userName: username, password }
    },
    snapshot: async () => text(),
    refused: async () => ({ options: { format: "json" }, deps: { writeOut: broken.writeOut } }),
    async breakDelivery() {
      leave(true)
      return async () => leave(false)
    },
    close: async () => undefined,
  }
}

const NOT_READ_BACK = "what was written is with its reader and cannot be read back, so every login is written"
const NOTHING_THERE = "there is nothing to read or to check"

testSink({
  kind,
  file: import.meta.resolve("../../sinks/stdout.ts"),
  open: openStdout,
  cannot: {
    "does not replace a newer credential with an older one": NOT_READ_BACK,
    "changes nothing when the same is delivered twice": NOT_READ_BACK,
    "delivers to 500 registries at once": `${NOT_READ_BACK}; a test of its own has the 500`,
    "ends with the signal's reason when that is aborted while the place keeps silent":
      "no server is asked; what is written is with the system at once",
    "leaves its neighbours untouched, byte for byte": "nothing else stands on standard output",
    "fails one slot alone where only that one cannot be written":
      "one stream for all: where one login cannot be written, none can",
    "says that a place which does not answer may answer soon, and names it":
      "a reader that is slow is waited for, and one that has gone does not come back",
    ...readsNothing(NOT_READ_BACK),
    "finds that all is well, and otherwise what is wrong and what to do": NOTHING_THERE,
    "finds in a check what a delivery would refuse": NOTHING_THERE,
    "reads and checks nothing when the signal is aborted": NOTHING_THERE,
    "changes nothing when it reads or checks": NOTHING_THERE,
  },
})

test("writes 500 logins as one line of JSON each, in their order", async () => {
  const { text, writeOut } = openReader()
  const sink = makeSink(kind, { format: "json" }, testDeps({ writeOut }))
  const credentials = manyRegistries(500).map((registry) =>
    makeCredential({ registry, expiresAt: NOW + hours(12), size: 300 }),
  )
  const results = await deliver(sink, credentials)
  expect(new Set(results.map(({ outcome }) => outcome))).toEqual(new Set(["delivered"]))
  const lines = text().trimEnd().split("\n")
  expect(lines.map((line) => JSON.parse(line).host)).toEqual(credentials.map(({ registry }) => registry.host))
})

test("writes nothing more once it is to stop", async () => {
  const stop = new AbortController()
  let written = 0
  const writeOut = async () => {
    written++
    stop.abort(new Error("stop"))
  }
  const sink = makeSink(kind, { format: "json" }, testDeps({ writeOut }))
  const credentials = manyRegistries(3).map((registry) =>
    makeCredential({ registry, expiresAt: NOW + hours(12), size: 300 }),
  )
  await expect(sink.deliver(deliveriesOf(sink, credentials), stop.signal)).rejects.toThrow("stop")
  expect(written).toBe(1)
})

const aws = awsForAll()

const environment = () => ({ env: standInEnvironment(aws.url) })

describe.each([...RUNTIMES])("under %s", (_, command) => {
  const run = (argv: readonly string[]) => runUnder(command, argv, standInEnvironment(aws.url))

  test("the password stands alone on standard output, the report on standard error", async () => {
    const { out, error, code } = await run(["--sink", "stdout"])
    expect(out).toMatch(PASSWORD)
    expect(error).toMatch(/^delivered {2}stdout {2}standard output {2}until .* UTC \(11h 59m\)\n$/)
    expect([error.includes(out.trim()), code]).toEqual([false, 0])
  })

  test("beside another sink, both get the same login", async () => {
    const file = join(await temporaryFolder(), "ecr")
    const { out, error, code } = await run(["--sink", "stdout", "--sink", `file,path=${file}`])
    expect(`${await Bun.file(file).text()}\n`).toBe(out)
    expect(error.split("\n").length).toBe(3)
    expect(code).toBe(0)
  })
})

test("JSON has a line for each of several registries", async () => {
  const argv = ["--sink", "stdout,format=json", "--registry", HOST, "--registry", OTHER]
  const { out, code } = await ecrelay(argv, environment())
  const logins = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
  expect(logins.map(({ host, username }) => [host, username])).toEqual([
    [HOST, "AWS"],
    [OTHER, "AWS"],
  ])
  expect(code).toBe(0)
})

test("a docker config made of it is one that docker takes", async () => {
  const { out } = await ecrelay(["--sink", "stdout,format=docker-config", "--registry", HOST], environment())
  const { auths } = JSON.parse(out)
  expect(Object.keys(auths)).toEqual([HOST])
  expect(Buffer.from(auths[HOST].auth, "base64").toString()).toMatch(/^AWS:[A-Za-z0-9+/=]{2000,}$/)
})

testUnless(lackOf("docker"), "docker logs in with what comes through the pipe", async () => {
  using daemon = startDockerDaemon()
  const script = `"$0" --sink stdout | docker login --username AWS --password-stdin ${HOST}`
  const docker = Bun.spawn(["sh", "-c", script, await binary()], {
    env: {
      PATH: process.env.PATH,
      HOME: await temporaryFolder(),
      DOCKER_HOST: daemon.url,
      AWS_EC2_METADATA_DISABLED: "true",
      ...standInEnvironment(aws.url),
    },
    stdout: "ignore",
    stderr: "ignore",
  })
  expect(await docker.exited).toBe(0)
  expect(daemon.logins).toMatchObject([{ username: "AWS", serveraddress: HOST }])
  expect(`${daemon.logins[0]?.password}\n`).toMatch(PASSWORD)
})

test("a module that writes there has it for itself too, and is refused by run", async () => {
  const folder = await temporaryFolder()
  const file = join(folder, "lines.js")
  await writeFile(
    file,
    `export default ({ v, defineSink }) => defineSink({
      type: "lines", summary: "a line each", permissions: [], options: v.strictObject({}),
      create: (_, { writeOut }) => ({
        type: "lines",
        takesStdout: true,
        targets: (registry) => [{ registry, slot: registry.host, name: registry.host }],
        deliver: async (deliveries) => {
          for (const { target } of deliveries) await writeOut(target.name + "\\n")
          return deliveries.map(({ credential: { expiresAt } }) => ({ outcome: "delivered", expiresAt }))
        },
      }),
    })`,
  )
  const { out, error, code } = await ecrelay(["--sink", `module,path=${file}`], environment())
  expect(out).toBe(`${HOST}\n`)
  expect(error).toStartWith("delivered  ")
  expect(code).toBe(0)
  expect(await ecrelay(["run", "--sink", `module,path=${file}`], environment())).toMatchObject({
    out: "",
    error: expect.stringContaining("nobody reads the standard output of a service"),
    code: 2,
  })
})

test("a dry run leaves standard output empty", async () => {
  const { out, error, code } = await ecrelay(["--sink", "stdout", "--dry-run"], environment())
  expect(out).toBe("")
  expect(error).toContain("no token was fetched and nothing was changed")
  expect(code).toBe(0)
})

test("a reader that has gone is said, with exit code 1", async () => {
  const script = `
    { until [ -e gone ]; do sleep 0.05; done; "$0" --sink stdout; echo "exit code $?" >&2; } |
    { exec <&-; touch gone; }`
  const child = Bun.spawn(["sh", "-c", script, await binary()], {
    env: { PATH: process.env.PATH, AWS_EC2_METADATA_DISABLED: "true", ...standInEnvironment(aws.url) },
    cwd: await temporaryFolder(),
    stderr: "pipe",
  })
  expect(await new Response(child.stderr).text()).toMatch(
    /^failed {2}stdout {2}standard output\n +standard output: cannot be written \[EPIPE\]\n +hint: the program behind the pipe ended before it read the login: .*\nexit code 1\n$/,
  )
})

test.each([
  [["run", "--sink", "stdout"], "nobody reads the standard output of a service"],
  [["run", "--dry-run", "--sink", "stdout"], "nobody reads the standard output of a service"],
  [["install", "systemd", "--dry-run", "--sink", "stdout"], "nobody reads the standard output"],
  [["--output", "json", "--sink", "stdout"], "leave --output json out"],
  [["--sink", "stdout,format=json", "--sink", "stdout"], "another sink uses standard output already"],
  [
    ["--sink", "stdout", "--registry", HOST, "--registry", OTHER],
    "name one registry, or a format that holds several",
  ],
  [["--sink", "stdout,format=yaml"], "format"],
])("ecrelay %p is refused before anything is asked", async (argv, says) => {
  const asked = aws.calls.length
  const { out, error, code } = await ecrelay(argv, environment())
  expect(out).toBe("")
  expect(error).toContain(says)
  expect([code, aws.calls.length - asked]).toEqual([2, 0])
})

test("a config file with such a sink is refused by run, by the line's own path", async () => {
  const file = join(await temporaryFolder(), "config.toml")
  await writeFile(file, '[[sink]]\ntype = "stdout"\n')
  const { error, code } = await ecrelay(["run", "--config", file], environment())
  expect(error).toContain("sink[0]")
  expect(code).toBe(2)
})

test("a full disk behind standard output is called one", async () => {
  const env = { HOME: await temporaryFolder(), ...standInEnvironment(aws.url) }
  const child = Bun.spawn(["sh", "-c", '"$@" > /dev/full', "", await binary(), "--sink", "stdout"], {
    env: { ...env, PATH: process.env.PATH },
    stderr: "pipe",
  })
  const said = await new Response(child.stderr).text()
  expect(await child.exited).toBe(1)
  expect(said).toMatch(/standard output: cannot be written \[ENOSPC\]\n +hint: free some space/)
})

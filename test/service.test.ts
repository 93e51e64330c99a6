// What systemd is told: by the rules of the service with a fake clock, and by the binary's `run` over a real socket.
import { describe, expect, test } from "bun:test"
import { readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { createService, LONGEST_START_MS } from "../src/service.ts"
import { awsForAll, binary, standInEnvironment, temporaryFolder } from "./support/binary.ts"
import { fakeClock } from "./support/clock.ts"
import { MINUTE, SECOND, START } from "./support/fakes.ts"
import { openNotifySocket } from "./support/notify-socket.ts"

const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"
const OTHER_HOST = "210987654321.dkr.ecr.eu-west-1.amazonaws.com"

describe("the service", () => {
  function begun(env: Record<string, string> = {}) {
    const clock = fakeClock(START)
    const sent: object[] = []
    const tooLong: string[] = []
    const service = createService({
      notify: (assignments) => void sent.push(assignments),
      env,
      clock,
      onStartTooLong: (standing) => void tooLong.push(standing),
    })
    service.begins(3 * MINUTE)
    return { service, clock, sent, tooLong }
  }

  test("asks for more time at each turn of its start, and for none once it is ready", () => {
    const { service, sent } = begun()
    service.lives("0 of 2 targets fresh")
    service.ready()
    service.lives("2 targets fresh")
    expect(sent).toEqual([
      { EXTEND_TIMEOUT_USEC: 180_000_000, STATUS: "0 of 2 targets fresh" },
      { READY: 1 },
      { STATUS: "2 targets fresh" },
    ])
  })

  test("gives a start up after a quarter of an hour, with how things stand", async () => {
    const { service, clock, tooLong } = begun()
    await clock.advance(LONGEST_START_MS)
    service.lives("no credentials")
    expect(tooLong).toEqual([])
    await clock.advance(SECOND)
    service.lives("no credentials")
    expect(tooLong).toEqual(["no credentials"])
  })

  test("never gives up what was ready once", async () => {
    const { service, clock, tooLong } = begun()
    service.ready()
    await clock.advance(2 * LONGEST_START_MS)
    service.lives("no credentials")
    expect(tooLong).toEqual([])
  })

  test("feeds the watchdog where there is one, and only there", () => {
    const watched = begun({ WATCHDOG_USEC: "600000000" })
    watched.service.ready()
    watched.service.lives("1 target fresh")
    watched.service.lives("1 target fresh")
    expect(watched.sent.slice(1)).toEqual([{ WATCHDOG: 1, STATUS: "1 target fresh" }, { WATCHDOG: 1 }])
    const free = begun()
    free.service.ready()
    free.service.lives("1 target fresh")
    expect(free.sent.slice(1)).toEqual([{ STATUS: "1 target fresh" }])
  })

  test("has a watchdog wait for as long as its own timeouts may take", () => {
    expect(begun({ WATCHDOG_USEC: "60000000" }).sent).toEqual([{ WATCHDOG_USEC: 180_000_000 }])
  })

  test("tells of a reload between ready and ready, and of none before it is ready", () => {
    const { service, sent } = begun()
    service.reloads()
    service.reloaded()
    expect(sent).toEqual([])
    service.ready()
    service.reloads()
    service.reloaded()
    expect(sent).toEqual([{ READY: 1 }, { RELOADING: 1 }, { READY: 1 }])
  })
})

describe("`ecrelay run` as a service", () => {
  const aws = awsForAll()

  const tokenCalls = () => aws.calls.filter(({ operation }) => operation === "GetAuthorizationToken").length

  const configFor = (...hosts: readonly string[]) =>
    `${hosts.map((host) => `[[registry]]\nhost = "${host}"\n`).join("")}[[sink]]\ntype = "docker-config"\n`

  /** A home with a config file, and the binary's `run` in it, started as systemd would. */
  async function started(config = configFor(HOST), more: Record<string, string> = {}) {
    const home = await temporaryFolder()
    const file = join(home, "config.toml")
    await writeFile(file, config)
    const socket = openNotifySocket()
    const env = { HOME: home, ...standInEnvironment(aws.url), NOTIFY_SOCKET: socket.address, ...more }
    const child = Bun.spawn([await binary(), "run", "--config", file], {
      env,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    })
    const log = new Response(child.stderr).text()
    const hosts = async () =>
      Object.keys(JSON.parse(await readFile(join(home, ".docker/config.json"), "utf8")).auths)
    return {
      home,
      file,
      socket,
      child,
      log,
      hosts,
      async [Symbol.asyncDispose]() {
        child.kill("SIGKILL")
        await child.exited
        socket[Symbol.dispose]()
        await rm(home, { recursive: true })
      },
    }
  }

  test("is ready with the first login, says how things stand, and stops when asked", async () => {
    await using service = await started(undefined, { WATCHDOG_USEC: "600000000" })
    const messages = await service.socket.until(/^READY=1$/m)
    expect(messages[0]).toMatch(/^WATCHDOG=1\nEXTEND_TIMEOUT_USEC=210000000\nSTATUS=0 of 1 target fresh$/)
    await service.socket.until(/^WATCHDOG=1\nSTATUS=1 target fresh, next refresh \d\d:\d\d UTC$/)
    expect(await service.hosts()).toEqual([HOST])
    service.child.kill("SIGTERM")
    expect(await service.child.exited).toBe(0)
    expect(service.socket.messages().at(-1)).toBe("STOPPING=1")
  }, 30_000)

  test("says which target is missing and why, and goes on", async () => {
    await using service = await started(
      `[[registry]]\nhost = "${HOST}"\n[[sink]]\ntype = "docker-config"\npath = "/proc/nowhere/config.json"\n`,
    )
    await service.socket.until(
      /^EXTEND_TIMEOUT_USEC=\d+\nSTATUS=0 of 1 target fresh; \/proc\/nowhere.*; next attempt \d\d:\d\d UTC$/m,
    )
    expect(service.socket.messages().join("\n")).not.toContain("READY=1")
    expect(service.child.exitCode).toBeNull()
  }, 30_000)

  test("takes a changed configuration on SIGHUP", async () => {
    await using service = await started()
    await service.socket.until(/^READY=1$/m)
    await writeFile(service.file, configFor(HOST, OTHER_HOST))
    service.child.kill("SIGHUP")
    await service.socket.until(/STATUS=2 targets fresh/)
    expect(service.socket.messages().join("\n")).toMatch(/^RELOADING=1\nMONOTONIC_USEC=\d+\nREADY=1$/m)
    expect(await service.hosts()).toEqual([HOST, OTHER_HOST])
  }, 30_000)

  test("keeps what it has where the changed configuration is broken, and says what is wrong", async () => {
    await using service = await started()
    await service.socket.until(/STATUS=1 target fresh/)
    const calls = tokenCalls()
    await writeFile(service.file, `${configFor(HOST)}pth = "x"\n`)
    service.child.kill("SIGHUP")
    await service.socket.until(/^RELOADING=1/)
    service.child.kill("SIGUSR1")
    while (tokenCalls() === calls) await Bun.sleep(10)
    service.child.kill("SIGTERM")
    expect(await service.child.exited).toBe(0)
    const log = await service.log
    expect(log).toMatch(
      /error .*sink\[0\], pth: unknown option.*\n.*warn {2}keeping the previous configuration/,
    )
  }, 30_000)

  test("keeps what it has where the changed configuration would write logins into the journal", async () => {
    await using service = await started()
    await service.socket.until(/STATUS=1 target fresh/)
    await writeFile(service.file, `[[registry]]\nhost = "${HOST}"\n[[sink]]\ntype = "stdout"\n`)
    service.child.kill("SIGHUP")
    await service.socket.until(/^RELOADING=1/)
    const readies = () => service.socket.messages().filter((message) => message === "READY=1").length
    while (readies() < 2) await Bun.sleep(10)
    service.child.kill("SIGTERM")
    expect(await service.child.exited).toBe(0)
    expect(await service.log).toMatch(
      /error .*nobody reads the standard output of a service.*\n.*warn {2}keeping the previous configuration/,
    )
  }, 30_000)

  test("fetches and delivers at once on SIGUSR1", async () => {
    await using service = await started()
    await service.socket.until(/STATUS=1 target fresh/)
    const [calls, before] = [tokenCalls(), await readFile(join(service.home, ".docker/config.json"), "utf8")]
    await Bun.sleep(1100)
    service.child.kill("SIGUSR1")
    while ((await readFile(join(service.home, ".docker/config.json"), "utf8")) === before) await Bun.sleep(10)
    expect(tokenCalls()).toBe(calls + 1)
  }, 30_000)
})

// Signals and sudden ends of the service under a real systemd. What comes before what is told by a target that answers
// when the test lets it, so that no test reckons with time.
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test"
import { bootPackaged, HOST, type PackagedMachine } from "./support/packaged-machine.ts"
import { describeWithService } from "./support/services.ts"

/** A place that tells of every write, and lets through only those that it is told to. */
function startTarget() {
  const events: string[] = []
  let answer: Promise<unknown> = Promise.resolve()
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    async fetch(request) {
      const event = new URL(request.url).pathname.slice(1)
      events.push(event)
      if (event === "write") await answer
      return new Response()
    },
  })
  return {
    url: server.url.href,
    events,
    /** Writes that come from now on wait for this. */
    answersAfter(promise: Promise<unknown>) {
      answer = promise
    },
    /** Resolves once the events are these, in this order; rejects with what they are where they never come. */
    async until(...wanted: readonly string[]) {
      const end = Date.now() + 20_000
      while (events.join() !== wanted.join()) {
        if (Date.now() > end) throw new Error(`not ${wanted.join()}, but ${events.join()}`)
        await Bun.sleep(10)
      }
    },
    stop: () => server.stop(true),
  }
}

/** A sink that writes to it, tells it when it is asked to stop, and finishes all the same what it has begun. */
const sinkFor = (url: string) => `export default ({ v, defineSink, textOption }) => defineSink({
  type: "slow", summary: "a place that is slow", permissions: [], options: v.strictObject({}),
  create: (_, { fetch }) => ({
    type: "slow",
    targets: (registry) => [{ registry, slot: "slow", name: "slow" }],
    async deliver(deliveries, signal) {
      const tell = (event) => fetch("${url}" + event)
      const asked = () => void tell("asked-to-stop")
      signal.addEventListener("abort", asked)
      await tell("write")
      await tell("written")
      signal.removeEventListener("abort", asked)
      return deliveries.map(({ credential: { expiresAt } }) => ({ outcome: "delivered", expiresAt }))
    },
  }),
})
`

describeWithService("systemd", "signals under systemd", (facts) => {
  let packaged: PackagedMachine
  let machine: PackagedMachine["machine"]
  let target: ReturnType<typeof startTarget>
  beforeAll(async () => {
    packaged = await bootPackaged(facts)
    machine = packaged.machine
  }, 120_000)
  afterAll(() => packaged?.[Symbol.asyncDispose]())
  afterEach(async () => {
    await machine.run("systemctl disable ecrelay")
    await packaged.clear()
    target?.stop()
  })

  /** Enabled as well: how a unit has ended that nothing refers to, systemd forgets. */
  async function installed(config?: string) {
    await packaged.installed(config)
    await machine.run("systemctl enable ecrelay")
  }
  const hosts = () => packaged.hosts()
  const show = (...properties: readonly string[]) => packaged.show(...properties)

  /** The service with a first write done, told by SIGUSR1 to write anew; that write waits for `answer`. */
  async function writing(answer: Promise<unknown>) {
    target = startTarget()
    await machine.write("/etc/ecrelay/sinks/slow.js", sinkFor(target.url))
    await installed(
      '[[registry]]\nregion = "eu-west-1"\n[[sink]]\ntype = "module"\npath = "/etc/ecrelay/sinks/slow.js"\n',
    )
    expect(await machine.run("systemctl start ecrelay")).toMatchObject({ code: 0 })
    await target.until("write", "written")
    target.answersAfter(answer)
    await machine.run("systemctl kill -s USR1 ecrelay")
    await target.until("write", "written", "write")
  }

  test("SIGUSR1 refreshes at once, and SIGTERM lets the write finish that it finds", async () => {
    const answer = Promise.withResolvers<void>()
    await writing(answer.promise)
    const stopping = machine.run("systemctl stop ecrelay")
    await target.until("write", "written", "write", "asked-to-stop")
    expect(await show("ActiveState")).toEqual(["ActiveState=deactivating"])
    answer.resolve()
    expect(await stopping).toMatchObject({ code: 0 })
    expect(target.events.slice(3)).toEqual(["asked-to-stop", "written"])
    expect(await show("Result", "ExecMainStatus")).toEqual(["ExecMainStatus=0", "Result=success"])
  }, 60_000)

  test("a second SIGTERM does not wait for a write that nobody answers", async () => {
    await writing(new Promise(() => undefined))
    const stopping = machine.run("systemctl stop ecrelay")
    await target.until("write", "written", "write", "asked-to-stop")
    await machine.run("systemctl kill -s TERM ecrelay")
    await stopping
    // Gone at the second signal: whoever is given up on after a while ends in order, with 0.
    expect(await show("Result", "ExecMainStatus")).toEqual(["ExecMainStatus=143", "Result=success"])
    expect(target.events.at(-1)).toBe("asked-to-stop")
  }, 60_000)

  test("a loop that stands still is ended by the watchdog and started anew", async () => {
    await installed()
    await machine.write(
      "/etc/systemd/system/ecrelay.service.d/test.conf",
      "[Service]\nRestartSec=0\nWatchdogSec=3s\nNotifyAccess=all\n",
    )
    await machine.run("systemctl daemon-reload; systemctl start ecrelay")
    // It has said how long its turns may take: a watchdog of three seconds would end it in the midst of its work.
    expect(await show("WatchdogUSec")).toEqual(["WatchdogUSec=3min 30s"])
    const pid = /\d+/.exec((await show("MainPID"))[0] ?? "")?.[0]
    await machine.run(
      `kill -STOP ${pid}; NOTIFY_SOCKET=/run/systemd/notify systemd-notify --pid=${pid} WATCHDOG_USEC=1000000`,
    )
    await machine.until(
      "systemctl show ecrelay --property=NRestarts,ActiveState",
      /NRestarts=1[\s\S]*ActiveState=active/,
    )
    expect((await machine.run("journalctl -u ecrelay --no-pager -o cat")).out).toContain("Watchdog timeout")
    expect(await show("MainPID")).not.toEqual([`MainPID=${pid}`])
  }, 60_000)

  test("a killed one is started again", async () => {
    await installed()
    await machine.write("/etc/systemd/system/ecrelay.service.d/test.conf", "[Service]\nRestartSec=0\n")
    await machine.run("systemctl daemon-reload; systemctl start ecrelay; systemctl kill -s KILL ecrelay")
    await machine.until(
      "systemctl show ecrelay --property=NRestarts,ActiveState",
      /NRestarts=1[\s\S]*=active/,
    )
    expect(await hosts()).toEqual([HOST])
  }, 60_000)

  test("systemctl stop ends it well", async () => {
    await installed()
    await machine.run("systemctl start ecrelay")
    expect(await machine.run("systemctl stop ecrelay")).toMatchObject({ code: 0 })
    expect(await show("Result", "ExecMainStatus")).toEqual(["ExecMainStatus=0", "Result=success"])
  }, 60_000)
})

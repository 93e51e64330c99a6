// The lock beside a file: never held by two, taken over from the dead and from no one else, by real processes.
import { afterEach, expect, test } from "bun:test"
import * as fs from "node:fs"
import { dirname, join } from "node:path"
import { removeLeftovers, takeLock } from "../sinks/_lock.ts"
import { type Clock, systemClock } from "../src/clock.ts"
import { fakeClock } from "./support/clock.ts"
import {
  type Answer,
  CHILD,
  namesBeside,
  newFile,
  placeOf,
  removeFiles,
  textIn,
  write,
} from "./support/files.ts"
import { calm } from "./support/sinks.ts"

const children: Bun.Subprocess<"ignore", "pipe", "inherit">[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL")
  removeFiles()
})

function start(task: string, file: string, ...more: readonly string[]) {
  const command = [process.execPath, CHILD, task, file, ...more]
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "inherit" })
  children.push(child)
  return child
}

const answerOf = async (child: ReturnType<typeof start>): Promise<Answer> =>
  JSON.parse((await new Response(child.stdout).text()).trim().split("\n").at(-1) ?? "")

/** Waits until the condition holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await systemClock.sleep(5)
}

/** The real clock, with sleeps that cost no time: a long wait in a short test. Tells how long it would have been. */
function hastyClock(): Clock & { slept(): number } {
  let slept = 0
  const sleep: Clock["sleep"] = async (durationMs, signal) => {
    // A heart must not race: it beats by a sleep of its own.
    if (durationMs >= 1000) return systemClock.sleep(durationMs, signal)
    slept += durationMs
    await systemClock.sleep(0, signal)
  }
  return { now: systemClock.now, uptime: () => slept, sleep, slept: () => slept }
}

const isTicket = (name: string) => name.startsWith(".file.json.ecrelay-")
const ticketsBeside = (file: string) => namesBeside(file).filter(isTicket)

test("loses nothing when many processes add to one file", async () => {
  const file = newFile()
  const writers = Array.from({ length: 6 }, () => start("add", file, "15"))
  expect((await Promise.all(writers.map(answerOf))).map(({ code }) => code)).toEqual(Array(6).fill("ok"))
  const lines = textIn(file).trim().split("\n")
  expect([lines.length, new Set(lines).size, namesBeside(file)]).toEqual([90, 90, ["file.json"]])
}, 60_000)

test("is never held by two", async () => {
  const file = newFile()
  const holders = Array.from({ length: 6 }, () => start("exclude", file, "15"))
  expect((await Promise.all(holders.map(answerOf))).map(({ code }) => code)).toEqual(Array(6).fill("ok"))
  expect(namesBeside(file)).toEqual([])
}, 60_000)

test("is taken over from a killed holder within 10 s, and what it left is removed", async () => {
  const file = newFile("old")
  const holder = start("hold", file)
  await until(() => ticketsBeside(file).length === 1)
  holder.kill("SIGKILL")
  await holder.exited
  const clock = hastyClock()
  await write(file, "new", { deps: { clock, env: {}, uid: undefined } })
  expect([textIn(file), namesBeside(file)]).toEqual(["new", ["file.json"]])
  expect(clock.slept()).toBeGreaterThan(4_000)
  expect(clock.slept()).toBeLessThan(10_000)
})

test.each(["renaming", "in-place"])("one who slept through a takeover does not write, %s", async (way) => {
  const file = newFile("old")
  const sleeper = start("stop", file, way)
  await until(() => ticketsBeside(file).length === 1 && isStopped(sleeper.pid))
  const lock = await takeLock(file, hastyClock(), calm())
  expect(lock).toBeDefined()
  sleeper.kill("SIGCONT")
  // The new holder has not written yet: nothing but the lost lock can tell the sleeper.
  expect(await answerOf(sleeper)).toMatchObject({ code: "lock-lost", retryable: true })
  expect(textIn(file)).toBe("old")
  expect(ticketsBeside(file)).toEqual([lock?.path.split("/").at(-1) ?? ""])
  await lock?.release()
})

function isStopped(pid: number): boolean {
  const linux = `/proc/${pid}/stat`
  if (fs.existsSync(linux)) return /\) [Tt] /.test(textIn(linux))
  return Bun.spawnSync(["ps", "-o", "stat=", "-p", String(pid)])
    .stdout.toString()
    .startsWith("T")
}

test("is not taken from a holder who lives, however long it takes", async () => {
  const file = newFile()
  const clock = fakeClock(0)
  const holder = await takeLock(file, clock, calm())
  let outcome: unknown = "waiting"
  const contender = takeLock(file, clock, calm()).then((lock) => {
    outcome = lock
  })
  for (let tenth = 0; tenth < 280; tenth++) {
    await clock.advance(100)
    // The contender looks at real files, and is to look often.
    await systemClock.sleep(2)
  }
  expect([outcome, fs.existsSync(holder?.path ?? "")]).toEqual(["waiting", true])
  // Patience ends, and the caller hears of it.
  while (outcome === "waiting") await clock.advance(100)
  await contender
  expect([outcome, ticketsBeside(file).length]).toEqual([undefined, 1])
  await holder?.release()
}, 30_000)

test("is not held by whose ticket was taken away before it looked round", async () => {
  const file = newFile()
  const real = hastyClock()
  let taken = 0
  // The first beat of a heart is where others may come in between a ticket and the look round.
  const sleep: Clock["sleep"] = (durationMs, signal) => {
    if (durationMs >= 1000 && taken++ === 0)
      for (const name of ticketsBeside(file)) fs.rmSync(join(dirname(file), name))
    return real.sleep(durationMs, signal)
  }
  const lock = await takeLock(file, { ...real, sleep }, calm())
  expect(ticketsBeside(file).map((name) => join(dirname(file), name))).toEqual([lock?.path as string])
  expect(taken).toBe(2)
  await lock?.release()
})

test("says that it waited too long, and that it will be tried again", async () => {
  const file = newFile("old")
  const holder = await takeLock(file, systemClock, calm())
  const clock = hastyClock()
  // Time flies for the one who waits, so the holder's heart must beat as fast.
  const sleep: Clock["sleep"] = async (durationMs, signal) => {
    const path = holder?.path ?? ""
    fs.chmodSync(path, fs.statSync(path).mode & 0o100 ? 0o600 : 0o700)
    await clock.sleep(durationMs, signal)
  }
  const place = placeOf(file, { deps: { clock: { ...clock, sleep }, env: {}, uid: undefined } })
  await expect(write(file, "new", place)).rejects.toMatchObject({ code: "locked", retryable: true })
  expect([textIn(file), ticketsBeside(file).length]).toEqual(["old", 1])
  await holder?.release()
})

test("stops waiting when the signal is aborted, and leaves nothing", async () => {
  const file = newFile()
  const holder = await takeLock(file, systemClock, calm())
  await expect(takeLock(file, systemClock, AbortSignal.timeout(30))).rejects.toThrow()
  expect(ticketsBeside(file).length).toBe(1)
  await holder?.release()
  await expect(takeLock(file, systemClock, AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop")
  expect(ticketsBeside(file)).toEqual([])
})

test("a ticket is 0600 from its first moment, whatever the umask", async () => {
  const file = newFile()
  const umask = process.umask(0)
  const lock = await takeLock(file, systemClock, calm()).finally(() => process.umask(umask))
  expect(fs.statSync(lock?.path ?? "").mode & 0o777).toBe(0o600)
  await lock?.release()
})

test("removes what a crash left, also when there is nothing to write, but nothing that is not surely its own", async () => {
  const file = newFile("same")
  const id = "0123456789abcdef01234567"
  const foreign = [
    `.file.json.ecrelay-${id}0`,
    `.file.json.ecrelay-x${id.slice(1)}`,
    `.other.json.ecrelay-${id}`,
    `file.json.ecrelay-${id}`,
  ]
  for (const name of [`.file.json.ecrelay-${id}`, ...foreign])
    fs.writeFileSync(join(dirname(file), name), "secret")
  const folder = `.file.json.ecrelay-${id.replace("0", "f")}`
  fs.mkdirSync(join(dirname(file), folder))
  // Young, it may be a living holder's.
  await removeLeftovers(file, systemClock)
  expect(ticketsBeside(file)).toContain(`.file.json.ecrelay-${id}`)
  const now = () => Date.now() + 61_000
  await write(file, "same", { deps: { clock: { ...systemClock, now }, env: {}, uid: undefined } })
  expect(namesBeside(file)).toEqual(["file.json", folder, ...foreign].sort())
})

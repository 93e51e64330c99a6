// A program of its own for the tests of sinks/_file.ts and sinks/_lock.ts, which only other processes can put to
// the proof: run as `bun replace-file.ts TASK FILE [N]`, it prints what came of it as JSON.
import { closeSync, openSync, unlinkSync } from "node:fs"
import { replaceFile } from "../../sinks/_file.ts"
import { takeLock } from "../../sinks/_lock.ts"
import { systemClock } from "../../src/clock.ts"
import { DeliveryError } from "../../src/errors.ts"

const [task = "", file = "", number = "1"] = process.argv.slice(2)
const { signal } = new AbortController()
const deps = { clock: systemClock, env: process.env, uid: process.getuid?.() }
const place = (inPlace = false) => ({ sink: "test", path: file, inPlace, deps })
const isLast = (round: number) => round >= Number(number)

const tasks: Readonly<Record<string, () => Promise<unknown>>> = {
  /** Writes FILE's content anew: N bytes. */
  write: () => write(false),
  "write-in-place": () => write(true),

  /** The same where this process may open no further file. */
  "write-with-no-file-left": () => {
    try {
      for (;;) openSync("/dev/null", "r")
    } catch {}
    return write(false)
  },

  /** Adds N lines to FILE, one at a time. */
  add: async () => {
    for (let round = 0; !isLast(round); round++) {
      const line = `${process.pid} ${round}\n`
      const edit = (bytes: Buffer | undefined) => {
        const text = bytes?.toString() ?? ""
        return { bytes: text.includes(line) ? undefined : Buffer.from(text + line), result: undefined }
      }
      await replaceFile(place(), edit, signal)
    }
  },

  /** Takes FILE's lock N times, and each time does what two could not do at once. */
  exclude: async () => {
    for (let round = 0; !isLast(round); round++) {
      const lock = await takeLock(file, systemClock, signal)
      const mark = openSync(`${file}.held`, "wx")
      await systemClock.sleep(1)
      closeSync(mark)
      unlinkSync(`${file}.held`)
      await lock?.release()
    }
  },

  /** Takes FILE's lock, says so and keeps it. */
  hold: async () => {
    await takeLock(file, systemClock, signal)
    console.log("held")
    await new Promise(() => {})
  },

  /** Stops itself when it holds the lock and has read FILE; once woken up, goes on to write. */
  stop: () => {
    let calls = 0
    const edit = () => {
      calls += 1
      // The first call is before the lock.
      if (calls === 2) process.kill(process.pid, "SIGSTOP")
      return { bytes: Buffer.from("written by one who slept"), result: undefined }
    }
    return replaceFile(place(number === "in-place"), edit, signal)
  },
}

function write(inPlace: boolean): Promise<unknown> {
  const bytes = Buffer.alloc(Number(number), "x")
  return replaceFile(place(inPlace), () => ({ bytes, result: undefined }), signal)
}

try {
  await tasks[task]?.()
  console.log(JSON.stringify({ code: "ok" }))
} catch (error) {
  if (!(error instanceof DeliveryError)) throw error
  const { code, retryable, message, hint } = error
  console.log(JSON.stringify({ code, retryable, message, hint }))
}

// A clock that an impatient test and a lock that is never given back agree on: sleeping costs no time, and the holder's
// ticket looks alive after each sleep.
import { chmodSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { systemClock } from "../../src/clock.ts"
import { NOW } from "./sinks.ts"

/** The clock, and how the lock of a file is held and given back by somebody else. */
export function lockedWorld(file: string) {
  let held = false
  let slept = 0
  const ticket = join(dirname(file), `.${basename(file)}.ecrelay-0123456789abcdef01234567`)
  const clock = {
    now: () => NOW,
    uptime: () => systemClock.uptime() + slept,
    sleep: async (durationMs: number, signal?: AbortSignal) => {
      if (!held) return systemClock.sleep(durationMs, signal)
      slept += durationMs
      // The beat: a change of mode, since two of them may fall into one tick of the file system's clock.
      chmodSync(ticket, statSync(ticket).mode & 0o100 ? 0o600 : 0o700)
      await systemClock.sleep(0)
    },
  }
  const hold = () => {
    mkdirSync(dirname(ticket), { recursive: true })
    writeFileSync(ticket, "")
    held = true
  }
  const letGo = async () => {
    rmSync(ticket)
    held = false
  }
  return { clock, hold, letGo }
}

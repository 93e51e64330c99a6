// A clock that stands still until a test moves it: days pass in milliseconds, and in the same order every time.
// It keeps the real clock's promise that a sleep is measured by uptime, so a stepped wall clock wakes nobody.
import type { Clock } from "../../src/clock.ts"

/** A clock and the strings that a test pulls. */
export type FakeClock = Clock & {
  /** Lets time pass: wakes the sleepers in the order of their time, and lets each one run before the next wakes. */
  advance(durationMs: number): Promise<void>
  /** Moves the wall clock alone, as a clock step does, or a machine that was suspended and wakes up. */
  jump(durationMs: number): void
  /** When those who sleep now will wake, as uptime, the earliest first. */
  sleepers(): readonly number[]
}

type Sleeper = { readonly wakeAt: number; readonly wake: () => void }

// A chain of a few dozen awaits, and small file or loopback work behind them, is done after this many turns.
const TURNS = 20

/** A fake clock that shows `startAt` (milliseconds since 1970) and whose uptime begins at 0. */
export function fakeClock(startAt: number): FakeClock {
  let wall = startAt
  let up = 0
  let sleeping: readonly Sleeper[] = []

  const moveTo = (moment: number) => {
    wall += moment - up
    up = moment
  }

  return {
    now: () => wall,
    uptime: () => up,
    sleepers: () => sleeping.map((sleeper) => sleeper.wakeAt),
    jump: (durationMs) => {
      wall += durationMs
    },

    sleep: (durationMs, signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted()
        const leave = () => {
          sleeping = sleeping.filter((other) => other !== sleeper)
          signal?.removeEventListener("abort", stop)
        }
        const stop = () => {
          leave()
          reject(signal?.reason)
        }
        const sleeper: Sleeper = {
          wakeAt: up + Math.max(0, durationMs),
          wake: () => {
            leave()
            resolve()
          },
        }
        // Sorted by time; of two with the same time, the one who lay down first wakes first.
        sleeping = [...sleeping, sleeper].sort((a, b) => a.wakeAt - b.wakeAt)
        signal?.addEventListener("abort", stop, { once: true })
      }),

    async advance(durationMs) {
      const end = up + durationMs
      await turns()
      for (let first = sleeping[0]; first && first.wakeAt <= end; first = sleeping[0]) {
        moveTo(Math.max(up, first.wakeAt))
        first.wake()
        await turns()
      }
      moveTo(end)
      await turns()
    },
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve))
}

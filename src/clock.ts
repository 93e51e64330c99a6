// Time as the rest of the program sees it: a wall clock, an uptime that no clock step moves, and a sleep.
// The real one is here and nowhere else, so that a test can live through days in milliseconds.

/** The time as a program sees it. */
export type Clock = {
  /** Milliseconds since 1970, by the wall clock: may step, and runs on while the machine is suspended. */
  now(): number
  /** Milliseconds since some fixed moment, by the monotonic clock: never steps, may stand still in suspend. */
  uptime(): number
  /** Resolves after `durationMs`; rejects with the signal's reason as soon as it is aborted. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>
}

// A timer that is set to more fires at once.
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** The machine's own. A sleep ends after 24 days at the latest. */
export const systemClock: Clock = {
  now: () => Date.now(),
  uptime: () => performance.now(),
  sleep: (durationMs, signal) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const stop = () => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      const timer = setTimeout(
        () => {
          signal?.removeEventListener("abort", stop)
          resolve()
        },
        Math.min(durationMs, LONGEST_TIMER_MS),
      )
      signal?.addEventListener("abort", stop, { once: true })
    }),
}

/** Does work under a signal that is aborted with `stop`, or as soon as `durationMs` have passed. */
export async function withDeadline<T>(
  durationMs: number,
  clock: Pick<Clock, "sleep">,
  stop: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeout = new AbortController()
  const done = new AbortController()
  clock.sleep(durationMs, done.signal).then(
    () => timeout.abort(new DOMException("not done in time", "TimeoutError")),
    () => undefined,
  )
  try {
    return await work(AbortSignal.any([stop, timeout.signal]))
  } finally {
    done.abort()
  }
}

/** Whether a signal was aborted because time ran out, and not because the process is to stop. */
export function isTimeout({ reason }: AbortSignal): boolean {
  return reason instanceof DOMException && reason.name === "TimeoutError"
}

// Time as the rest of the program sees it: a wall clock, an uptime that no clock step moves, and a sleep.
// The real one is here and nowhere else, so that a test can live through days in milliseconds.

export type Clock = {
  /** Milliseconds since 1970, by the wall clock: may step, and runs on while the machine is suspended. */
  now(): number
  /** Milliseconds since some fixed moment, by the monotonic clock: never steps, may stand still in suspend. */
  uptime(): number
  /** Resolves after `durationMs`; rejects with the signal's reason as soon as it is aborted. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>
}

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
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", stop)
        resolve()
      }, durationMs)
      signal?.addEventListener("abort", stop, { once: true })
    }),
}
